//! Books to send round: one that has everything, in Markdown, and random ones.

use super::Held;
use crate::{
    book::{EndTag, Event, Tag, pixel::PIXEL, writer::MarkdownWriter},
    export::random_chapter,
    import::SourceFormat,
};

/// The same without what a DOCX has no place for: marks of notes in notes, pictures on the web, semicolons in a list of
/// subjects. Its export counts the first two.
pub(super) fn rich_for_docx() -> Held {
    let text = RICH.replace("(#far).[^three]", "(#far).").replace("[^three]: From a note.", "");
    let text = text.replace(" ![web](https://example.org/x.png)", "").replace("Tests; more", "Tests");
    Held::read(SourceFormat::Markdown, "rich.md", text.as_bytes()).0
}

/// All tags nested in many ways, notes, tables, pictures, links between chapters, odd characters, both directions.
pub(super) fn rich() -> Held {
    let held = Held::read(SourceFormat::Markdown, "rich.md", RICH.as_bytes()).0;
    let first = &held.chapters[0].2;
    assert!(first.contains("^2^") && first.contains("~2~"), "raised and lowered, no signs: {first}");
    assert!(held.chapters.len() == 7, "{:?}", held.chapters.iter().map(|c| &c.1).collect::<Vec<_>>());
    held
}

const RICH: &str = concat!(
    "+++\ntitle = \"A \\\"Rich\\\" Book & <more>\"\nsubtitle = \"Of everything\"\nauthors = [\"Ann One\", \"Béla & Co\"]\n",
    "language = \"en-GB\"\nidentifier = \"978-3-16-148410-0\"\ndescription = \"First line.\\n\\nSecond – line.\"\n",
    "date = \"c. 1843\"\npublisher = \"Nobody\"\nrights = \"CC0 <1.0>\"\nsubjects = [\"Tests; more\", \"Books\"]\n",
    "cover = \"data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=\"\n+++\n\n",
    "# The *First* & <last>\n\n",
    "Plain *slanted **both** `code`* **bold *and* more** ~~gone *here*~~ E=mc^2^ H~2~O `a  b` & `` x`y ``.[^one]\n",
    "A line that goes on,\\\nand one that breaks.[^two] Again.[^one]\n\n",
    "[**bold link**](#far) **a [link](https://example.org/a?b=1&c=2 \"A *title* \\\"q\\\"\") in bold** ",
    "[one](#far)[two](#far) [`code`](mailto:a@b.org) [next](#second)\n\n",
    "## A heading *with* `runs` {#far}\n\n### Ünusual 日本 {#p.1:ä}\n\n## Again\n\n#### Again\n\n",
    "> Quoted.\n>\n> > Deeper.\n> > > Deepest `x`.\n>\n> - in\n>   1. a\n>   2. b\n>\n> ```rust\n> fn main() {\n>\n>     let x = \"  \";\n> }\n> ```\n>\n> | a |\n> |---|\n> | b |\n\n",
    "[^one]: The *first* note with [a link](#far).[^three]\n\n[^two]: Two\n\n    paragraphs.\n\n    > and a quote\n\n    - and\n    - a list\n\n[^three]: From a note.\n\n",
    "# Second {#second}\n\n- tight\n- list\n  - nested *x*\n    - deeper\n  - y\n- end\n\n<!-- -->\n\n- loose\n\n  second paragraph\n\n  ```\n  code\n  ```\n- also loose\n\n  1. one\n\n     more\n  2. two\n\n",
    "7. seven\n8. eight\n   > quote in an item\n9. nine\n\n   ***\n\n0) zero\n1) one\n\n* \n* x\n\n",
    "| Left | Centre | Right | None |\n|:--|:-:|--:|---|\n| a | *b* **c** | `d|e` | \\| |\n|  | ^x^ | [l](#far) | y[^n] |\n\n[^n]: In a table.\n\n",
    "| alone |\n|:-:|\n\n***\n\n>\n\n> after an empty one\n>\n> >\n\n![](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==)\n\n",
    "Text ![alt *text* \"q\"](data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSIxIi8+ \"A caption\") and ![again](data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSIxIi8+ \"Another -- <caption> | \\\"q\\\"\") ![third](data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSIxIi8+) ![web](https://example.org/x.png)\n\n",
    "```a b\n\ttab\n\n  two  \n\nlast\n```\n\n    indented\n\n```\n```\n\n",
    "# \n\n# Empty\n\n# عنوان שלום\n\nمرحبا بالعالم *שלום* (1) abc.\n\n> اقتباس\n\n| م | ن |\n|--:|:--|\n| ١ | ٢ |\n\nMixed שלום and מספר 12 in English.\n\n",
    "# Odd characters\n\nA\u{a0}b\u{2009}c\u{200d}d\u{200b}e \u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} e\u{301} \u{ad}soft \u{feff}bom \u{2028}sep \u{3000}wide \u{e000} &lt;tag&gt; &amp;amp; \\\\ \\* ]]&gt; -- --- ... “q” 'a' $1 100% #x @y ~ ^\n\nשורה\u{200f} \u{202b}x\u{202c}\n\nx&#x85;y a\tb\n\nTwo blanks.  As typed,   three *x*  y **  z** | `q`  r.\n\n| a  b |\n|---|\n| c   d |\n\n### Blank  heading\n\n",
    "# Second {#second-2}\n\nThe same title. [Back](#second), [here](#second-2), [far](#far), [odd](#p.1:ä).[^one-b]\n\n[^one-b]: *Note* in another chapter.\n",
);

/// A random book: its chapters come from `seed` alone.
pub(super) fn random(seed: u64) -> Held {
    let mut held = Held::default();
    held.metadata.title = format!("Random {seed}");
    held.metadata.language = "en".into();
    for (name, bytes) in [("a.png", PIXEL.to_vec()), ("b c.png", [PIXEL, b"more"].concat())] {
        held.assets.push((name.into(), "image/png".into(), bytes));
    }
    for index in 0..2_u64 {
        let mut writer = MarkdownWriter::for_project();
        let title = ["A title", ""][((seed + index) % 2) as usize];
        writer.event(&Event::ChapterStart { index: 0, title: title.into() });
        let events = random_chapter(2 * seed + index);
        // Words, as a book without any is none; and no note that nothing mentions, as only JSON keeps it.
        let mut words =
            vec![Event::Start(Tag::Paragraph), Event::Text("Words.".into()), Event::End(EndTag::Paragraph)];
        let mentioned = events.iter().any(|event| matches!(event, Event::FootnoteReference(_)));
        let note = events.iter().position(|event| matches!(event, Event::Start(Tag::Footnote { .. })));
        let end = note.filter(|_| !mentioned).unwrap_or(events.len());
        words.extend(events.into_iter().take(end));
        let events = words;
        let has_anchor =
            events.iter().any(|event| matches!(event, Event::Start(Tag::Heading { anchor: Some(_), .. })));
        for event in events {
            writer.event(&pointed(event, has_anchor));
        }
        writer.event(&Event::ChapterEnd);
        let name = crate::book::names::chapter_name(index as usize, title);
        held.chapters.push((name, title.into(), std::mem::take(writer.buffer())));
    }
    // Brought in once, it is as imports make books.
    let (bytes, _) = held.export(crate::export::Format::Json);
    Held::read(SourceFormat::Json, "random.json", &bytes).0
}

/// Links of the author lead nowhere: here they lead where there is something.
fn pointed(event: Event<'static>, has_anchor: bool) -> Event<'static> {
    let Event::Start(Tag::Link { target, title }) = event else { return event };
    let target = match target.as_ref() {
        "#x" if has_anchor => "#an-ch_or".into(),
        "#x" | "0001-a.md#y" => "0002-chapter.md".into(),
        "a b" => "https://example.org/a_b(c)?d=\"e\"".into(),
        "(x)" | "" | "<" => "mailto:a@b.org".into(),
        _ => target,
    };
    Event::Start(Tag::Link { target, title })
}

/// Real books that nobody here wrote, and the handbook.
pub(super) fn real() -> Vec<(String, Held)> {
    let mut books = Vec::new();
    let Some(folder) = std::env::var_os("PRESSWORK_TEST_BOOKS") else { return books };
    for (format, path) in [
        (SourceFormat::Epub, "epub/debmake-doc.ja.epub"),
        (SourceFormat::Epub, "epub/policy.epub"),
        (SourceFormat::Epub, "epub/developers-reference.epub"),
        (SourceFormat::Markdown, "markdown/hamlet.md"),
        (SourceFormat::Markdown, "markdown/troilus-and-cressida.md"),
        (SourceFormat::Text, "text/debmake-doc.ru.txt"),
    ] {
        let bytes = std::fs::read(std::path::Path::new(&folder).join(path)).unwrap();
        books.push((path.to_owned(), Held::read(format, path.rsplit('/').next().unwrap(), &bytes).0));
    }
    books
}

/// Presswork's own handbook.
pub(super) fn handbook() -> Held {
    use crate::import::{Source, SourceFile, import};
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("handbook");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files.push(SourceFile::new(path.file_name().unwrap().to_string_lossy(), &path));
        } else {
            let below = path.file_name().unwrap().to_string_lossy().into_owned();
            for entry in std::fs::read_dir(&path).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{below}/{}", path.file_name().unwrap().to_string_lossy());
                files.push(SourceFile::new(name, path));
            }
        }
    }
    let mut held = Held::default();
    held.metadata = import(SourceFormat::Markdown, &Source::Folder(files), &mut held).unwrap().metadata;
    held
}
