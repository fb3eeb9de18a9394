//! One target a parser.

use presswork::domain::SeededRandom;

use super::{
    mutate::Seed,
    seeds::{self},
};
use crate::{
    book::{Book, BookError, Checked, Event, EventSink, Losses, markdown::read_chapter},
    import::{
        ChapterMark, Imported, Source, SourceFormat,
        characters::tests::read_all,
        charset::{Allowed, Lines, examine},
        detect, import, import_marked,
        letters::Text,
        tests::{Kept, file, holds},
        unpack::{format_of, unpack},
        web,
    },
    scratch::Scratch,
};

pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) seeds: fn() -> Vec<Seed>,
    /// What means something to the parser.
    pub(super) words: &'static [&'static str],
    /// Reads an input; panics where a promise does not hold.
    pub(super) run: fn(&[u8]),
    /// How many inputs it gets in every run of the tests.
    pub(super) few: u64,
}

const MARKUP: &[&str] = &[
    "<",
    ">",
    "&",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "<p>",
    "</p>",
    "<table><tr><td>",
    "<ul><li>",
    "<div>",
    "<b>",
    "</b>",
    "&nbsp;",
    "&#x0;",
    "&#1114112;",
    "<a href='#x'>",
    "id='x' ",
    "<!DOCTYPE x [<!ENTITY a \"b\">]>",
    "<?xml",
    "<script>",
    "<svg>",
    "<math>",
    "\0",
    "\u{feff}",
    "<img src=\"x.png\">",
    "xmlns:x='y' ",
    "<pre>",
    "<blockquote>",
];
const MARKDOWN: &[&str] = &[
    "# ",
    "## ",
    "```\n",
    "~~~\n",
    "[^1]",
    "[^1]: ",
    "[a]: /x\n",
    "\n\n",
    "---\n",
    "===\n",
    "> ",
    "- ",
    "1. ",
    "    ",
    "| a | b |\n|---|---|\n",
    "![x](y.png)",
    "[x](y)",
    "`",
    "**",
    "_",
    "~~",
    "\\",
    "<div>",
    "{#x}",
    "\t",
    "\r",
    "\0",
];
const WORD: &[&str] = &[
    "<w:p>",
    "</w:p>",
    "<w:r>",
    "<w:t>",
    "<w:tbl><w:tr><w:tc><w:p>",
    "</w:tc></w:tr></w:tbl>",
    "<w:pPr>",
    "<w:rPr>",
    "<w:numPr><w:ilvl w:val=\"8\"/><w:numId w:val=\"5\"/></w:numPr>",
    "<w:sdt><w:sdtContent>",
    "<w:hyperlink r:id=\"h\">",
    "<w:fldChar w:fldCharType=\"begin\"/>",
    "<w:fldChar w:fldCharType=\"end\"/>",
    "<w:instrText> HYPERLINK \"x\" </w:instrText>",
    "<w:footnoteReference w:id=\"2\"/>",
    "<w:br w:type=\"page\"/>",
    "<w:basedOn w:val=\"Kapitel\"/>",
    "<mc:AlternateContent>",
    "<mc:Choice>",
    "<mc:Fallback>",
    "<w:txbxContent>",
    "<w:del>",
    "<w:ins>",
    "<w:vMerge/>",
    "<w:gridSpan w:val=\"9999999\"/>",
    "<w:bookmarkStart w:id=\"1\" w:name=\"_Ref9\"/>",
    "<m:oMath>",
    "&amp;",
    "&x;",
    "]]>",
    "<!DOCTYPE x>",
    "<w:sym w:char=\"F020\"/>",
];
const TEXT: &[&str] = &[
    "\n\n",
    "\r",
    "CHAPTER II\n\n",
    "Chapter the First",
    "XIV.",
    "_",
    "* * *\n",
    "\t",
    "\u{c}",
    "第三章\n",
    "Глава",
    "\0",
    "*** START OF THE PROJECT GUTENBERG EBOOK",
    "Contents\n\n",
    "    ",
    "[Illustration]",
    "\u{feff}",
    "\u{2028}",
];
const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "\"id\":",
    "\"name\":\"x\",",
    "\n",
    "\u{feff}",
    "\"type\":",
    "\"children\":[",
    "{\"a\":",
    "\\",
];
const CSV: &[&str] = &[
    "\"",
    "'",
    ";",
    ",",
    "\t",
    "\r\n",
    "\r",
    "\n",
    "sep=|\r\n",
    "\"\"",
    "\\\"",
    "=1+1",
    "{\"id\":1}",
    "a: b; ",
];

pub(super) const TARGETS: &[Target] = &[
    Target {
        name: "markdown",
        seeds: seeds::markdown,
        words: MARKDOWN,
        run: |input| one(SourceFormat::Markdown, input),
        few: 600,
    },
    Target {
        name: "text",
        seeds: seeds::text,
        words: TEXT,
        run: |input| one(SourceFormat::Text, input),
        few: 600,
    },
    Target {
        name: "html",
        seeds: seeds::html,
        words: MARKUP,
        run: |input| one(SourceFormat::Html, input),
        few: 600,
    },
    Target {
        name: "epub",
        seeds: seeds::epub,
        words: MARKUP,
        run: |input| one(SourceFormat::Epub, input),
        few: 400,
    },
    Target {
        name: "docx",
        seeds: seeds::docx,
        words: WORD,
        run: |input| one(SourceFormat::Docx, input),
        few: 200,
    },
    Target {
        name: "json",
        seeds: seeds::json,
        words: JSON,
        run: |input| one(SourceFormat::Json, input),
        few: 600,
    },
    Target { name: "zip", seeds: seeds::zip, words: MARKDOWN, run: archive, few: 200 },
    Target { name: "csv", seeds: seeds::csv, words: CSV, run: |input| characters("m.csv", input), few: 600 },
    Target {
        name: "characters",
        seeds: seeds::characters_json,
        words: JSON,
        run: |input| characters("m.json", input),
        few: 600,
    },
    Target {
        name: "jsonl",
        seeds: seeds::characters_jsonl,
        words: JSON,
        run: |input| characters("m.jsonl", input),
        few: 600,
    },
    Target { name: "description", seeds: seeds::description, words: JSON, run: description, few: 600 },
    Target { name: "chapter", seeds: seeds::markdown, words: MARKDOWN, run: chapter, few: 400 },
    Target { name: "charset", seeds: seeds::text, words: TEXT, run: charset, few: 600 },
    Target { name: "detect", seeds: seeds::all, words: &[], run: what, few: 400 },
    Target {
        name: "marks",
        seeds: seeds::marks,
        words: &["*", "#", "**", "# * #", "h1", "\n", "İ", "ß"],
        run: marks,
        few: 600,
    },
    Target {
        name: "web",
        seeds: seeds::heads,
        words: &["\"", "\\", ";", "=", "filename*=", "%", "''", "/", "-", "bytes "],
        run: web::fuzz,
        few: 600,
    },
];

/// Whatever comes of it, it keeps to what imports promise.
fn judge(read: Result<Imported, BookError>, kept: &Kept, input: usize) {
    match read {
        Ok(imported) => holds(kept, &imported, input),
        Err(BookError::Input { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

fn one(format: SourceFormat, input: &[u8]) {
    let (_file, source) = file("m.x", input);
    let mut kept = Kept::default();
    let read = import(format, &Source::File(source), &mut kept);
    // What is in an archive may be a hundred times as long.
    let is_packed = matches!(format, SourceFormat::Epub | SourceFormat::Docx);
    judge(read, &kept, if is_packed { (1 << 20) + 64 * input.len() } else { input.len() });
}

fn archive(input: &[u8]) {
    let (_file, source) = file("m.zip", input);
    let (folder, mut kept) = (tempfile::tempdir().unwrap(), Kept::default());
    let read = unpack(&source, &Scratch::within(folder.path(), &SeededRandom::new(1))).and_then(|files| {
        let format = format_of(&files, "m.zip")?;
        import(format, &Source::Folder(files), &mut kept)
    });
    judge(read, &kept, (1 << 20) + 64 * input.len());
}

fn characters(name: &str, input: &[u8]) {
    match read_all(name, input) {
        Ok(items) => assert!(items <= input.len(), "{items} of {} bytes", input.len()),
        Err(BookError::Input { file, .. }) => assert_eq!(file, name),
        Err(other) => panic!("{other}"),
    }
}

/// `book.json`, which people may edit.
fn description(input: &[u8]) {
    let Ok(book) = serde_json::from_slice::<Book>(input) else { return };
    for chapter in book.chapters.iter() {
        let place = |name: &str| book.chapters.iter().position(|one| one.name() == name);
        for target in [chapter.title, &chapter.file(), "#x", "0001-one.md#y", "javascript:x"] {
            let _ = Book::link(place, 0, target);
        }
    }
    let again = serde_json::to_vec(&book).unwrap();
    assert_eq!(serde_json::from_slice::<Book>(&again).unwrap(), book);
}

struct Nowhere;

impl EventSink for Nowhere {
    fn event(&mut self, _: Event<'_>) -> Result<(), BookError> {
        Ok(())
    }
}

/// A chapter of a project, which people may edit.
fn chapter(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut checked = Checked::new(Nowhere, "m.md");
    match read_chapter(&text, "m.md", 0, &mut checked, &mut Losses::default()) {
        Ok(_) | Err(BookError::Input { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

fn charset(input: &[u8]) {
    let (_file, source) = file("m.txt", input);
    for allowed in [Allowed::Any, Allowed::Unicode] {
        let Ok(charset) = examine(&source, allowed) else { continue };
        let (mut lines, mut bytes) = (Lines::open(&source, charset).unwrap(), 0);
        while let Ok(Some(line)) = lines.next() {
            bytes += line.len() + 1;
        }
        assert!(bytes <= 4 * input.len() + 8, "{bytes} of {}", input.len());
        let mut text = Text::open(&source, charset.encoding).unwrap();
        while let Ok(Some(_)) = text.take() {}
    }
}

/// What it is called may be anything.
fn what(input: &[u8]) {
    let head = &input[..input.len().min(detect::HEAD_BYTES)];
    for name in ["m.x", "m.epub", "m.docx", "m.txt", "m.json", "m", ""] {
        let _ = detect::detect(head, name);
        let _ = detect::is_archive(head, name);
    }
}

/// A first line that says where chapters begin in the rest.
fn marks(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(mark) = first.parse::<ChapterMark>() else { return };
    assert_eq!(mark.to_string().parse(), Ok(mark.clone()));
    for format in [SourceFormat::Markdown, SourceFormat::Text, SourceFormat::Html] {
        let (_file, source) = file("m.x", rest.as_bytes());
        let mut kept = Kept::default();
        let read = import_marked(format, &Source::File(source), std::slice::from_ref(&mark), &mut kept);
        judge(read, &kept, rest.len());
    }
}
