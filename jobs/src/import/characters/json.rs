//! JSON as single values: the items of an array, one object, or one value a line. Only where each begins and ends is found out
//! here, so that one that is broken is one that is broken, and not the end of the others.

use super::{MOST_ITEM_BYTES, Text};
use crate::book::BookError;

/// A value, not read yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it begins.
    pub(super) line: u64,
    /// Its text; nothing where it is larger than an item may be.
    pub(super) json: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begin,
    /// In the array; whether a value has come.
    Inside(bool),
    Ended,
}

/// The values of a file.
pub(super) struct Pieces {
    pub(super) text: Text,
    is_lines: bool,
    state: State,
}

impl Pieces {
    pub(super) fn new(text: Text, is_lines: bool) -> Self {
        Self { text, is_lines, state: State::Begin }
    }

    /// The next value.
    ///
    /// # Errors
    /// Where nobody can tell where it ends.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, BookError> {
        if self.is_lines { self.line() } else { self.item() }
    }

    fn line(&mut self) -> Result<Option<Piece>, BookError> {
        if self.text.skip_space()?.is_none() {
            return Ok(None);
        }
        let (line, mut json) = (self.text.line(), Some(Vec::new()));
        while let Some(byte) = self.text.take()?
            && !matches!(byte, b'\n' | b'\r')
        {
            push(&mut json, byte);
        }
        Ok(Some(Piece { line, json }))
    }

    fn item(&mut self) -> Result<Option<Piece>, BookError> {
        let mut has_come = match self.state {
            State::Inside(has_come) => has_come,
            State::Ended => return Ok(None),
            State::Begin => match self.text.skip_space()? {
                Some(b'[') => {
                    self.text.take()?;
                    false
                }
                // One alone.
                Some(b'{') => {
                    self.state = State::Ended;
                    let piece = self.value()?;
                    return self.end().map(|()| Some(piece));
                }
                _ => {
                    let problem = "the JSON is neither an array of characters nor one character";
                    return Err(self.text.wrong(self.text.line(), problem));
                }
            },
        };
        if has_come {
            // A value ends at a comma or at the array's end.
            if self.text.take()? == Some(b']') {
                self.state = State::Ended;
                return self.end().map(|()| None);
            }
        } else if self.text.skip_space()? == Some(b']') {
            self.text.take()?;
            self.state = State::Ended;
            return self.end().map(|()| None);
        }
        has_come = true;
        self.state = State::Inside(has_come);
        self.value().map(Some)
    }

    /// A value up to what ends it, which stays. Quotes and brackets are all that is looked at.
    fn value(&mut self) -> Result<Piece, BookError> {
        self.text.skip_space()?;
        let (line, mut json, mut depth, mut in_string) = (self.text.line(), Some(Vec::new()), 0_u64, false);
        let is_alone = self.state == State::Ended;
        loop {
            let Some(byte) = self.text.peek()? else {
                return Err(self
                    .text
                    .wrong(line, "the value that begins there does not end: the file is cut off"));
            };
            if depth == 0 && !in_string && !is_alone && matches!(byte, b',' | b']') {
                break;
            }
            self.text.take()?;
            push(&mut json, byte);
            match byte {
                b'\\' if in_string => {
                    if let Some(escaped) = self.text.take()? {
                        push(&mut json, escaped);
                    }
                }
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
            if is_alone && depth == 0 && !in_string {
                break;
            }
        }
        Ok(Piece { line, json })
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), BookError> {
        match self.text.skip_space()? {
            None => Ok(()),
            Some(_) => Err(self.text.wrong(
                self.text.line(),
                "there is more behind the JSON's end: where each line is a character, say that it is jsonl",
            )),
        }
    }
}

fn push(json: &mut Option<Vec<u8>>, byte: u8) {
    if let Some(bytes) = json {
        if bytes.len() < MOST_ITEM_BYTES { bytes.push(byte) } else { *json = None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, is_lines: bool) -> Result<Vec<(u64, String)>, BookError> {
        let (mut pieces, mut all) = (Pieces::new(Text::of("x.json", text), is_lines), Vec::new());
        while let Some(Piece { line, json }) = pieces.next()? {
            let json = json.map_or("too large".to_owned(), |json| String::from_utf8(json).unwrap());
            all.push((line, json.trim().to_owned()));
        }
        Ok(all)
    }

    fn all(wanted: &[(u64, &str)]) -> Vec<(u64, String)> {
        wanted.iter().map(|(line, json)| (*line, (*json).to_owned())).collect()
    }

    #[test]
    fn values_are_parted_whatever_is_in_them() {
        let array = "\n[ {\"a\": \"],[\\\"\"},\n  7, oops\n,[1,[2]] ,\n\"x\" ]\n";
        let wanted = [(2, "{\"a\": \"],[\\\"\"}"), (3, "7"), (3, "oops"), (4, "[1,[2]]"), (5, "\"x\"")];
        assert_eq!(pieces(array, false).unwrap(), all(&wanted));
        assert_eq!(pieces(" [ ] ", false).unwrap(), []);
        assert_eq!(pieces("[1,]", false).unwrap(), all(&[(1, "1"), (1, "")]));
        assert_eq!(pieces("\n{\"a\":\n{}}\n", false).unwrap(), all(&[(2, "{\"a\":\n{}}")]));
        let lines = pieces("{\"a\":1}\r\n\r\n{\"a\":\n{\"c\":3}", true).unwrap();
        assert_eq!(lines, all(&[(1, "{\"a\":1}"), (3, "{\"a\":"), (4, "{\"c\":3}")]));
    }

    #[test]
    fn a_value_that_is_too_large_is_one_of_many() {
        let text = format!("[{{\"a\":\"{}\"}},\n{{}}]", "x".repeat(MOST_ITEM_BYTES));
        assert_eq!(pieces(&text, false).unwrap(), all(&[(1, "too large"), (2, "{}")]));
        let text = format!("\"{}\"\n{{}}", "x".repeat(MOST_ITEM_BYTES));
        assert_eq!(pieces(&text, true).unwrap(), all(&[(1, "too large"), (2, "{}")]));
    }

    #[test]
    fn what_has_no_end_or_is_no_list_is_refused_with_its_line() {
        for (text, line, word) in [
            ("[1,\n{\"a\":", "line 2", "cut off"),
            ("[1,\n2", "line 2", "cut off"),
            ("[\"abc", "line 1", "cut off"),
            ("[", "line 1", "cut off"),
            ("{}\n{}", "line 2", "jsonl"),
            ("[1]\n[2]", "line 2", "behind"),
            ("7", "line 1", "neither"),
            ("", "line 1", "neither"),
        ] {
            let refused = pieces(text, false).unwrap_err().to_string();
            assert!(refused.contains(line) && refused.contains(word), "{text:?}: {refused}");
        }
        let deep = "[".repeat(200_000);
        assert!(pieces(&deep, false).unwrap_err().to_string().contains("cut off"));
    }
}
