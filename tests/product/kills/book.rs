//! Books whose exports are some parts long in whatever encoding: text and pictures that no codec can make small, the same
//! ones from the same seed.

use std::{fmt::Write as _, fs, path::Path};

use presswork::domain::{Random as _, SeededRandom};

/// Bytes that a book is to have on storage at least: more than two parts.
const STORED_BYTES: usize = 11 << 20;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A book of pictures with some text between them, as a folder.
pub(crate) fn of_pictures(folder: &Path) {
    const PICTURES: usize = 24;
    fs::create_dir_all(folder).unwrap();
    let (random, mut text) = (SeededRandom::new(1), head("Pictures"));
    for picture in 0..PICTURES {
        write!(text, "# Chapter {picture}\n\n{}\n\n![Noise](noise-{picture}.jpg)\n\n", words(&random, 8_000))
            .unwrap();
        fs::write(folder.join(format!("noise-{picture}.jpg")), noise(&random, STORED_BYTES / PICTURES))
            .unwrap();
    }
    fs::write(folder.join("book.md"), text).unwrap();
}

/// A book of nothing but words, as a folder.
pub(super) fn of_words(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let (random, mut text) = (SeededRandom::new(2), head("Words"));
    // A letter is six bits of the eight.
    let chapters = STORED_BYTES / 6 * 8 / 120_000 + 1;
    for chapter in 0..chapters {
        write!(text, "# Chapter {chapter}\n\n").unwrap();
        for _ in 0..60 {
            write!(text, "{}\n\n", words(&random, 2_000)).unwrap();
        }
    }
    fs::write(folder.join("book.md"), text).unwrap();
}

fn head(title: &str) -> String {
    format!("+++\ntitle = \"{title}\"\nlanguage = \"en\"\nauthors = [\"Nobody\"]\n+++\n\n")
}

/// So many letters by chance, a few to a word.
fn words(random: &SeededRandom, letters: usize) -> String {
    let mut bytes = vec![0; letters];
    random.fill(&mut bytes);
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
    let word = |word: &[u8]| word.iter().map(|byte| letter(*byte)).collect::<String>();
    bytes.chunks(7).map(word).collect::<Vec<_>>().join(" ")
}

/// What has the form of a JPEG of so many bytes; nobody is to look at it.
fn noise(random: &SeededRandom, bytes: usize) -> Vec<u8> {
    // Start, JFIF 1.1, one table of quanta, a frame of 640 × 480 in one colour, the scan.
    let mut picture = vec![0xff, 0xd8, 0xff, 0xe0, 0, 16];
    picture.extend_from_slice(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    picture.extend_from_slice(&[0xff, 0xdb, 0, 67, 0]);
    picture.extend_from_slice(&[16; 64]);
    picture.extend_from_slice(&[0xff, 0xc0, 0, 11, 8, 1, 0xe0, 2, 0x80, 1, 1, 0x11, 0]);
    picture.extend_from_slice(&[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    let mut scan = vec![0; bytes];
    random.fill(&mut scan);
    picture.extend(scan.into_iter().map(|byte| if byte == 0xff { 0 } else { byte }));
    picture.extend_from_slice(&[0xff, 0xd9]);
    picture
}
