//! The pages around the chapters: cover, title page, navigation.

use std::io;

use super::element;
use crate::export::{
    escape::escaped,
    language,
    lookup::Lookup,
    markup::{Markup, Style},
};

/// Says where the package document is.
pub(super) const CONTAINER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"#;

/// Ends every page.
pub(super) const TAIL: &str = "</body>\n</html>\n";

/// A page up to its first element; `class` is the body's.
pub(super) fn head(lookup: &Lookup, title: &str, class: &str) -> String {
    let language = language::tag(&lookup.book().metadata.language);
    let direction = if language::is_right_to_left(&language) { " dir=\"rtl\"" } else { "" };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!(
        concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE html>\n",
            "<html xmlns=\"http://www.w3.org/1999/xhtml\" xmlns:epub=\"http://www.idpf.org/2007/ops\" ",
            "lang=\"{language}\" xml:lang=\"{language}\"{direction}>\n<head>\n<title>{title}</title>\n",
            "<link rel=\"stylesheet\" type=\"text/css\" href=\"style.css\"/>\n</head>\n<body{class}>\n"
        ),
        language = language,
        direction = direction,
        title = escaped(title),
        class = class,
    )
}

/// The cover's page.
pub(super) fn cover(lookup: &Lookup, file: &str) -> String {
    let title = escaped(lookup.title());
    format!(
        "{}<section epub:type=\"cover\"><img role=\"doc-cover\" src=\"{file}\" alt=\"{title}\"/></section>\n{TAIL}",
        head(lookup, lookup.title(), "cover"),
    )
}

/// The title page.
pub(super) fn title(lookup: &Lookup) -> String {
    let metadata = &lookup.book().metadata;
    let mut page = head(lookup, lookup.title(), "title");
    page.push_str("<section epub:type=\"titlepage\">\n");
    page.push_str(&element("h1", "", lookup.title()));
    page.push_str(&element("p", " class=\"subtitle\"", &metadata.subtitle));
    for author in &metadata.authors {
        page.push_str(&element("p", " class=\"author\"", author));
    }
    for line in metadata.imprint() {
        page.push_str(&element("p", " class=\"imprint\"", line));
    }
    page.push_str("</section>\n");
    page.push_str(TAIL);
    page
}

/// The navigation: contents, and landmarks that only reading systems see. Handed on in pieces.
pub(super) fn navigation(lookup: &Lookup, write: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let contents = language::contents(&lookup.book().metadata.language);
    write(&head(lookup, contents, ""))?;
    write(&format!("<nav epub:type=\"toc\" role=\"doc-toc\" id=\"toc\">\n<h1>{contents}</h1>\n<ol>\n"))?;
    write(&format!("<li><a href=\"title.xhtml\">{}</a></li>\n", escaped(lookup.title())))?;
    let chapters = lookup.book().chapters.len();
    for index in 0..chapters {
        let file = Markup::chapter_address(Style::Epub, index);
        write(&format!("<li><a href=\"{file}\">{}</a></li>\n", escaped(&lookup.chapter_title(index))))?;
    }
    write("</ol>\n</nav>\n<nav epub:type=\"landmarks\" hidden=\"hidden\">\n<h2>Landmarks</h2>\n<ol>\n")?;
    if lookup.cover().is_some() {
        write("<li><a epub:type=\"cover\" href=\"cover.xhtml\">Cover</a></li>\n")?;
    }
    write("<li><a epub:type=\"titlepage\" href=\"title.xhtml\">Title page</a></li>\n")?;
    write(&format!("<li><a epub:type=\"toc\" href=\"nav.xhtml\">{contents}</a></li>\n"))?;
    if chapters > 0 {
        let first = Markup::chapter_address(Style::Epub, 0);
        write(&format!("<li><a epub:type=\"bodymatter\" href=\"{first}\">Start of the text</a></li>\n"))?;
    }
    write("</ol>\n</nav>\n")?;
    write(TAIL)
}
