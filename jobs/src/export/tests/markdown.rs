//! What the writer writes reads back as the same events.

use std::fmt::Write;

use pulldown_cmark::{CodeBlockKind, Event as Read, HeadingLevel, Parser, Tag as ReadTag};

use super::sample::{Script, exported};
use crate::{
    book::{Alignment, Event, Tag},
    export::{
        Format,
        markdown::{MarkdownWriter, dialect},
    },
};

/// Events of a chapter as text, one a line; texts that touch are one.
fn written(events: &[Event<'static>]) -> String {
    let (mut out, mut text) = (String::new(), String::new());
    for event in events {
        if let Event::Text(more) = event {
            text.push_str(more);
            continue;
        }
        flush(&mut out, &mut text);
        match event {
            Event::Start(Tag::Link { target, title }) => writeln!(out, "link {target:?} {title:?}").unwrap(),
            Event::Start(Tag::Footnote { label }) => writeln!(out, "Footnote {label:?}").unwrap(),
            Event::Start(tag) => writeln!(out, "{tag:?}").unwrap(),
            Event::End(tag) => writeln!(out, "/{tag:?}").unwrap(),
            other => writeln!(out, "{other:?}").unwrap(),
        }
    }
    flush(&mut out, &mut text);
    out
}

fn flush(out: &mut String, text: &mut String) {
    if !text.is_empty() {
        writeln!(out, "text {:?}", std::mem::take(text)).unwrap();
    }
}

/// The same, of Markdown.
fn read(markdown: &str) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    let mut ends = Vec::new();
    let mut image: Option<(String, String, String)> = None;
    for event in Parser::new_ext(markdown, dialect()) {
        if let Some((source, alt, title)) = &mut image {
            match event {
                Read::Text(text) | Read::Code(text) => alt.push_str(&text),
                Read::End(pulldown_cmark::TagEnd::Image) => {
                    let (source, alt, title) =
                        (source.clone().into(), alt.clone().into(), title.clone().into());
                    events.push(Event::Image { source, alt, title });
                    image = None;
                }
                other => panic!("{other:?} in an image"),
            }
            continue;
        }
        events.push(match event {
            Read::Start(ReadTag::Image { dest_url, title, .. }) => {
                let name = dest_url.strip_prefix("../images/").unwrap_or(&dest_url).to_owned();
                image = Some((name, String::new(), title.into_string()));
                continue;
            }
            Read::Start(tag) => {
                let tag = start(tag);
                ends.push(tag.end());
                Event::Start(tag)
            }
            Read::End(_) => Event::End(ends.pop().unwrap()),
            Read::Text(text) => Event::Text(text.into_string().into()),
            Read::Code(code) => Event::Code(code.into_string().into()),
            Read::SoftBreak => Event::SoftBreak,
            Read::HardBreak => Event::HardBreak,
            Read::Rule => Event::Rule,
            Read::FootnoteReference(label) => Event::FootnoteReference(label.into_string().into()),
            other => panic!("{other:?} in {markdown}"),
        });
    }
    events
}

fn start(tag: ReadTag<'_>) -> Tag<'static> {
    match tag {
        ReadTag::Paragraph => Tag::Paragraph,
        ReadTag::Heading { level, id, .. } => Tag::Heading {
            level: match level {
                HeadingLevel::H1 => 1,
                HeadingLevel::H2 => 2,
                HeadingLevel::H3 => 3,
                HeadingLevel::H4 => 4,
                HeadingLevel::H5 => 5,
                HeadingLevel::H6 => 6,
            },
            anchor: id.map(|id| id.into_string().into()),
        },
        ReadTag::BlockQuote(_) => Tag::Quote,
        ReadTag::CodeBlock(CodeBlockKind::Fenced(language)) => {
            Tag::CodeBlock { language: language.into_string().into() }
        }
        ReadTag::List(first) => Tag::List { first },
        ReadTag::Item => Tag::Item,
        ReadTag::FootnoteDefinition(label) => Tag::Footnote { label: label.into_string().into() },
        ReadTag::Table(columns) => Tag::Table {
            columns: columns
                .into_iter()
                .map(|column| match column {
                    pulldown_cmark::Alignment::None => Alignment::None,
                    pulldown_cmark::Alignment::Left => Alignment::Left,
                    pulldown_cmark::Alignment::Center => Alignment::Center,
                    pulldown_cmark::Alignment::Right => Alignment::Right,
                })
                .collect(),
        },
        ReadTag::TableHead => Tag::TableHead,
        ReadTag::TableRow => Tag::TableRow,
        ReadTag::TableCell => Tag::TableCell,
        ReadTag::Emphasis => Tag::Emphasis,
        ReadTag::Strong => Tag::Strong,
        ReadTag::Strikethrough => Tag::Strikethrough,
        ReadTag::Superscript => Tag::Superscript,
        ReadTag::Subscript => Tag::Subscript,
        ReadTag::Link { dest_url, title, .. } => {
            Tag::Link { target: dest_url.into_string().into(), title: title.into_string().into() }
        }
        other => panic!("{other:?}"),
    }
}

fn markdown(events: &[Event<'static>]) -> String {
    let mut writer = MarkdownWriter::for_project();
    for event in events {
        writer.event(event);
    }
    std::mem::take(writer.buffer())
}

fn assert_same(events: &[Event<'static>]) {
    let markdown = markdown(events);
    let (before, after) = (written(events), written(&read(&markdown)));
    assert!(before == after, "--- wrote\n{before}\n--- as\n{markdown}\n--- read\n{after}");
}

/// Makes random chapters that Markdown can say, from a seed.
struct Author {
    state: u64,
    notes: usize,
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
            "a", "Word", "snake_case", "_x_", "*", "**b**", "1.", "2)", "-", "+", "#", "##", ">", "~~~", "```", "`",
            "===", "---", "[x]", "[x](y)", "[^1]:", "!", "!b", "<b>", "&amp;", "&", "|", "a|b", "\\", "\\*", "é", "日本",
            "“q”", "x^2^", "~y~", "{#id}", "}", "<!--", "https://x.org", ":", ":-:", "1986\\.", "a*b*c", "\u{3000}z",
            "(", "end.",
        ];
        let count = 1 + self.below(4);
        (0..count).map(|_| self.pick(&PIECES)).collect::<Vec<_>>().join(" ")
    }

    fn runs(&mut self, s: &mut Script, depth: usize, in_line: bool, open: &mut Vec<u64>) {
        let mut last = 99;
        for _ in 0..=self.below(4) {
            let kind = self.below(13);
            // Texts that touch are one; marks of a kind that touch are, too.
            if kind == last || (last < 2 && kind < 2) {
                continue;
            }
            match kind {
                0 | 1 => drop(s.add(Event::Text(self.words().into()))),
                2 => drop(s.add(Event::Code(self.pick(&["c", "`", "a``b", " x ", "*", "\\", "a\\b"]).into()))),
                3..=7 if depth < 3 && !open.contains(&kind) => {
                    // Tildes can't be nested or touch.
                    if matches!(kind, 5 | 7) && (open.contains(&5) || open.contains(&7) || matches!(last, 5 | 7)) {
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
                            s.add(Event::Code("k".into()));
                            self.runs(s, depth + 1, in_line, open);
                            s.add(Event::Text(self.words().into()));
                        }
                    });
                    open.pop();
                }
                8 if !open.contains(&8) => {
                    let target = self.pick(&["https://x.org/a_b?c&d", "#x", "0001-a.md#y", "a b", "(x)", "", "<"]);
                    let title = self.pick(&["", "t", "\"q\" \\ & &amp; *", "a|b"]);
                    open.push(8);
                    s.inside(Tag::Link { target: target.into(), title: title.into() }, |s| {
                        s.add(Event::Text(self.words().into()));
                        s.add(Event::Code("l".into()));
                        self.runs(s, depth + 1, in_line, open);
                        s.add(Event::Code("m".into()));
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
                12 if self.notes > 0 => drop(s.add(Event::FootnoteReference("n1".into()))),
                _ => continue,
            }
            last = kind;
        }
        if last == 99 {
            s.add(Event::Code("z".into()));
        }
    }

    fn blocks(&mut self, s: &mut Script, depth: usize) {
        for _ in 0..=self.below(3) {
            match self.below(if depth < 4 { 9 } else { 4 }) {
                0..=2 => drop(s.inside(Tag::Paragraph, |s| self.runs(s, 0, true, &mut Vec::new()))),
                3 => {
                    let level = 2 + self.below(5) as u8;
                    let anchor = self.pick(&[None, Some("an-ch_or")]).map(Into::into);
                    s.inside(Tag::Heading { level, anchor }, |s| self.runs(s, 0, false, &mut Vec::new()));
                }
                4 => drop(s.inside(Tag::Quote, |s| self.blocks(s, depth + 1))),
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
                _ => drop(s.add(Event::Rule)),
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
                    self.runs(s, 0, true, &mut Vec::new());
                    match self.below(4) {
                        0 => drop(s.add(Event::Rule)),
                        1 => drop(s.inside(Tag::CodeBlock { language: "".into() }, |s| drop(s.text("x\n")))),
                        2 if depth < 3 => drop(s.inside(Tag::List { first: None }, |s| {
                            s.inside(Tag::Item, |s| self.runs(s, 0, true, &mut Vec::new()));
                        })),
                        _ => {}
                    }
                });
            }
        });
    }

    fn table(&mut self, s: &mut Script) {
        let columns = vec![Alignment::None, Alignment::Left, Alignment::Center, Alignment::Right];
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

#[test]
fn random_chapters_read_back_as_they_were() {
    let mut failures = Vec::new();
    for seed in 0..3_000 {
        let mut author = Author { state: seed, notes: (seed % 2) as usize };
        let mut s = Script::default();
        author.blocks(&mut s, 0);
        if author.notes > 0 {
            author.notes = 0;
            s.inside(Tag::Footnote { label: "n1".into() }, |s| author.blocks(s, 1));
        }
        let markdown = markdown(&s.0);
        let (before, after) = (written(&s.0), written(&read(&markdown)));
        if before != after {
            failures.push((before.len(), seed, format!("--- wrote\n{before}\n--- as\n{markdown}\n--- read\n{after}")));
        }
    }
    failures.sort();
    if let Some((_, seed, smallest)) = failures.first() {
        panic!("{} failures, the smallest has the seed {seed}:\n{smallest}", failures.len());
    }
}

#[test]
fn edges_of_marks_read_back_as_they_were() {
    let marks = [Tag::Emphasis, Tag::Strong, Tag::Strikethrough, Tag::Superscript, Tag::Subscript];
    for mark in marks {
        for (before, inner, after) in
            [("a", "b", "c"), ("a", "(b)", "c"), ("é", "“b”", "é"), ("(", "\u{a0}b\u{a0}", ")"), ("日", "本", "語")]
        {
            let mut s = Script::default();
            s.inside(Tag::Paragraph, |s| {
                s.text(before).inside(mark.clone(), |s| drop(s.text(inner))).text(after);
            });
            assert_same(&s.0);
        }
    }
}

#[test]
fn what_markdown_can_not_say_is_brought_close_and_counted() {
    let mut s = Script::default();
    s.inside(Tag::Paragraph, |s| {
        s.text("a").inside(Tag::Strong, |s| drop(s.text(" b "))).text("c");
        s.inside(Tag::Emphasis, |_| {}).add(Event::SoftBreak).add(Event::SoftBreak);
        s.inside(Tag::Subscript, |s| drop(s.text("d")));
        s.inside(Tag::Strikethrough, |s| drop(s.text("e"))).add(Event::HardBreak);
    });
    let mut writer = MarkdownWriter::for_project();
    s.0.iter().for_each(|event| writer.event(event));
    assert_eq!(writer.buffer(), "a **b** c\n~d~&#101;\n");
    assert_eq!(writer.losses().iter().collect::<Vec<_>>(), [("mark that can't be combined", 1)]);
}

#[test]
fn a_note_inside_a_list_is_written_behind_it() {
    let mut s = Script::default();
    s.add(Event::ChapterStart { index: 0, title: "The *first*".into() });
    s.inside(Tag::List { first: None }, |s| {
        for text in ["a", "b"] {
            s.inside(Tag::Item, |s| {
                s.text(text).add(Event::FootnoteReference("n".into()));
                s.inside(Tag::Footnote { label: "n".into() }, |s| drop(s.paragraph("Note.").paragraph("More.")));
            });
        }
    });
    s.paragraph("After.");
    let note = "[^n]: Note.\n\n    More.\n\n";
    assert_eq!(markdown(&s.0), format!("# The \\*first\\*\n\n- a[^n]\n- b[^n]\n\n{note}{note}After.\n"));
}

#[test]
fn a_book_has_front_matter_and_names_that_are_unique() {
    let text = String::from_utf8(exported(Format::Markdown).0).unwrap();
    let front = text.strip_prefix("+++\n").unwrap().split("+++\n").next().unwrap();
    let front: toml::Table = front.parse().unwrap();
    assert_eq!(front["authors"].as_array().unwrap().len(), 2);
    for part in [
        "# One {#c1}\n",
        "## A heading {#c1-place}\n",
        "[^c1-n_20_1]: A note.",
        "[^c2-n_20_1]: Another note",
        "](#c2-later)",
        "](#c2)",
        "![A drawing][image-2]",
        "\n[image-2]: data:image/svg+xml;base64,PHN2Z",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let body = &text[text.find("\n+++\n").unwrap() + 5..];
    let images = read(body).into_iter().filter(|event| matches!(event, Event::Image { .. })).count();
    assert_eq!(images, 4);
}
