//! Random chapters, all that Markdown can say, the same for the same seed.

use super::sample::Script;
use crate::book::{Alignment, Event, Tag};

/// Makes random chapters that Markdown can say, from a seed.
pub(super) struct Author {
    pub(super) state: u64,
    /// Whether a note may be mentioned, as a count.
    pub(super) notes: usize,
}

impl Author {
    /// SplitMix64.
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Blanks stand only between words, as those at edges mean nothing.
    fn words(&mut self) -> String {
        const PIECES: [&str; 46] = [
            "a",
            "Word",
            "snake_case",
            "_x_",
            "*",
            "**b**",
            "1.",
            "2)",
            "-",
            "+",
            "#",
            "##",
            ">",
            "~~~",
            "```",
            "`",
            "===",
            "---",
            "[x]",
            "[x](y)",
            "[^1]:",
            "!",
            "!b",
            "<b>",
            "&amp;",
            "&",
            "|",
            "a|b",
            "\\",
            "\\*",
            "é",
            "日本",
            "“q”",
            "x^2^",
            "~y~",
            "{#id}",
            "}",
            "<!--",
            "https://x.org",
            ":",
            ":-:",
            "1986\\.",
            "a*b*c",
            "\u{3000}z",
            "(",
            "end.",
        ];
        let count = 1 + self.below(4);
        (0..count).map(|_| self.pick(&PIECES)).collect::<Vec<_>>().join(" ")
    }

    fn runs(&mut self, s: &mut Script, depth: usize, in_line: bool, open: &mut Vec<u64>) {
        let mut last = 99;
        for _ in 0..=self.below(4) {
            let kind = self.below(13);
            // Marks of a kind that touch are one.
            if kind == last {
                continue;
            }
            match kind {
                0 | 1 => _ = s.add(Event::Text(self.words().into())),
                2 => {
                    _ = s.add(Event::Code(
                        self.pick(&["c", "`", "a``b", " x ", "*", "\\", "a\\b", "a|b", "|", "\\|"]).into(),
                    ))
                }
                3..=7 if depth < 3 && !open.contains(&kind) => {
                    // Tildes can't be nested or touch; carets in them can't always.
                    let is_tilde = |kind: u64| matches!(kind, 5..=7);
                    if is_tilde(kind) && (is_tilde(last) || open.iter().any(|open| is_tilde(*open))) {
                        continue;
                    }
                    let tag = match kind {
                        3 => Tag::Emphasis,
                        4 => Tag::Strong,
                        5 => Tag::Strikethrough,
                        6 => Tag::Superscript,
                        _ => Tag::Subscript,
                    };
                    open.push(kind);
                    s.inside(tag, |s| {
                        s.add(Event::Text(self.words().into()));
                        if self.below(2) == 0 {
                            self.runs(s, depth + 1, in_line, open);
                            s.add(Event::Text(self.words().into()));
                        }
                    });
                    open.pop();
                }
                // A link right behind a note's mark gets a blank before it.
                8 if last != 12 && !open.contains(&8) => {
                    let target =
                        self.pick(&["https://x.org/a_b?c&d", "#x", "0001-a.md#y", "a b", "(x)", "", "<"]);
                    let title = self.pick(&["", "t", "\"q\" \\ & &amp; *", "a|b"]);
                    open.push(8);
                    s.inside(Tag::Link { target: target.into(), title: title.into() }, |s| {
                        s.add(Event::Text(self.words().into()));
                        self.runs(s, depth + 1, in_line, open);
                        s.add(Event::Text(self.words().into()));
                    });
                    open.pop();
                }
                9 => {
                    let alt = self.pick(&["", "alt", "a [b] *c* | `d`"]).into();
                    let title = self.pick(&["", "cap \"x\""]).into();
                    s.add(Event::Image { source: self.pick(&["a.png", "b c.png"]).into(), alt, title });
                }
                10 if in_line && last < 2 && depth == 0 => {
                    s.add(Event::SoftBreak).add(Event::Text(self.words().into()));
                    last = 0;
                    continue;
                }
                11 if in_line && last < 2 && depth == 0 => {
                    s.add(Event::HardBreak).add(Event::Text(self.words().into()));
                    last = 0;
                    continue;
                }
                12 if self.notes > 0 && !open.contains(&8) => {
                    _ = s.add(Event::FootnoteReference("n1".into()))
                }
                _ => continue,
            }
            last = kind;
        }
        if last == 99 {
            s.add(Event::Code("z".into()));
        }
    }

    /// Adds some blocks.
    pub(super) fn blocks(&mut self, s: &mut Script, depth: usize) {
        for _ in 0..=self.below(3) {
            match self.below(if depth < 4 { 9 } else { 4 }) {
                0..=2 => _ = s.inside(Tag::Paragraph, |s| self.runs(s, 0, true, &mut Vec::new())),
                3 => {
                    let level = 2 + self.below(5) as u8;
                    let anchor = self.pick(&[None, Some("an-ch_or")]).map(Into::into);
                    s.inside(Tag::Heading { level, anchor }, |s| self.runs(s, 0, false, &mut Vec::new()));
                }
                4 => _ = s.inside(Tag::Quote, |s| self.blocks(s, depth + 1)),
                5 => self.list(s, depth),
                6 => {
                    let language = self.pick(&["", "rust", "a b", "`x`"]).into();
                    let text = self.pick(&["", "x\n", "```\n", "  a\n\n\tb\n", "> q\n~~~~\n"]);
                    s.inside(Tag::CodeBlock { language }, |s| {
                        if !text.is_empty() {
                            s.text(text);
                        }
                    });
                }
                7 => self.table(s),
                _ => _ = s.add(Event::Rule),
            }
        }
    }

    fn list(&mut self, s: &mut Script, depth: usize) {
        let first = self.pick(&[None, Some(1), Some(0), Some(9), Some(123_456_789)]);
        let (items, is_loose) = (2 + self.below(2), self.below(2) == 0);
        s.inside(Tag::List { first }, |s| {
            for _ in 0..items {
                s.inside(Tag::Item, |s| {
                    if is_loose {
                        s.inside(Tag::Paragraph, |s| self.runs(s, 0, true, &mut Vec::new()));
                        self.blocks(s, depth + 2);
                        return;
                    }
                    match self.below(8) {
                        0 => return,
                        1 => {
                            s.inside(Tag::CodeBlock { language: "x".into() }, |s| _ = s.text("> x\n"));
                            return;
                        }
                        2 if depth < 3 => return self.list(s, depth + 2),
                        3 => {
                            s.inside(Tag::Quote, |s| _ = s.paragraph("q"));
                            return;
                        }
                        _ => self.runs(s, 0, true, &mut Vec::new()),
                    }
                    match self.below(4) {
                        0 => _ = s.add(Event::Rule),
                        1 => _ = s.inside(Tag::CodeBlock { language: "".into() }, |s| _ = s.text("x\n")),
                        2 if depth < 3 => {
                            _ = s.inside(Tag::List { first: None }, |s| {
                                s.inside(Tag::Item, |s| self.runs(s, 0, true, &mut Vec::new()));
                            })
                        }
                        _ => {}
                    }
                });
            }
        });
    }

    fn table(&mut self, s: &mut Script) {
        let columns = [Alignment::None, Alignment::Left, Alignment::Center, Alignment::Right];
        let columns = columns[..1 + self.below(4) as usize].to_vec();
        let (count, rows) = (columns.len(), self.below(3));
        s.inside(Tag::Table { columns }, |s| {
            for row in 0..=rows {
                s.inside(if row == 0 { Tag::TableHead } else { Tag::TableRow }, |s| {
                    for _ in 0..count {
                        s.inside(Tag::TableCell, |s| self.runs(s, 0, false, &mut Vec::new()));
                    }
                });
            }
        });
    }
}
