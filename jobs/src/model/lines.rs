//! Bytes that come in pieces, as lines. Must not know: what is in them.

/// A line, or what several lines make, is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {0} bytes")]
pub(super) struct TooLarge(pub(super) usize);

/// Cuts bytes at line feeds, carriage returns and pairs of them, wherever the pieces are cut.
#[derive(Debug)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    most_bytes: usize,
}

impl Lines {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { begun: Vec::new(), after_return: false, most_bytes }
    }

    /// Takes more bytes; gives each line that is complete, without its end.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), TooLarge>,
    ) -> Result<(), TooLarge> {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at(end);
            if self.begun.is_empty() {
                self.check(line.len())?;
                each(line)?;
            } else {
                self.push(line)?;
                each(&self.begun)?;
                self.begun.clear();
            }
            bytes = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.push(bytes)
    }

    /// What has come of a line that has no end.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.check(self.begun.len() + bytes.len())?;
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    fn check(&self, length: usize) -> Result<(), TooLarge> {
        if length > self.most_bytes { Err(TooLarge(self.most_bytes)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]], most: usize) -> Result<(Vec<String>, String), TooLarge> {
        let (mut lines, mut found) = (Lines::new(most), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| {
                found.push(String::from_utf8(line.to_vec()).unwrap());
                Ok(())
            })?;
        }
        Ok((found, String::from_utf8(lines.rest()).unwrap()))
    }

    #[test]
    fn every_way_to_end_a_line_is_read_the_same_wherever_the_pieces_are_cut() {
        let text = "a\nbb\r\n\r\n\rccc\r\rd\n\r\nré\r\nlast".as_bytes();
        let whole = lines(&[text], 100).unwrap();
        assert_eq!(whole.0, ["a", "bb", "", "", "ccc", "", "d", "", "ré"]);
        assert_eq!(whole.1, "last");
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(lines(&pieces, 100).unwrap(), whole, "{first} {second}");
            }
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&single, 100).unwrap(), whole);
    }

    #[test]
    fn a_line_that_never_ends_is_not_kept() {
        assert_eq!(lines(&[b"12345\n", b"12345"], 5).unwrap().0, ["12345"]);
        for pieces in
            [&[b"123456\n".as_slice()] as &[&[u8]], &[b"123456"], &[b"123", b"456"], &[b"123", b"456\n"]]
        {
            assert_eq!(lines(pieces, 5), Err(TooLarge(5)), "{pieces:?}");
        }
    }
}
