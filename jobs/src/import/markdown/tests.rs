//! Markdown manuscripts, one file or a folder of them, as people write them.

use super::super::{
    Source, SourceFile, import,
    tests::{Kept, PNG, file, run},
};
use super::*;

fn md(text: &str) -> (Kept, Imported) {
    run(SourceFormat::Markdown, "book.md", text.as_bytes()).unwrap()
}

#[test]
fn a_file_is_split_at_its_topmost_headings() {
    let (kept, _) = md("Front.\n\n# One #\n\na\n\n```\n# no\n```\n\n### Deep\n\nTwo\n===\n\nb\n\n    # no\n");
    assert_eq!(kept.titles(), ["", "One", "Two"]);
    assert!(
        kept.chapters[1].2.contains("# no") && kept.chapters[1].2.contains("### Deep"),
        "{}",
        kept.text()
    );
    assert!(kept.chapters[2].2.starts_with("# Two\n\nb\n"), "{}", kept.text());
}

#[test]
fn one_title_above_chapters_is_the_books() {
    let (kept, imported) = md("The *Book*\n==========\n\nFront.\n\n## One\n\na\n\n### Deep\n\n## Two\n\nb\n");
    assert_eq!(imported.metadata.title, "The Book");
    assert_eq!(kept.titles(), ["", "One", "Two"]);
    assert!(kept.chapters[1].2.contains("## Deep"), "{}", kept.text());
    let (kept, imported) = md("# Only\n\ntext\n");
    assert_eq!((kept.titles(), imported.metadata.title.as_str()), (vec!["Only"], "Only"));
}

#[test]
fn definitions_anywhere_resolve_in_every_chapter() {
    let (kept, imported) = md(concat!(
        "# One\n\na[^n] [x][Ref] [y]\n\n[y]: http://y.org\n[^u]: unused\n\n# Two\n\nb[^n]\n\n[^n]: note [x][ref]\n\n    more\n\n",
        "[ref]: <http://r.org> 'T'\n",
    ));
    assert!(
        kept.chapters
            .iter()
            .all(|(_, _, text)| { text.contains("[^n]: note [x](http://r.org \"T\")\n\n    more\n") }),
        "{}",
        kept.text()
    );
    assert!(kept.chapters[0].2.contains("[y](http://y.org)"), "{}", kept.text());
    assert!(kept.chapters[1].2.contains("more"));
    let losses: Vec<_> = imported.report.losses.iter().collect();
    assert_eq!(losses, [("footnote that nothing refers to", 1)]);
}

#[test]
fn links_lead_to_chapters_by_their_headings() {
    let (kept, imported) = md(
        "# One\n\n[a](#two) [b](#deep-er) [c](#own) [d](#none) [e](javascript:x) [f](#here)\n\n## Here\n\n# Two\n\n## Deep, er\n\n## X {#own}\n",
    );
    let text = &kept.chapters[0].2;
    for part in [
        "[a](0002-two.md)",
        "[b](0002-two.md#deep-er)",
        "[c](0002-two.md#own)",
        " d ",
        "[f](#here)",
        "## Here {#here}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(kept.chapters[1].2.contains("## Deep, er {#deep-er}"), "{}", kept.text());
    assert_eq!(imported.report.losses.iter().collect::<Vec<_>>(), [("link that leads nowhere", 2)]);
}

#[test]
fn images_come_from_the_folder_and_nowhere_else() {
    let (_a, one) = file(
        "part/1-one.md",
        b"# One\n\n![a](../img/P.png) ![b](../../x.png) ![c](/etc/passwd) ![d](no.png) [l](10-ten.md)\n",
    );
    let (_b, ten) = file(
        "part/10-ten.md",
        b"No title. ![a](../img/p.png) ![i](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUl\
          EQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==)\n",
    );
    let (_c, two) = file("part/2-two.md", b"---\ntitle: T\ncover: ../img/p.png\n---\n# Two\n\n# Three\n");
    let (_d, picture) = file("img/p.png", PNG);
    let mut kept = Kept::default();
    let imported =
        import(SourceFormat::Markdown, &Source::Folder(vec![ten, two, picture, one]), &mut kept).unwrap();
    assert_eq!(kept.titles(), ["One", "Two", "Three", "10 ten"]);
    assert_eq!(kept.assets.keys().collect::<Vec<_>>(), ["p.png", "picture.png"]);
    assert_eq!(kept.assets["p.png"].1, PNG);
    assert!(
        kept.chapters[0].2.contains("![a](../images/p.png) b c d [l](0004-10-ten.md)"),
        "{}",
        kept.text()
    );
    assert_eq!(imported.metadata.title, "T");
    assert_eq!(imported.report.losses.iter().collect::<Vec<_>>(), [("image that was not found", 3)]);
    assert_eq!(imported.report.warnings.len(), 3, "{:?}", imported.report.warnings);
}

#[test]
fn rules_in_front_are_not_taken_for_metadata() {
    let (kept, _) = md("---\n\nJust text.\n\n---\n\nMore.\n");
    assert!(kept.text().contains("Just text.") && kept.text().contains("More."));
    let (_, imported) = md("+++\ntitle = \"T\"\n+++\ntext\n");
    assert_eq!(imported.metadata.title, "T");
}

#[test]
fn broken_and_empty_files_are_refused() {
    let refused = |bytes: &[u8]| run(SourceFormat::Markdown, "b.md", bytes).err().unwrap().to_string();
    assert!(refused(b"# a\n\xff\n").starts_with("b.md, line 2, byte 4"));
    assert!(refused(b"# \n\n---\n").contains("empty"));
    assert!(refused(b"").contains("empty"));
    let deep = "> ".repeat(80) + "x\n";
    assert!(refused(deep.as_bytes()).contains("64 deep"));
    let nothing =
        import(SourceFormat::Markdown, &Source::Folder(Vec::<SourceFile>::new()), &mut Kept::default());
    assert!(nothing.is_err());
}

#[test]
fn huge_chapters_are_split_and_told() {
    let text = format!("# Big\n\n{}", "A line of a paragraph that goes on.\n\n".repeat(300_000));
    let (kept, imported) = md(&text);
    assert!(kept.chapters.len() >= 3, "{}", kept.chapters.len());
    assert_eq!(kept.chapters[1].1, "Big (continued)");
    assert_eq!(kept.chapters[1].0, "0001-big-part-2.md");
    assert!(imported.report.warnings[0].contains("was split"));
    let lines: usize = kept.chapters.iter().map(|(_, _, text)| text.matches("A line").count()).sum();
    assert_eq!(lines, 300_000);
    let long = format!("# A\n\n{}\n[^n]: note\n", "x[^n] and more of it\n\n".repeat(50_000));
    let (kept, _) = md(&long);
    assert_eq!((kept.chapters.len(), kept.text().matches("[^n]: note").count()), (1, 1));
    let (kept, _) = md(&"word ".repeat(2_000_000));
    assert!(kept.chapters.len() >= 2);
}

#[test]
fn pictures_in_definitions_come_in_whatever_their_size_and_may_be_the_cover() {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let large = [PNG, &vec![7; 600_000]].concat();
    let text = format!(
        "+++\ncover = \"image-2\"\n+++\n\n# One\n\n![a][image-1]\n\n# Two\n\n![b][image-1] ![c](embedded:9)\n\n\
         [image-1]: data:image/png;base64,{}\n[image-2]: data:image/png;base64,{}\n",
        encode(&large),
        encode(PNG)
    );
    let (kept, imported) = md(&text);
    assert_eq!(imported.metadata.cover.as_deref(), Some("image-2.png"));
    assert_eq!(kept.assets["image-1.png"].1, large);
    for (_, _, chapter) in &kept.chapters {
        assert!(chapter.contains("](../images/image-1.png)"), "{}", &chapter[..chapter.len().min(200)]);
    }
    assert_eq!(imported.report.images, 2);
    assert!(imported.report.words < 10, "{}", imported.report.words);
}

#[test]
fn a_book_of_too_many_chapters_is_refused_before_any_is_written() {
    let (text, mut kept) = ("# A\n\nx\n\n".repeat(50_001), Kept::default());
    let (_folder, source) = file("book.md", text.as_bytes());
    let error = import(SourceFormat::Markdown, &Source::File(source), &mut kept).unwrap_err().to_string();
    assert!(error.contains("more than 50,000 chapters") && kept.chapters.is_empty(), "{error}");
}

#[test]
fn pictures_whose_names_differ_by_case_stay_two() {
    let other = [PNG, b"other"].concat();
    let (_a, text) = file("1.md", b"# One\n\n![a](pic.png) ![b](PIC.png) ![c](Pic.png)\n");
    let ((_b, upper), (_c, lower)) = (file("PIC.png", &other), file("pic.png", PNG));
    let mut kept = Kept::default();
    import(SourceFormat::Markdown, &Source::Folder(vec![text, upper, lower]), &mut kept).unwrap();
    assert_eq!(kept.assets["pic.png"].1, PNG);
    assert_eq!(kept.assets.len(), 2);
    assert!(kept.assets.values().any(|(_, bytes)| *bytes == other));
}

#[test]
fn chapters_begin_where_their_owner_says() {
    let text = "# Part\n\na [two](#chapter-2)\n\n## Chapter 1\n\nb\n\n### Chapter 2\n\nc\n\n## Notes\n\nd\n";
    let marked = |marks: &[&str]| {
        let marks: Vec<ChapterMark> = marks.iter().map(|mark| mark.parse().unwrap()).collect();
        let (_file, source) = crate::import::tests::file("book.md", text.as_bytes());
        let mut kept = crate::import::tests::Kept::default();
        import_file(&source, &marks, &mut kept).unwrap();
        (kept.titles().join("|"), kept.text())
    };
    assert_eq!(marked(&["h1"]).0, "Part");
    assert_eq!(marked(&["h2"]).0, "Part|Chapter 1|Notes");
    let (titles, text) = marked(&["Chapter #"]);
    assert_eq!(titles, "|Chapter 1|Chapter 2");
    assert!(text.contains("[two](0003-chapter-2.md)"), "{text}");
}

#[test]
fn code_that_is_larger_than_a_piece_stays_code_and_is_cut_behind_lines() {
    let lines: String =
        (0..60_000).map(|n| format!("let **x{n}** = \"<&>\" _it_; // # no heading\n")).collect();
    let text = format!("# A\n\nBefore.\n\n```rust\n{lines}```\n\nProse *after* it.\n\n## Heading\n\nEnd.\n");
    let (kept, imported) = md(&text);
    let (_, title, written) = &kept.chapters[0];
    assert_eq!((kept.chapters.len(), title.as_str()), (1, "A"));
    assert!(
        written.ends_with("```\n\nProse *after* it.\n\n## Heading\n\nEnd.\n"),
        "{}",
        &written[written.len() - 80..]
    );
    let code: String =
        written.split("```").skip(1).step_by(2).map(|code| code.strip_prefix("rust\n").unwrap()).collect();
    assert!(code == lines, "every line of it, whole and once");
    let split = imported.report.losses.iter().find(|(what, _)| *what == "over-long paragraph, split");
    assert!(split.is_some(), "{:?}", imported.report.losses);
    let (again, imported) = md(written);
    assert!(again.chapters[0].2 == *written, "what was split is not split again");
    assert!(imported.report.losses.iter().next().is_none(), "{:?}", imported.report.losses);
}

#[test]
fn a_chapter_that_was_split_is_not_split_again() {
    let text = format!("# Big\n\n{}", format!("{}\n\n", "A paragraph. ".repeat(80)).repeat(4_500));
    let (kept, _) = md(&text);
    let all: String = kept.chapters.iter().map(|(_, _, text)| format!("{text}\n")).collect();
    let (again, imported) = md(&all);
    assert_eq!(again.titles(), kept.titles());
    assert!(imported.report.warnings.is_empty(), "{:?}", imported.report.warnings);
}

#[test]
fn a_large_table_stays_one_and_one_that_no_chapter_holds_is_refused() {
    let table = |rows: usize| {
        let rows: String = (0..rows).map(|n| format!("| row {n} | some more words in it |\n")).collect();
        format!("# T\n\n| a | b |\n| --- | --- |\n{rows}\nAfter.\n")
    };
    let (kept, imported) = md(&table(50_000));
    assert_eq!(kept.text().matches("---").count(), 2, "one head");
    assert!(kept.text().contains("| row 49999 |") && kept.text().ends_with("\n\nAfter.\n"));
    assert!(imported.report.losses.iter().next().is_none());
    let refused = run(SourceFormat::Markdown, "t.md", table(150_000).as_bytes()).err().unwrap().to_string();
    assert!(refused.contains("larger than 4 MiB: divide it"), "{refused}");
    let list = format!("# L\n\n{}", "- an item of a list that has many of them\n".repeat(100_000));
    let items: usize =
        md(&list).0.chapters.iter().map(|(_, _, text)| text.matches("an item of").count()).sum();
    assert_eq!(items, 100_000);
}

#[test]
fn a_note_in_a_title_is_counted_and_not_spelled_out() {
    let (kept, imported) =
        md("# Top[^3] of *it*\n\ntext[^3] \n\nNext[^n]\n========\n\ntext\n\n[^3]: note\n[^n]: other\n");
    assert_eq!(kept.titles(), ["Top of it", "Next"]);
    let losses: Vec<_> = imported.report.losses.iter().collect();
    assert!(losses.contains(&("footnote reference in a title", 2)), "{losses:?}");
    assert_eq!(md("# A \\[^3\\] b\n\nx\n").0.titles(), ["A [^3] b"]);
}

#[test]
fn a_label_means_its_own_chapters_note_first_and_then_the_books() {
    let (kept, imported) = md(concat!(
        "Front[^1] [a].\n\n[^1]: zero\n\n[a]: http://zero.org\n\n# A\n\nx[^1] [a]\n\n[^1]: one\n\n## In A\n\n[^1]: more\n\n    of it\n\n",
        "# B\n\ny[^1] [a]\n\n## In B\n\n[^1]: two[^2]\n\n[a]: http://two.org\n\n# C\n\nz[^1] [a]\n\n# D\n\n[^2]: last\n\n[^2]: unread\n",
    ));
    let parts = [
        ["[^1]: zero", "http://zero.org"],
        ["[^1]: one", "http://zero.org"],
        ["[^1]: two[^2]", "http://two.org"],
        ["[^1]: zero", "http://zero.org"],
    ];
    for ((_, _, chapter), parts) in kept.chapters.iter().zip(parts) {
        assert!(parts.iter().all(|part| chapter.contains(part)), "{parts:?}: {chapter}");
        assert_eq!(chapter.matches("[^1]: ").count(), 1, "{chapter}");
    }
    assert!(kept.chapters[2].2.contains("[^2]: last"), "{}", kept.text());
    assert_eq!(imported.report.losses.iter().collect::<Vec<_>>(), [("repeated footnote", 2)]);
}

#[test]
fn each_file_of_a_folder_has_its_own_labels_and_a_books_title_begins_no_chapter() {
    let (_a, one) = file("1.md", b"# One\n\nx[^1]\n\n[^1]: first\n");
    let (_b, two) = file("2.md", b"# Two\n\ny[^1]\n\n[^1]: second\n");
    let mut kept = Kept::default();
    import(SourceFormat::Markdown, &Source::Folder(vec![one, two]), &mut kept).unwrap();
    assert!(kept.chapters[0].2.contains("[^1]: first") && kept.chapters[1].2.contains("[^1]: second"));
    let (kept, imported) = md("# Book\n\n## A\n\nx[^1]\n\n[^1]: one\n\nB\n---\n\ny[^1]\n\n[^1]: two\n");
    assert!(kept.chapters[0].2.contains("[^1]: one"), "{}", kept.text());
    assert!(kept.chapters[1].2.contains("[^1]: two"), "{}", kept.text());
    assert!(imported.report.losses.is_empty());
}

#[test]
fn links_to_the_empty_name_lead_to_no_heading_without_words() {
    let (kept, imported) = md(
        "# One\n\n[a](#) [b]() [c](#-1) [d](#two)\n\n# \u{2026}\n\nx\n\n# \u{2026}\n\ny\n\n# Two {#}\n\n[e](#)\n",
    );
    let text = kept.text();
    assert!(text.contains("a b c [d](0004-two.md)"), "{text}");
    assert_eq!(imported.report.losses.iter().collect::<Vec<_>>(), [("link that leads nowhere", 4)]);
}

#[test]
fn labels_are_the_same_whatever_their_case_and_a_book_has_one_spelling() {
    let (kept, imported) =
        md("# A\n\nx[^Note] y[^NOTE] z[^n]\n\n[^note]: text\n\n[^N]: first\n\n[^n]: second\n");
    let text = kept.text();
    assert!(text.contains("x[^note] y[^note] z[^N]"), "{text}");
    assert!(text.contains("[^note]: text") && text.contains("[^N]: first"), "{text}");
    assert_eq!(imported.report.losses.iter().collect::<Vec<_>>(), [("repeated footnote", 1)]);
    let (kept, _) = md("# A\n\n> x[^STRASSE]\n>\n> [^Stra\u{df}e]: text\n");
    assert_eq!(kept.text().matches("[^Stra\u{df}e]").count(), 2, "{}", kept.text());
}

#[test]
fn a_picture_in_a_title_begins_its_chapter_and_lost_marks_are_counted() {
    let picture = concat!(
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUl",
        "EQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
    );
    let text = format!(
        "# ![]({picture})\n\nx\n\n*Two* `b`<br>c ![alt]({picture}) <i>d</i> <x>\n===\n\n# Three\n\ny\n"
    );
    let (kept, imported) = md(&text);
    assert_eq!(kept.titles(), ["", "Two b c alt d", "Three"]);
    assert_eq!(kept.chapters[0].2, "#\n\n![](../images/picture.png)\n\nx\n");
    assert_eq!(kept.chapters[1].2, "# Two b c alt d\n\n![alt](../images/picture.png)\n");
    let losses: Vec<_> = imported.report.losses.iter().collect();
    assert_eq!(losses, [("mark in a title", 1), ("raw HTML", 1)]);
    let (_, imported) = md(&format!("# ![Book]({picture})\n\n## One\n\nx\n\n## Two\n\ny\n"));
    assert_eq!(imported.metadata.title, "Book");
    assert_eq!(imported.report.losses.iter().collect::<Vec<_>>(), [("image in a title", 1)]);
}
