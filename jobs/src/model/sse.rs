//! Server-sent events, as WHATWG's HTML describes them, without what belongs to reconnecting. Must not know: what is in them.
//!
//! Of our own because the crates for it bound no event (`sse-stream` 0.3, `eventsource-stream` 0.2), and a server may be anybody.

use std::collections::VecDeque;

use super::lines::{Lines, TooLarge};

/// Reads the data of events; their names are said again in the data by all who write them for models.
#[derive(Debug)]
pub(super) struct Sse {
    lines: Lines,
    event: Event,
    /// Whether the first line has come, before which a byte order mark may stand.
    begun: bool,
}

/// The event that is coming.
#[derive(Debug)]
struct Event {
    data: Vec<u8>,
    has_data: bool,
    most_bytes: usize,
}

impl Sse {
    pub(super) fn new(most_bytes: usize) -> Self {
        let event = Event { data: Vec::new(), has_data: false, most_bytes };
        Self { lines: Lines::new(most_bytes), event, begun: false }
    }

    /// Takes more bytes; adds the data of each event that is complete.
    pub(super) fn feed(&mut self, bytes: &[u8], ready: &mut VecDeque<Vec<u8>>) -> Result<(), TooLarge> {
        let Self { lines, event, begun } = self;
        lines.feed(bytes, |line| {
            let line = if *begun { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
            *begun = true;
            event.line(line, ready)
        })
    }

    /// Nothing more will come. An event that lacks only its end is taken: what is cut within is no JSON, and whether the
    /// answer is whole is not told by the stream's end.
    pub(super) fn end(&mut self, ready: &mut VecDeque<Vec<u8>>) -> Result<(), TooLarge> {
        let rest = self.lines.rest();
        self.event.line(&rest, ready)?;
        self.event.line(b"", ready)
    }
}

impl Event {
    fn line(&mut self, line: &[u8], ready: &mut VecDeque<Vec<u8>>) -> Result<(), TooLarge> {
        if line.is_empty() {
            if self.has_data {
                ready.push_back(std::mem::take(&mut self.data));
            }
            self.has_data = false;
            return Ok(());
        }
        // Anything else is a comment, a name, an id or a time to reconnect.
        let Some(value) = line.strip_prefix(b"data") else { return Ok(()) };
        let value = match value {
            [] => value,
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            _ => return Ok(()),
        };
        let separator = usize::from(self.has_data);
        if self.data.len() + separator + value.len() > self.most_bytes {
            return Err(TooLarge(self.most_bytes));
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]], most: usize) -> Result<Vec<String>, TooLarge> {
        let (mut sse, mut ready) = (Sse::new(most), VecDeque::new());
        for piece in pieces {
            sse.feed(piece, &mut ready)?;
        }
        sse.end(&mut ready)?;
        Ok(ready.into_iter().map(|data| String::from_utf8(data).unwrap()).collect())
    }

    #[test]
    fn events_are_the_same_wherever_the_pieces_are_cut() {
        let text = "\u{feff}: comment\r\n\r\nevent: ping\ndata: {\"a\":1}\nid: 3\n\n\ndata:two\rdata:  lines\r\r\
                    retry: 10\ndata\n\ndatax: no\ndata: größe 本\n\n:\n\ndata: last";
        let whole = events(&[text.as_bytes()], 1_000).unwrap();
        assert_eq!(whole, ["{\"a\":1}", "two\n lines", "", "größe 本", "last"]);
        for cut in 0..=text.len() {
            let (before, after) = text.as_bytes().split_at(cut);
            assert_eq!(events(&[before, after], 1_000).unwrap(), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(events(&single, 1_000).unwrap(), whole);
    }

    #[test]
    fn an_event_without_end_is_not_kept_in_whatever_lines_it_comes() {
        assert_eq!(events(&[b"data: 1234\n\n"], 10).unwrap(), ["1234"]);
        let many = b"data: 1\n".repeat(6);
        for huge in [b"data: 123456789\n\n".as_slice(), b": a comment without end", &many] {
            assert_eq!(events(&[huge], 10), Err(TooLarge(10)));
        }
        // Comments that keep a connection alive add up to nothing.
        assert_eq!(events(&[&b": alive\n\n".repeat(1_000)], 10).unwrap(), [""; 0]);
    }
}
