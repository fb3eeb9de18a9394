//! The work itself, a little at a time. Owns: [`Writer`]. Must not know: threads, or who waits.

use super::{
    choose::Choice,
    names::Names,
    network::Network,
    pieces::{Piece, Pieces},
    spoken::Spoken,
    weights::Weights,
};
use crate::model::{Finish, Request};

/// So many pieces of the request's end are read: some 2,000 letters.
const READ: usize = 512;
/// As many bytes as those pieces never have.
const READ_BYTES: usize = 8_192;

/// Reads a request, then writes.
pub(super) struct Writer {
    pieces: &'static Pieces,
    network: Network,
    choice: Choice,
    spoken: Spoken,
    /// What is still to be read, the next at the end.
    unread: Vec<Piece>,
    /// Counted: what was to be read, what has been written and may be.
    input: u64,
    written: u32,
    most: u32,
    /// Whether a paragraph begins.
    begins: bool,
}

/// What has come of some work.
pub(super) struct Step {
    /// More text, or none.
    pub(super) text: String,
    /// Why it has ended, once it has.
    pub(super) finish: Option<Finish>,
}

impl Writer {
    /// The same request and seed give the same text.
    pub(super) fn new(weights: &'static Weights, request: &Request, most: u32, seed: u64) -> Self {
        let said: Vec<&str> = request.messages.iter().map(|message| &*message.text).collect();
        let said = said.join("\n");
        let pieces = &weights.pieces;
        let last = said.ceil_char_boundary(said.len().saturating_sub(READ_BYTES));
        let mut unread = vec![pieces.end];
        unread.extend(pieces.of(&said[last..]).into_iter().rev().take(READ));
        unread.push(pieces.end);
        Self {
            pieces,
            network: Network::new(weights),
            choice: Choice::new(request.temperature, request.top_p, seed),
            spoken: Spoken::new(Names::of(&said), request.stop.clone()),
            input: unread.len() as u64,
            unread,
            written: 0,
            most: request.max_output_tokens.min(most),
            begins: true,
        }
    }

    /// Reads or writes one more piece.
    pub(super) fn step(&mut self) -> Step {
        if let Some(piece) = self.unread.pop() {
            self.network.read(piece);
            return Step { text: String::new(), finish: None };
        }
        let Some(piece) = self.choose() else { return self.end(Finish::Stop) };
        self.written += 1;
        // In its last quarter it ends where a paragraph does: it knows no other end.
        if piece == self.pieces.end && self.written > self.most - self.most / 4 {
            return self.end(Finish::Stop);
        }
        self.begins = piece == self.pieces.end;
        self.network.read(piece);
        let text = self.spoken.hear(self.pieces.text(piece));
        if self.spoken.is_over() {
            return Step { text, finish: Some(Finish::Stop) };
        }
        if self.written < self.most {
            return Step { text, finish: None };
        }
        let last = self.end(Finish::Length);
        Step { text: text + &last.text, ..last }
    }

    /// How many pieces are read, and how many have been written.
    pub(super) fn used(&self) -> (u64, u64) {
        (self.input, self.written.into())
    }

    fn choose(&mut self) -> Option<Piece> {
        let likely = self.network.next();
        let texts = self.pieces.texts();
        let begins = |piece: Piece| {
            let text = texts.get(usize::from(piece)).copied().unwrap_or(" ");
            text.starts_with(|letter: char| letter.is_ascii_uppercase() || letter == '"')
        };
        self.choice.next(&likely, |piece| !self.begins || begins(piece))
    }

    fn end(&mut self, finish: Finish) -> Step {
        let text = self.spoken.finish();
        // What stands between paragraphs ends none.
        let finish = if self.spoken.is_over() { Finish::Stop } else { finish };
        Step { text: text.trim_end().to_owned(), finish: Some(finish) }
    }
}
