//! EPUBs, sound and hostile, made entry by entry.

use std::io::Write as _;

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::super::{
    Imported, SourceFormat,
    tests::{Kept, PNG, run},
};
use crate::book::BookError;

/// The entries of an EPUB.
pub(in crate::import) struct Parts(pub(in crate::import) Vec<(String, Vec<u8>)>);

const CONTAINER: &str = r#"<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"#;

const OPF: &str = r##"<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title id="t">The Book</dc:title><dc:title id="s">A Tale</dc:title>
<meta refines="#s" property="title-type">subtitle</meta><dc:creator>Ann &amp; Bob</dc:creator><dc:language>en</dc:language>
<dc:identifier>urn:uuid:1</dc:identifier></metadata><manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="c" href="cover.xhtml" media-type="application/xhtml+xml"/>
<item id="i" href="img/p%20q.png" media-type="image/png" properties="cover-image"/>
<item id="a" href="one.xhtml" media-type="application/xhtml+xml"/><item id="b" href="two.xhtml" media-type="application/xhtml+xml"/>
</manifest><spine><itemref idref="c"/><itemref idref="nav"/><itemref idref="a"/><itemref idref="b"/></spine></package>"##;

const NAV: &str = r#"<html xmlns:epub="x"><body><nav epub:type="toc"><ol><li><a href="one.xhtml">The <b>First</b></a></li></ol></nav>
<nav epub:type="landmarks"><ol><li><a href="two.xhtml">Start here</a></li></ol></nav></body></html>"#;

const COVER: &str =
    r#"<html><body><svg xmlns:xlink="x"><image xlink:href="img/p%20q.png"/></svg></body></html>"#;

const ONE: &str = r##"<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">
<html xmlns:epub="x"><head><title>x</title><style>p {}</style></head><body id="top"><h1 id="h">The First</h1>
<p>Caf&eacute; <i>one</i> <b>two </b>three<a epub:type="noteref" href="#n1">1</a>.<br/></p>
<section id="sec"><h2>Deep &amp; wide</h2><div>loose <code>a b</code> text<ul><li>x<ul><li>y</li></ul></li><li><p>z</p></li></ul></div></section>
<blockquote><p>quoted</p></blockquote><pre>  a
 b</pre><table><tr><th>h</th><th>i</th></tr><tr><td colspan="2">c</td></tr></table><hr/>
<p><a href="two.xhtml#x">to two</a> <a href="two.xhtml">two</a> <a href="#sec">sec</a> <a href="javascript:x">bad</a> <img src="img/p%20q.png" alt="pic"/></p>
<aside epub:type="footnote" id="n1"><p>The note.</p></aside><script>x</script><p>H<sub>2</sub>O <del>d</del></p></body></html>"##;

const TWO: &str = r#"<html><body><h2 id="x">Second <span>One</span></h2><p id="p">Text <a href="one.xhtml#top">back</a>.</p></body></html>"#;

impl Parts {
    pub(in crate::import) fn small() -> Self {
        let text = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        Self(vec![
            text("mimetype", "application/epub+zip"),
            text("META-INF/container.xml", CONTAINER),
            text("OEBPS/book.opf", OPF),
            text("OEBPS/nav.xhtml", NAV),
            text("OEBPS/cover.xhtml", COVER),
            text("OEBPS/one.xhtml", ONE),
            text("OEBPS/two.xhtml", TWO),
            ("OEBPS/img/p q.png".to_owned(), PNG.to_vec()),
        ])
    }

    fn with(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.retain(|(one, _)| one != name);
        self.0.push((name.to_owned(), text.as_ref().to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(one, _)| one != name);
        self
    }

    fn import(&self) -> Result<(Kept, Imported), BookError> {
        run(SourceFormat::Epub, "book.epub", &zip_of(&self.0))
    }

    fn refused(&self) -> String {
        match self.import() {
            Ok(_) => panic!("it was taken"),
            Err(error) => error.to_string(),
        }
    }
}

/// A ZIP archive of these entries.
pub(in crate::import) fn zip_of(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        let method = if name == "mimetype" { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        zip.start_file(name.as_str(), SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn body(inside: &str) -> String {
    format!("<html><body>{inside}</body></html>")
}

/// Chapter two's text, from its XHTML.
fn markdown(inside: &str) -> String {
    let (kept, _) = Parts::small().with("OEBPS/two.xhtml", body(inside)).import().unwrap();
    kept.chapters[1].2.clone()
}

#[test]
fn a_book_comes_in_with_titles_cover_notes_tables_and_links() {
    let (kept, imported) = Parts::small().import().unwrap();
    let metadata = &imported.metadata;
    assert_eq!((metadata.title.as_str(), metadata.subtitle.as_str()), ("The Book", "A Tale"));
    assert_eq!(metadata.authors, ["Ann & Bob"]);
    assert_eq!(metadata.cover.as_deref(), Some("p-q.png"));
    assert_eq!(kept.titles(), ["The First", "Second One"]);
    assert_eq!(kept.chapters[1].0, "0002-second-one.md");
    let text = &kept.chapters[0].2;
    assert!(text.starts_with("# The First\n"), "{text}");
    for part in [
        "Café *one* **two** three[^n1].\n",
        "## Deep & wide {#sec}",
        "`a b`",
        "> quoted",
        "](0002-second-one.md)",
        "](#sec)",
        "](../images/p-q.png)",
        "[^n1]: The note.",
        "~2~",
        "~~d~~",
        "  a\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("javascript"), "{text}");
    assert!(kept.chapters[1].2.contains("[back](0001-the-first.md)"), "{}", kept.chapters[1].2);
    let losses: Vec<_> = imported.report.losses.iter().collect();
    assert_eq!(losses, [("link that leads nowhere", 1), ("script", 1)]);
    assert!(imported.report.words > 20 && imported.report.images == 1);
}

#[test]
fn odd_markup_becomes_balanced_blocks() {
    assert_eq!(markdown("<b>x<p>y</p>z</b>"), "# Chapter 2\n\n**x**\n\n**y**\n\n**z**\n");
    assert_eq!(markdown("<p> a <em> b </em> c </p><p/>"), "# Chapter 2\n\na *b* c\n");
    assert_eq!(markdown("<p>a<br/>b<br/></p>").matches('a').count(), 2);
    let nested = markdown("<ul>loose<li>a</li><ol><li>b</li></ol></ul>");
    assert!(nested.contains("- loose") && nested.contains("1. b"), "{nested}");
    let table = markdown(
        "<table><caption>C</caption><tr><td><p>a</p><p>b</p></td></tr><tr><td/><td>d</td></tr></table>",
    );
    assert!(table.contains("C\n\n|") && table.contains("a b"), "{table}");
    assert!(markdown("<p>a &copy; &nbsp; &unknown; &#x41; & b</p>").contains('©'));
}

#[test]
fn hostile_archives_are_refused_with_their_place() {
    for name in ["../x", "/etc/passwd", "a\\b", "C:/x", "a/../../b", "a//b"] {
        let refused = Parts::small().with(name, "x").refused();
        assert!(refused.starts_with("book.epub!") && refused.contains("outside"), "{name}: {refused}");
    }
    let bomb = Parts::small().with("OEBPS/one.xhtml", vec![b' '; 4 << 20]).refused();
    assert!(bomb.contains("book.epub!OEBPS/one.xhtml") && bomb.contains("bomb"), "{bomb}");
    let mut many = Parts::small();
    many.0.extend((0..20_001).map(|number| (format!("x/{number}"), Vec::new())));
    assert!(many.refused().contains("20,000 entries"));
    let mut lying = zip_of(&Parts::small().0);
    // The central directory's record of one.xhtml: its size is 24 bytes into the record, the name 46.
    let name = lying.windows(15).rposition(|bytes| bytes == b"OEBPS/one.xhtml").unwrap();
    lying[name - 46 + 24] ^= 1;
    assert!(
        run(SourceFormat::Epub, "book.epub", &lying)
            .err()
            .unwrap()
            .to_string()
            .contains("book.epub!OEBPS/one")
    );
    let twice = Parts::small().with("OEBPS/dup1.x", "a").with("OEBPS/dup2.x", "b");
    let mut twice = zip_of(&twice.0);
    for place in 0..twice.len() - 4 {
        if &twice[place..place + 4] == b"dup2" {
            twice[place + 3] = b'1';
        }
    }
    let twice = run(SourceFormat::Epub, "book.epub", &twice).err().unwrap().to_string();
    assert!(twice.contains("same name"), "{twice}");
    let cut = zip_of(&Parts::small().0);
    assert!(run(SourceFormat::Epub, "book.epub", &cut[..cut.len() / 2]).is_err());
}

#[test]
fn hostile_documents_are_refused_with_their_place() {
    let one = |text: &str| Parts::small().with("OEBPS/one.xhtml", text).refused();
    let laughs = one("<!DOCTYPE html [<!ENTITY a \"b\"><!ENTITY b \"&a;&a;\">]>\n<html>&b;</html>");
    assert!(
        laughs.starts_with("book.epub!OEBPS/one.xhtml, line 1") && laughs.contains("entities"),
        "{laughs}"
    );
    let broken = one("<html>\n<p>x</b></html>");
    assert!(broken.starts_with("book.epub!OEBPS/one.xhtml, line 2"), "{broken}");
    assert!(one("<html><body><p>x").contains("cut off"));
    assert!(one(&"<div>".repeat(600)).contains("512 deep"));
    assert!(
        one(&format!(
            "<html a=\"{}\"/>",
            "x".repeat(2 << 20)
                .chars()
                .rev()
                .enumerate()
                .map(|(place, _)| char::from(b'a' + (place * place % 23) as u8))
                .collect::<String>()
        ))
        .contains("1 MiB")
    );
    let deep = format!("{}x{}", "<ul><li>".repeat(70), "</li></ul>".repeat(70));
    assert!(one(&body(&deep)).contains("64 deep"));
}

#[test]
fn broken_packages_are_refused_with_what_is_missing() {
    let missing = Parts::small().without("OEBPS/one.xhtml").refused();
    assert!(
        missing.contains("book.epub!OEBPS/one.xhtml") && missing.contains("chapter is missing"),
        "{missing}"
    );
    assert!(Parts::small().without("META-INF/container.xml").refused().contains("not an EPUB"));
    assert!(Parts::small().without("OEBPS/book.opf").refused().contains("not in the archive"));
    let opf = |from: &str, to: &str| Parts::small().with("OEBPS/book.opf", OPF.replace(from, to)).refused();
    assert!(opf("idref=\"a\"", "idref=\"zz\"").contains("\"zz\""));
    assert!(opf("id=\"b\"", "id=\"a\"").contains("two items with the id \"a\""));
    assert!(opf("two.xhtml", "../../two.xhtml").contains("outside"));
    let drm = r#"<encryption><EncryptedData><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes256-cbc"/></EncryptedData></encryption>"#;
    assert!(Parts::small().with("META-INF/encryption.xml", drm).refused().contains("DRM"));
    let font =
        r#"<encryption><EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/></encryption>"#;
    assert!(Parts::small().with("META-INF/encryption.xml", font).import().is_ok());
    let empty = Parts::small().with("OEBPS/one.xhtml", body("")).with("OEBPS/two.xhtml", body(" "));
    assert!(empty.refused().contains("empty"));
}

#[test]
fn an_ncx_names_the_chapters_of_epub_2_and_meta_its_cover() {
    let opf = OPF
        .replace(" properties=\"nav\"", "")
        .replace(" properties=\"cover-image\"", "")
        .replace(
            "<item id=\"nav\" href=\"nav.xhtml\" media-type=\"application/xhtml+xml\"",
            "<item id=\"nav\" href=\"toc.ncx\" media-type=\"application/x-dtbncx+xml\"",
        )
        .replace("<itemref idref=\"nav\"/>", "")
        .replace("</metadata>", "<meta name=\"cover\" content=\"i\"/></metadata>");
    let ncx = r#"<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "x"><ncx><docTitle><text>Book</text></docTitle><navMap>
        <navPoint><navLabel><text>Label Two</text></navLabel><content src="two.xhtml#x"/></navPoint></navMap></ncx>"#;
    let (kept, imported) =
        Parts::small().with("OEBPS/book.opf", opf).with("OEBPS/toc.ncx", ncx).import().unwrap();
    assert_eq!(kept.titles(), ["The First", "Label Two"]);
    assert_eq!(imported.metadata.cover.as_deref(), Some("p-q.png"));
    // Another title than the heading's: the heading stays.
    assert!(kept.chapters[1].2.contains("## Second One {#x}"), "{}", kept.chapters[1].2);
}

#[test]
fn a_heading_that_says_more_than_the_navigation_keeps_its_words() {
    let nav = "<html><body><nav><ol><li><a href=\"two.xhtml\">The Fall</a></li></ol></nav></body></html>";
    let two = body("<h1>Chapter 7. The Fall</h1><p>x</p>");
    let parts = Parts::small().with("OEBPS/nav.xhtml", nav).with("OEBPS/two.xhtml", two);
    assert_eq!(parts.import().unwrap().0.titles()[1], "Chapter 7. The Fall");
}

#[test]
fn a_title_page_that_says_nothing_new_is_no_chapter() {
    let page = |text: &str| body(&format!("<section epub:type=\"titlepage\"><h1>{text}</h1></section>"));
    let titles = |text: &str| {
        let parts = Parts::small().with("OEBPS/two.xhtml", page(text));
        parts.import().unwrap().0.chapters.len()
    };
    assert_eq!((titles("The Book A Tale"), titles("The Book for my mother")), (1, 2));
}

#[test]
fn lines_of_code_stay_apart() {
    assert!(markdown("<p><code>alpha<br/>beta</code></p>").contains("`alpha beta`"));
}

#[test]
fn a_list_of_entries_larger_than_any_book_has_is_not_read_to_its_end() {
    let parts: Vec<_> = (0..40_000).map(|n| (format!("{n:0100}"), Vec::new())).collect();
    let error = run(SourceFormat::Epub, "book.epub", &zip_of(&parts)).err().unwrap().to_string();
    assert_eq!(error, "book.epub: the archive's list of entries is larger than 4 MiB");
}

#[test]
fn a_list_that_held_only_notes_leaves_nothing_and_neither_does_the_line_above_it() {
    let notes = "<p>x<a epub:type='noteref' href='#n'>1</a></p><section epub:type='footnotes'><hr/>\
                 <ol><li id='n' epub:type='footnote'><p>one</p></li></ol></section>";
    let found = |notes: &str| markdown(notes).split_once("\n\n").unwrap().1.trim_end().to_owned();
    assert_eq!(found(notes), "x[^n]\n\n[^n]: one");
    // One that stands inside of an item, and lists that hold more.
    let inside = notes.replace(
        "<li id='n' epub:type='footnote'><p>one</p></li>",
        "<li><aside id='n' role='doc-footnote'>one</aside></li>",
    );
    assert_eq!(found(&inside), "x[^n]\n\n[^n]: one");
    let more =
        markdown(&notes.replace("</li>", "</li><li>two</li>").replace("</ol>", "</ol><hr/><p>end</p>"));
    assert!(more.contains("1. two") && !more.contains("2. ") && more.contains("[^n]: one"), "{more}");
    assert!(more.contains("---") || more.contains("***"), "{more}");
}

#[test]
fn what_is_hidden_is_left_out_and_counted_but_for_notes_that_something_refers_to() {
    let inside = "<h1 hidden='hidden'>Secret</h1><h2 style='DISPLAY : none !important'>Secret</h2><h1>Real</h1>\
                  <p>a<span hidden=''>b<i>c</i></span>d<a epub:type='noteref' href='#n'>1</a></p><p style='display:block'>shown</p>\
                  <div hidden=''><img src='img/p%20q.png'/><aside id='n' epub:type='footnote'>A <b>note</b>.<p hidden=''>Secret</p></aside>\
                  <aside id='m' epub:type='footnote'>Secret</aside>Secret</div><p>end</p>";
    let text = body(inside).replace("<body", "<body xmlns:epub='x' style='display:none'");
    let (kept, imported) = Parts::small().with("OEBPS/two.xhtml", text).import().unwrap();
    let text = &kept.chapters[1].2;
    assert_eq!(kept.titles()[1], "Real");
    assert!(
        text.contains("ad[^n]") && text.contains("[^n]: A **note**.") && text.contains("shown"),
        "{text}"
    );
    assert!(!text.contains("Secret") && text.contains("end") && !text.contains("images/"), "{text}");
    let hidden = imported.report.losses.iter().find(|(what, _)| *what == "hidden text");
    assert_eq!(hidden.map(|(_, count)| count), Some(5));
}

#[test]
fn notes_of_an_epub_2_are_told_by_the_classes_of_their_marks() {
    // As pandoc writes it.
    let text = "<p>x<a href='#fn1' class='footnote-ref' id='r1'>1</a> <a href='#p'>no note</a> <a class='footnote-ref' href='one.xhtml#sec'>other</a></p>\
                <p id='p'>plain</p><div class='footnotes'><hr/><ol><li id='fn1'><p>one<a href='#r1' class='footnote-back'>back</a></p></li></ol></div>";
    let text = markdown(text);
    assert!(
        text.contains("x[^fn1] [no note](") && text.contains("[other](") && text.contains("\nplain\n"),
        "{text}"
    );
    assert!(text.trim_end().ends_with("plain\n\n[^fn1]: one"), "{text}");
}
