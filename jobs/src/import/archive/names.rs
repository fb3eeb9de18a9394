//! Entries' names in the letters that they were meant in. ZIP says UTF-8 or IBM's code page 437; programs write whatever their
//! system has.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, IBM866, SHIFT_JIS};

/// The upper half of code page 437.
const HIGH: &str = concat!(
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐",
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
);

/// How an archive's names are read.
#[derive(Clone, Copy)]
pub(super) enum Letters {
    /// All are UTF-8.
    Utf8,
    /// Some are in an encoding that all of them together look like.
    Guessed(&'static Encoding),
    /// Some are as the standard has it.
    Ibm437,
}

impl Letters {
    /// What names are in.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        let (mut is_utf8, mut high, mut beside) = (true, 0_usize, 0_usize);
        for name in names.filter(|name| std::str::from_utf8(name).is_err()) {
            is_utf8 = false;
            high += name.iter().filter(|byte| !byte.is_ascii()).count();
            beside += name.windows(2).filter(|pair| pair.iter().all(|byte| !byte.is_ascii())).count();
            detector.feed(name, false);
            detector.feed(b"\n", false);
        }
        if is_utf8 {
            return Self::Utf8;
        }
        detector.feed(b"", true);
        let guess = detector.guess(None, Utf8Detection::Deny);
        // Of those that Windows has written into archives; it writes no windows-1252, which is what all else is taken for.
        let known = [SHIFT_JIS, EUC_JP, GBK, GB18030, BIG5, EUC_KR, IBM866];
        // Letters with accents stand alone among others; those of other scripts do not.
        let is_other_script = beside * 2 >= high;
        if is_other_script && known.contains(&guess) { Self::Guessed(guess) } else { Self::Ibm437 }
    }

    /// A name as text.
    pub(super) fn read(self, name: &[u8]) -> String {
        if let Ok(name) = std::str::from_utf8(name) {
            return name.to_owned();
        }
        match self {
            Self::Guessed(encoding) => encoding.decode_without_bom_handling(name).0.into_owned(),
            Self::Utf8 | Self::Ibm437 => name.iter().map(|byte| letter(*byte)).collect(),
        }
    }
}

fn letter(byte: u8) -> char {
    match byte.checked_sub(128) {
        Some(high) => HIGH.chars().nth(usize::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER),
        None => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&[u8]]) -> Vec<String> {
        let letters = Letters::of(names.iter().copied());
        names.iter().map(|name| letters.read(name)).collect()
    }

    #[test]
    fn names_are_read_in_the_letters_that_they_were_written_in() {
        assert_eq!(HIGH.chars().count(), 128);
        assert_eq!(read(&["é.md".as_bytes(), b"a.md"]), ["é.md", "a.md"]);
        assert_eq!(read(&[b"K\x84se/\x99l.md", "é.md".as_bytes()]), ["Käse/Öl.md", "é.md"]);
        for (encoding, names) in [
            (SHIFT_JIS, ["第一章　はじめに.txt", "第二章　吾輩は猫である.txt"]),
            (GBK, ["第一章 这是一个很长的中文文件名.txt", "第二章 我们的故事从这里开始.txt"]),
            (IBM866, ["Глава первая о войне и мире.txt", "Глава вторая и последняя.txt"]),
        ] {
            let bytes = names.map(|name| encoding.encode(name).0.into_owned());
            assert_eq!(read(&[&bytes[0], &bytes[1]]), names, "{}", encoding.name());
        }
    }
}
