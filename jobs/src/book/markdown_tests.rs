//! A chapter's Markdown becomes the events that it means, and nothing else.

use super::*;

/// Writes events down, one a line.
#[derive(Default)]
struct Kept(Vec<String>);

impl EventSink for Kept {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        self.0.push(format!("{event:?}").replace("\"\"", "-").replace('"', ""));
        Ok(())
    }
}

fn read(source: &str) -> (String, Losses) {
    let (kept, mut losses) = (Kept::default(), Losses::default());
    let mut checked = crate::book::Checked::new(kept, "x.md");
    read_chapter(source, "x.md", 0, &mut checked, &mut losses).unwrap();
    (checked.into_parts().0.0.join("\n"), losses)
}

#[test]
fn the_first_heading_is_the_title_and_others_begin_at_level_two() {
    let (events, _) = read("# The *Title* &amp; more\n\n# One {#a}\n\n### Two {#a}\n");
    assert!(events.starts_with("ChapterStart { index: 0, title: The Title & more }"), "{events}");
    assert!(events.contains("Heading { level: 2, anchor: Some(a) }"), "{events}");
    assert!(events.contains("Heading { level: 3, anchor: Some(a-2) }"), "{events}");
    assert!(events.ends_with("ChapterEnd"), "{events}");
}

#[test]
fn images_are_assets_by_name_or_on_the_web() {
    let (events, losses) =
        read("![a *b*](../images/my%20pic.png 'cap') ![w](https://x.org/a.png) ![lost](/etc/passwd)");
    assert!(events.contains("Image { source: my pic.png, alt: a b, title: cap }"), "{events}");
    assert!(events.contains("Image { source: https://x.org/a.png, alt: w, title: - }"), "{events}");
    assert!(events.contains("Text( lost)") || events.contains("Text(lost)"), "{events}");
    assert_eq!(losses.iter().collect::<Vec<_>>(), [("image from outside the project", 1)]);
}

#[test]
fn inline_html_is_balanced_whatever_it_says() {
    let (events, losses) =
        read("a <em>b <b>c</em> d<br>e\n\nnext </sup> <span>x</span>\n\n<div>\nz\n</div>\n");
    assert_eq!(events.matches("Start(Emphasis)").count(), 1);
    assert_eq!(events.matches("End(Emphasis)").count(), 1);
    assert_eq!(events.matches("HardBreak").count(), 1);
    assert_eq!(losses.iter().map(|(what, _)| what).collect::<Vec<_>>(), ["raw HTML"]);
}

#[test]
fn footnotes_are_defined_once_and_undefined_ones_stay_text() {
    let (events, losses) = read("a[^1] b[^none]\n\n[^1]: first\n\n[^1]: second\n\nend\n");
    assert_eq!(events.matches("FootnoteReference(1)").count(), 1);
    assert!(events.contains("[^none]"), "{events}");
    assert_eq!(events.matches("Start(Footnote").count(), 1);
    assert!(events.contains("Text(first)") && !events.contains("Text(second)"), "{events}");
    assert!(events.contains("Text(end)"), "{events}");
    assert_eq!(losses.iter().collect::<Vec<_>>(), [("repeated footnote", 1)]);
}

#[test]
fn tables_lists_code_and_links_come_through() {
    let (events, losses) = read(
        "| a | b |\n|:--|--:|\n| 1 | 2 |\n\n3. x\n   - y\n\n```rust ignore\nfn\n```\n\n[l](0002-b.md#c 't') <me@x.org> ~~s~~ ~2~ ^u^\n",
    );
    for part in [
        "Table { columns: [Left, Right] }",
        "Start(List { first: Some(3) })",
        "End(List(true))",
        "CodeBlock { language: rust }",
        "Link { target: 0002-b.md#c, title: t }",
        "Link { target: mailto:me@x.org",
        "Start(Strikethrough)",
        "Start(Subscript)",
        "Start(Superscript)",
    ] {
        assert!(events.contains(part), "{part}: {events}");
    }
    assert!(losses.is_empty());
}

#[test]
fn percent_signs_are_decoded_where_they_are_codes() {
    assert_eq!(percent_decode("a%20b%C3%A9%zz%4"), "a bé%zz%4");
}

#[test]
fn a_mark_finds_its_note_whatever_their_case_but_first_the_one_that_is_spelled_so() {
    let (events, losses) = read("a[^Note] b[^n] c[^N]\n\n- [^note]: text\n\n[^n]: one\n\n[^N]: two\n");
    for part in ["FootnoteReference(note)", "FootnoteReference(n)", "FootnoteReference(N)", "Text(two)"] {
        assert!(events.contains(part), "{part}: {events}");
    }
    assert!(losses.is_empty());
}

#[test]
fn text_behind_a_letter_is_raised_and_lowered_as_people_write_it() {
    let raised = |source: &str| {
        let (events, _) = read(source);
        let lines = events.lines().filter_map(|line| match line {
            "Start(Superscript)" => Some("<"),
            "End(Superscript)" => Some(">"),
            "Start(Subscript)" => Some("{"),
            "End(Subscript)" => Some("}"),
            line => line.strip_prefix("Text(").and_then(|text| text.strip_suffix(')')),
        });
        lines.collect::<String>()
    };
    for (source, expected) in [
        (
            "x^2+y^2=z^2 <http://a.org/~a/~b> C:\\PROGRA~1\\MICROS~2",
            "x^2+y^2=z^2 http://a.org/~a/~b C:\\PROGRA~1\\MICROS~2",
        ),
        ("a~b~c Ca^2+^", "a~b~c Ca<2+>"),
        ("E=mc^2^ and x^2^y, H~2~O; C~6~H~12~O~6~.", "E=mc<2> and x<2>y, H{2}O; C{6}H{12}O{6}."),
        ("^14^C (a)^2^b ^u^ ~d~ *x*^2^", "<14>C (a)<2>b <u> {d} x<2>"),
        ("a^b c^ 2^10 and 2^20 x^ ~5 to ~10", "a^b c^ 2^10 and 2^20 x^ ~5 to ~10"),
        ("x\\^2^ x^2\\^ x&#94;2^ x\\\\^2^ x^a\\^b^", "x^2^ x^2^ x^2^ x\\<2> x<a^b>"),
        ("[^1][^2] a~~b~~", "[^1][^2] ab"),
        ("a^^b^^c", "a^^b^^c"),
        ("![x^2^](https://x.org/a.png) ^a b^", " <a b>"),
        ("| x^2^ | H~2~O |\n|---|---|\n", "x<2>H{2}O"),
        ("```\nx^2^\n```\n\n    H~2~O\n", "x^2^\nH~2~O\n"),
    ] {
        assert_eq!(raised(source).replace("\\\\", "\\").replace("\\n", "\n"), expected, "{source}");
    }
    let long = format!("x^{}^", "a".repeat(101));
    assert_eq!(raised(&long), long);
    assert!(raised(&format!("x^{}^", "a".repeat(100))).ends_with("a>"));
}
