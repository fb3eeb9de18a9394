//! What becomes of a sound file: bytes turned, cut, repeated, mixed with another file's and with words that mean something.
//! A file in an archive is changed as such, or the archive around it. The same seed, target and number give the same input.

use presswork::domain::{Random as _, SeededRandom};

use crate::import::epub::tests::zip_of;

/// A sound file.
pub(super) enum Seed {
    Plain(Vec<u8>),
    /// An archive's entries.
    Zip(Vec<(String, Vec<u8>)>),
}

/// No input is larger, but for what an archive's frame adds.
const MOST_BYTES: usize = 96 << 10;

pub(super) struct Mutator(SeededRandom);

impl Mutator {
    pub(super) fn new(seed: u64, target: &str, number: u64) -> Self {
        let name = crc32fast::hash(target.as_bytes());
        Self(SeededRandom::new(seed ^ (u64::from(name) << 32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    fn below(&self, most: usize) -> usize {
        usize::try_from(self.0.below(most.max(1) as u64)).unwrap()
    }

    pub(super) fn input(&self, seeds: &[Seed], words: &[&str]) -> Vec<u8> {
        let other = |chosen: usize| match &seeds[chosen] {
            Seed::Plain(bytes) => bytes.as_slice(),
            Seed::Zip(entries) => entries[self.below(entries.len())].1.as_slice(),
        };
        match &seeds[self.below(seeds.len())] {
            Seed::Plain(bytes) => {
                let mut bytes = bytes.clone();
                self.change(&mut bytes, other(self.below(seeds.len())), words);
                bytes
            }
            Seed::Zip(entries) => {
                let mut entries = entries.clone();
                // Mostly inside, where the archive's checksums hide nothing.
                if self.below(5) > 0 {
                    for _ in 0..=self.below(2) {
                        let chosen = self.below(entries.len());
                        self.change(&mut entries[chosen].1, other(self.below(seeds.len())), words);
                    }
                    match self.below(20) {
                        0 => drop(entries.remove(self.below(entries.len()))),
                        1 => {
                            let (one, another) = (self.below(entries.len()), self.below(entries.len()));
                            let name = entries[one].0.clone();
                            entries[one].0 = std::mem::replace(&mut entries[another].0, name);
                        }
                        _ => {}
                    }
                    return zip_of(&entries);
                }
                let mut bytes = zip_of(&entries);
                for _ in 0..=self.below(3) {
                    self.turn(&mut bytes);
                }
                bytes
            }
        }
    }

    fn change(&self, bytes: &mut Vec<u8>, other: &[u8], words: &[&str]) {
        for _ in 0..=self.below(6) {
            let place = self.below(bytes.len() + 1);
            let end = (place + self.below(64)).min(bytes.len());
            match self.below(10) {
                0 | 1 => self.turn(bytes),
                2 => drop(bytes.drain(place..end)),
                3 => {
                    let again = bytes[place..end].to_vec();
                    let at = self.below(bytes.len() + 1);
                    bytes.splice(at..at, again);
                }
                4 => {
                    let begin = self.below(other.len() + 1);
                    let end = (begin + self.below(400)).min(other.len());
                    bytes.splice(place..place, other[begin..end].iter().copied());
                }
                5 if self.below(4) == 0 => bytes.truncate(place),
                // What nests, or never ends.
                6 if self.below(4) == 0 => {
                    let piece = match self.below(2) {
                        0 if !words.is_empty() => words[self.below(words.len())].as_bytes().to_vec(),
                        _ => bytes[place..end.min(place + 16)].to_vec(),
                    };
                    let times = 1 << self.below(13);
                    let times = times.min(MOST_BYTES / piece.len().max(1));
                    bytes.splice(place..place, piece.repeat(times));
                }
                7 => {
                    let number = ["0", "-1", "2147483648", "99999999999999999999", "1e9", "٣", ""];
                    bytes.splice(place..end.min(place + 3), number[self.below(number.len())].bytes());
                }
                _ if words.is_empty() => self.turn(bytes),
                _ => drop(bytes.splice(place..place, words[self.below(words.len())].bytes())),
            }
            bytes.truncate(MOST_BYTES);
        }
    }

    /// One byte or a few of them.
    fn turn(&self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let place = self.below(bytes.len());
        match self.below(4) {
            0 | 1 => bytes[place] ^= 1 << self.below(8),
            2 => bytes[place] = [0, 0xff, b'\n', b'<', b'"', 0x80, b'&', b'{'][self.below(8)],
            _ => {
                // A length or a count, whatever it was.
                let wide = [[0; 4], [0xff; 4], [0, 0, 0, 0x80], [0, 0, 1, 0]][self.below(4)];
                let end = (place + 4).min(bytes.len());
                bytes[place..end].copy_from_slice(&wide[..end - place]);
            }
        }
    }
}
