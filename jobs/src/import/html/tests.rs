//! HTML as people have it: saved by programs, written by hand, in pieces, broken.

use super::*;
use crate::import::{
    Source, import as import_source,
    tests::{Kept, PNG, file, run},
};

fn html(text: &str) -> (Kept, Imported) {
    run(SourceFormat::Html, "book.html", text.as_bytes()).unwrap()
}

fn data_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

#[test]
fn a_page_becomes_chapters_with_all_that_stands_in_them() {
    let text = format!(
        "<!DOCTYPE html><html lang=en-GB><head><meta charset=utf-8><title>The Book - A Site</title>\
         <meta name=author content='A. Writer'><meta name=description content='Short.'><style>p {{}}</style></head><body>\
         <nav><ol><li><a href='#one'>One</a></ol></nav><h1>The Book</h1>\
         <section id=one><h2>One</h2><p>Some <b>bold</b>, <i>italic</i> &amp; <a href='#two'>a link</a>.<p>Second\
         <ul><li>item<li>other</ul><blockquote><p>Said</blockquote></section>\
         <h2 id=two>Two</h2><h3 id=deep>Deeper</h3><table><tr><th>a<th>b<tr><td>1<td>2</table>\
         <p><img src='{}' alt=pic><script>alert(1)</script><a href='javascript:x'>bad</a> <a href='#deep'>up</a>",
        data_url(PNG)
    );
    let (kept, imported) = html(&text);
    let metadata = imported.metadata;
    assert_eq!((metadata.title.as_str(), metadata.language.as_str()), ("The Book", "en-GB"));
    assert_eq!((metadata.authors, metadata.description.as_str()), (vec!["A. Writer".to_owned()], "Short."));
    assert_eq!(kept.titles(), ["One", "Two"]);
    let (one, two) = (&kept.chapters[0].2, &kept.chapters[1].2);
    for said in ["**bold**", "*italic*", "&", "[a link](0002-two.md)", "- item", "> Said"] {
        assert!(one.contains(said), "{said}: {one}");
    }
    for said in ["## Deeper", "| a", "| 1", "![pic](../images/picture.png)", "bad", "[up](#"] {
        assert!(two.contains(said), "{said}: {two}");
    }
    assert!(!kept.text().contains("alert") && !kept.text().contains("javascript"), "{two}");
    let losses: Vec<&str> = imported.report.losses.iter().map(|(what, _)| what).collect();
    for lost in ["script", "style sheet", "navigation", "link that leads nowhere"] {
        assert!(losses.contains(&lost), "{lost}: {losses:?}");
    }
    assert_eq!((imported.report.images, kept.assets.len()), (1, 1));
}

#[test]
fn what_stands_around_a_pages_main_part_is_left_out_but_for_titles_and_notes() {
    let page = "<title>T</title><body class=home><div id=wrap><header class=site><h1>The Site</h1><p>Slogan</header>\
                <form><input>Search</form><main><article><h2>One</h2><p>The text of the first chapter<sup><a href='#n1'>1</a></sup>.\
                <h2>Two</h2><p>And of the second one, which goes on for some more words.</article></main>\
                <aside><h2>Latest</h2><ul><li>Other things</ul></aside><ol><li id=n1>A note.</ol>\
                Loose words<footer><p>All rights</footer></div>";
    let (kept, imported) = html(page);
    assert_eq!(kept.titles(), ["One", "Two"]);
    let text = kept.text();
    assert!(text.contains("chapter[^n1]") && text.contains("[^n1]: A note."), "{text}");
    for out in ["Site", "Slogan", "Search", "Latest", "Other", "Loose", "rights"] {
        assert!(!text.contains(out), "{out}: {text}");
    }
    let lost = imported.report.losses.iter().find(|(what, _)| what.contains("main part"));
    assert!(lost.is_some_and(|(_, count)| count > 2), "{lost:?}");
    // Where less stands in it than around it, or a script speaks of it only, all is kept.
    for page in [
        "<p>Many words around<main><p>few</main>",
        "<script>'<main>'</script><p>a <p>b",
        "<!-- <main> --><p>a",
    ] {
        let (kept, imported) = html(page);
        assert!(!imported.report.losses.iter().any(|(what, _)| what.contains("main part")));
        assert!(kept.text().contains("Many") || kept.text().contains('a'), "{}", kept.text());
    }
}

#[test]
fn notes_stand_in_the_chapter_that_refers_to_them() {
    let text = "<h2>A</h2><p>x<a href='#fn1' class=footnote-ref id=r1><sup>1</sup></a><h2>B</h2><p>y<sup><a href='#fn2'>2</a></sup>\
                <section role=doc-endnotes><hr><ol><li id=fn1><p>First. <a href='#r1' class=footnote-back>back</a></li>\
                <li id=fn2>Second.</ol></section>";
    let (kept, _) = html(text);
    let (a, b) = (&kept.chapters[0].2, &kept.chapters[1].2);
    assert!(a.contains("x[^fn1]") && a.contains("[^fn1]: First.") && !a.contains("back"), "{a}");
    assert!(b.contains("y[^fn2]") && b.contains("[^fn2]: Second.") && !b.contains("First"), "{b}");
}

#[test]
fn no_note_is_lost_whatever_marks_it() {
    // Its mark stands in a heading that becomes the book's title; two ids make one label; an id is there twice.
    let text = "<h1>T<a role=doc-noteref href='#n'>*</a></h1><h2>A</h2>a<a role=doc-noteref href='#x.1'>1</a>\
                <a role=doc-noteref href='#x-1'>2</a><h2>B</h2>b<p id=n>Of the title.<p id='x.1'>One.<p id='x-1'>Two.<p id='x-1'>Three.";
    let (kept, _) = html(text);
    let all = kept.text();
    for said in ["Of the title.", "One.", "Two.", "Three."] {
        assert_eq!(all.matches(said).count(), 1, "{said}: {all}");
    }
    assert_eq!(kept.titles(), ["A", "B"]);
}

#[test]
fn chapters_begin_at_the_topmost_headings_or_where_that_is_said() {
    let text = "<p>Front<h1>I</h1>a<h2>x</h2>b<h1>II</h1>c<blockquote><h1>quoted</h1></blockquote>";
    assert_eq!(html(text).0.titles(), ["", "I", "II"]);
    assert_eq!(html("<p>a<p>b").0.titles(), [""]);
    assert_eq!(html("<h1>T</h1><p>a<h2>x</h2>b<h2>y</h2>c").0.titles(), ["", "x", "y"]);
    assert_eq!(html("<h3>x</h3>b<h3>y</h3>c").0.titles(), ["x", "y"]);
    let said = |marks: &[&str]| {
        let marks: Vec<ChapterMark> = marks.iter().map(|mark| mark.parse().unwrap()).collect();
        let text = "<h1>Part</h1><p>a<h2>Chapter 1</h2>b<h3>Chapter 2</h3>c<h2>Notes</h2>d";
        let (_file, source) = file("book.html", text.as_bytes());
        let mut kept = Kept::default();
        import_file(&source, &marks, &mut kept).unwrap();
        kept.titles().join("|")
    };
    assert_eq!(said(&["h1"]), "Part");
    assert_eq!(said(&["h2"]), "Part|Chapter 1|Notes");
    assert_eq!(said(&["chapter #"]), "|Chapter 1|Chapter 2");
    assert_eq!(said(&["numbers"]), "");
}

#[test]
fn a_title_block_is_the_title_page_and_no_chapter() {
    let cover = data_url(PNG);
    let text = format!(
        "<header><img class=cover src='{cover}'><h1>T</h1><p class=subtitle>S<p class=author>A<p class=date>1871</header>\
         <nav>x</nav><main><section><h2>One</h2><p>a</section><section><h2>Two</h2><p>b</section></main>"
    );
    let (kept, imported) = html(&text);
    assert_eq!(kept.titles(), ["One", "Two"]);
    let metadata = imported.metadata;
    assert_eq!(
        (metadata.title.as_str(), metadata.subtitle.as_str(), metadata.date.as_str()),
        ("T", "S", "1871")
    );
    assert_eq!((metadata.authors, metadata.cover.as_deref()), (vec!["A".to_owned()], Some("picture.png")));
    assert!(html("<header>Site</header><p>a").0.text().contains("Site"));
}

#[test]
fn a_folder_of_pages_is_one_book_whose_links_and_pictures_hold() {
    let parts = [
        (
            "2.html",
            "<title>Second</title><p>b <a href='1.html#x'>first</a> <img src='img/a%20b.png'>".as_bytes(),
        ),
        ("10.html", b"<h1>Tenth</h1>c"),
        ("1.html", b"<h1>First</h1><h2 id=x>Sub</h2>a <a href='10.html'>last</a> <img src=../../etc/passwd>"),
        ("img/a b.png", PNG),
    ];
    let held: Vec<_> = parts.iter().map(|(name, bytes)| file(name, bytes)).collect();
    let files = held.iter().map(|(_, source)| source.clone()).collect();
    let mut kept = Kept::default();
    let imported = import_source(SourceFormat::Html, &Source::Folder(files), &mut kept).unwrap();
    assert_eq!(kept.titles(), ["First", "Second", "Tenth"]);
    assert!(kept.chapters[0].2.contains("[last](0003-tenth.md)"), "{}", kept.chapters[0].2);
    assert!(kept.chapters[1].2.contains("[first](0001-first.md#x)"), "{}", kept.chapters[1].2);
    assert!(kept.chapters[1].2.contains("../images/a-b.png"), "{}", kept.chapters[1].2);
    assert!(imported.report.warnings.iter().any(|warning| warning.contains("etc/passwd")));
}

#[test]
fn the_charset_is_what_the_bytes_are_or_what_the_head_says() {
    let text =
        |label: &str| format!("<meta http-equiv=x content='text/html; charset={label}'><p>привет, Éowyn «x»");
    let read = |bytes: &[u8]| {
        let (kept, imported) = run(SourceFormat::Html, "book.html", bytes).unwrap();
        (kept.text(), imported.report.charset.unwrap())
    };
    let russian = encoding_rs::WINDOWS_1251.encode(&text("windows-1251").replace("É", "E")).0.into_owned();
    let (told, charset) = read(&russian);
    assert!(told.contains("привет, Eowyn «x»") && charset == "windows-1251", "{charset} {told}");
    // A head that was true of another file.
    let (told, charset) = read(text("iso-8859-1").as_bytes());
    assert!(told.contains("привет, Éowyn") && charset == "UTF-8", "{charset} {told}");
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(text("utf-16").encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(read(&wide).0.contains("привет"));
    let (japanese, ..) = encoding_rs::ISO_2022_JP.encode("<meta charset=iso-2022-jp><p>第三章");
    assert!(read(&japanese).0.contains("第三章"));
}

#[test]
fn hostile_pages_end_in_a_book_or_in_a_reason() {
    let deep = format!("<p>x{}y", "<div><b>".repeat(50_000));
    let (kept, imported) = html(&deep);
    assert!(kept.text().contains('y'));
    assert!(imported.report.losses.iter().any(|(what, _)| what == "element nested too deep"));
    let huge = format!("<p title='{}'>x<a href='{}'>y</a>", "t".repeat(1 << 20), "h".repeat(1 << 20));
    assert!(html(&huge).1.report.losses.iter().any(|(what, _)| what == "over-long attribute, cut"));
    let attributes: String = (0..200_000).map(|n| format!("a{n}=1 ")).collect();
    assert!(html(&format!("<p {attributes}>x")).0.text().contains('x'));
    for (text, word) in [
        ("<!DOCTYPE html [<!ENTITY x \"y\">]><p>&x;", "entities"),
        ("<script>only</script>", "empty"),
        ("<p", "empty"),
        ("", "empty"),
        ("\0\0\0\u{1}\u{2}\0", "binary"),
    ] {
        let refused = run(SourceFormat::Html, "book.html", text.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with("book.html") && refused.contains(word), "{word}: {refused}");
    }
    // Nobody's entities are anything but text, and no note is there more often than once.
    assert!(html("<p>&lol9; &#x110000;").0.text().contains("lol9"));
    let note = "n".repeat(10_000);
    let marks: String =
        (0..500).map(|n| format!("<h2>{n}</h2><a role=doc-noteref href='#n'>1</a>")).collect();
    let (kept, _) = html(&format!("{marks}<p id=n>{note}"));
    assert!(kept.text().len() < 200_000, "{}", kept.text().len());
}

#[test]
fn of_a_section_of_notes_nothing_is_left_behind_them() {
    for section in [
        "<section role=doc-endnotes><hr><ol><li id=n>one</ol></section>",
        "<hr class=footnotes-sep><section class=footnotes><ol><li><p id=n>one</ol></section>",
    ] {
        let (kept, _) = html(&format!("<h1>A</h1><p>x<sup><a href='#n'>1</a></sup>{section}"));
        assert_eq!(kept.chapters[0].2.trim_end(), "# A\n\nx[^n]\n\n[^n]: one", "{section}");
    }
    // A line between other things stays.
    assert!(
        html("<p>a<hr><p>b").0.text().contains("\n\n---\n\n")
            || html("<p>a<hr><p>b").0.text().contains("***")
    );
}

#[test]
fn words_of_different_boxes_are_never_glued_together() {
    let text = html("<table><tr><td>Left<table><tr><td>In<td>Side</table>Right<td>x</table>\
                     <ul>First<li>Second</ul><ol>Third<p>Fourth</p><li>Fifth<li>Sixth</ol><fieldset><legend>Seventh</legend>Eighth</fieldset>Ninth").0.text();
    assert!(text.contains("Left In Side Right"), "{text}");
    assert!(text.contains("- First\n- Second") && text.contains("2. Fifth\n"), "{text}");
    for word in ["First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth"] {
        assert!(text.split(|c: char| !c.is_alphabetic()).any(|one| one == word), "{word}: {text}");
    }
}

#[test]
fn what_is_hidden_begins_no_chapter_and_is_counted_but_notes_that_something_refers_to_stay() {
    let text = "<body style='display:none'><div hidden><h1>Secret</h1><p id=n>A note.<span hidden>Secret</span></p><h1>Secret</h1></div><h1>A</h1>\
                <p>a<b style='color:red;display:none'>Secret</b>b<sup><a href='#m'>1</a></sup><h1 hidden>Secret</h1>\
                <aside hidden><h2>Secret</h2><div id=m hidden><h1>Of the note</h1>The other.<em hidden>Secret</em></div><h1>Secret</h1></aside>\
                <h1 id=b>B</h1><p hidden=until-found>found<p><a href='#b'>here</a>";
    let (kept, imported) = html(text);
    assert_eq!(kept.titles(), ["A", "B"]);
    let (a, b) = (&kept.chapters[0].2, &kept.chapters[1].2);
    assert!(a.contains("ab[^m]") && a.contains("[^m]: ") && a.contains("The other."), "{a}");
    assert!(b.contains("found") && b.contains("[here]("), "{b}");
    assert!(!kept.text().contains("Secret"), "{}", kept.text());
    let hidden = imported.report.losses.iter().find(|(what, _)| *what == "hidden text");
    assert_eq!(hidden.map(|(_, count)| count), Some(5));
}

#[test]
fn headings_that_are_empty_begin_no_chapter_and_leave_nothing() {
    let text = format!(
        "<h1></h1><p>front<h1 id=a>A</h1><p>a <a href='#e'>to e</a> <a href='#f'>to f</a><h1><!-- c --></h1><h2 id=x>&nbsp;</h2>\
                <h1 id=e> <a id=f></a></h1><p>text<h1>B<h1 id=g></h1><h1><b>C</b></h1><p>c <a href='#g'>to g</a><h1><img src='{}'></h1>\
                <h2>Deep</h2>",
        data_url(PNG)
    );
    let (kept, _) = html(&text);
    assert_eq!(kept.titles(), ["", "A", "B", "C", ""]);
    let (a, c) = (&kept.chapters[1].2, &kept.chapters[3].2);
    assert!(a.contains("text") && !a.contains('\u{a0}') && a.matches('#').count() == 1, "{a}");
    assert!(a.contains("[to e](0002-a.md)") && a.contains("[to f](0002-a.md)"), "{a}");
    assert!(c.contains("[to g](0004-c.md)"), "{c}");
    assert!(kept.chapters[4].2.contains("## Deep"), "{}", kept.chapters[4].2);
    // They are no chapters' level, either, and in a note they do not put the count out.
    assert_eq!(
        html("<h1></h1><h2>x</h2>a<sup><a href='#n'>1</a></sup><p id=n>n<span><h1> </h1></span><h2>y</h2>b")
            .0
            .titles(),
        ["x", "y"]
    );
}
