//! The sound files that are changed: the tests' own, and the handbook.

use std::io::{Cursor, Read as _};

use encoding_rs::{SHIFT_JIS, WINDOWS_1251};

use super::mutate::Seed;
use crate::{
    handbook,
    import::{docx, epub, json, tests::PNG},
};

fn plain(text: &str) -> Seed {
    Seed::Plain(text.as_bytes().to_vec())
}

const MARKDOWN: &str = concat!(
    "---\ntitle: T\nauthor: [A, B]\n---\n\n# Book\n\nFront.[^1] ![p](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==)\n\n",
    "## One {#o}\n\n> quote\n> - item\n>   ```\n>   code\n>   ```\n\n1. a\n2. b\n\n   c\n\nTwo\n---\n\n",
    "| a | b |\n|---|:-:|\n| *x* | `y` |\n\n~~s~~ ^u^ H~2~O [l](#o) [m][r] <br> <em>x</em>\n\n[^1]: note\n\n    more\n\n[r]: http://x 't'\n",
);
const TEXT: &str = "Title: T\nAuthor: A\n\nCHAPTER I.\nThe Start\n\nOnce _upon_ a time\nthere was.\n\n  verse\n  verse\n\n* * *\n\nEnd.\n\n\
    CHAPTER II.\n\nMore \u{e9}\u{4e00}.\n\n\u{7b2c}\u{4e09}\u{7ae0}\n\n*** END OF THE PROJECT GUTENBERG EBOOK T ***\n";
const HTML: &str = concat!(
    "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>T &amp; U</title><style>p{}</style></head><body>",
    "<header><h1>T</h1><p class=author>A</header><nav><ol><li><a href='#c1'>One</a></ol></nav><section id=c1><h2>One</h2>",
    "<p>a <b>b<i>c</b>d</i><a role=doc-noteref href='#n1'>1</a><ul><li>x<li>y</ul><table><tr><th>a<td>b</table>",
    "<img src='data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==' alt=p><pre><code class=language-x>y\n</code></pre></section>",
    "<h2 id=t>Two</h2><blockquote><p>q<br>r</blockquote><a href='#t'>l</a><script>z</script><ol start=3><li id=n1>note</ol>",
);

pub(super) fn markdown() -> Vec<Seed> {
    let chapters = handbook::FILES.iter().filter(|(name, _)| name.ends_with(".md"));
    chapters.take(4).map(|(_, bytes)| Seed::Plain(bytes.to_vec())).chain([plain(MARKDOWN)]).collect()
}

pub(super) fn text() -> Vec<Seed> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let russian = "Глава 1\n\nЖили-были дед да баба.\n\nГлава 2\n\nИ была у них курочка Ряба.\n".repeat(4);
    let japanese =
        "第一章\n\n吾輩は猫である。名前はまだ無い。\n\n第二章\n\nどこで生れたかとんと見当がつかぬ。\n"
            .repeat(4);
    vec![
        plain(TEXT),
        Seed::Plain(wide(TEXT)),
        Seed::Plain([&[0xff, 0xfe], &*wide(TEXT)].concat()),
        Seed::Plain(WINDOWS_1251.encode(&russian).0.into_owned()),
        Seed::Plain(SHIFT_JIS.encode(&japanese).0.into_owned()),
    ]
}

pub(super) fn html() -> Vec<Seed> {
    let wide = HTML.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![plain(HTML), Seed::Plain(wide)]
}

pub(super) fn epub() -> Vec<Seed> {
    vec![Seed::Zip(epub::tests::Parts::small().0)]
}

pub(super) fn docx() -> Vec<Seed> {
    let others: [&[u8]; 2] =
        [include_bytes!("../docx/fixtures/pandoc.docx"), include_bytes!("../docx/fixtures/python.docx")];
    let small = Seed::Zip(docx::tests::Parts::small().0);
    others.into_iter().map(|bytes| Seed::Zip(entries(bytes))).chain([small]).collect()
}

fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let count = zip.len();
    let read = |place| {
        let (mut entry, mut bytes) = (zip.by_index(place).unwrap(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    };
    (0..count).map(read).filter(|(name, _)| !name.ends_with('/')).collect()
}

pub(super) fn zip() -> Vec<Seed> {
    let entry = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    vec![
        Seed::Zip(vec![
            entry("b/SUMMARY.md", b"- [One](1.md)\n- [Two](sub/2.md)\n"),
            entry("b/1.md", MARKDOWN.as_bytes()),
            entry("b/sub/2.md", b"# Two\n\n![p](../img/x.png) [one](../1.md#o)\n"),
            entry("b/img/x.png", PNG),
        ]),
        Seed::Zip(vec![
            entry("1.html", HTML.as_bytes()),
            entry("2.htm", b"<h1>B</h1><a href=1.html#c1>x</a>"),
        ]),
        Seed::Zip(vec![entry("1.txt", TEXT.as_bytes()), entry("2.txt", b"Second.")]),
    ]
}

pub(super) fn json() -> Vec<Seed> {
    vec![plain(&json::tests::small())]
}

pub(super) fn csv() -> Vec<Seed> {
    vec![
        plain("sep=;\r\nid;name;aliases;extra\r\na;\"A;\"\"\";b;{}\r\nb;B;;\r\n"),
        plain(
            "id,name,aliases,traits,relationships,first_chapter,extra\na,A,\"x; y\",t,b: friend,3,\"{\"\"age\"\":7}\"\n",
        ),
        plain("'Figur'\t'Rolle'\n'x'\t'y \\' z'\n"),
    ]
}

pub(super) fn characters_json() -> Vec<Seed> {
    vec![plain(
        r#"[{"id":"a","name":"A","traits":["x"],"relationships":[{"to":"b","kind":"k"}]},{"id":"b","name":"\u00e9\ud83d\ude00","x":{"y":[1,2e3,null]}}]"#,
    )]
}

pub(super) fn characters_jsonl() -> Vec<Seed> {
    vec![plain("{\"id\":\"a\",\"name\":\"A\"}\n\n{\"id\":\"b\",\"name\":\"B\",\"first_chapter\":2}\r\n")]
}

pub(super) fn description() -> Vec<Seed> {
    vec![plain(
        r#"{"format":"presswork-book","version":1,"metadata":{"title":"T","language":"en","authors":["A"],"cover":"c.png"},
"chapters":[{"file":"r1/chapters/0001-one.md","title":"One"}],
"assets":[{"name":"c.png","file":"r1/images/c.png","media_type":"image/png","bytes":12}]}"#,
    )]
}

pub(super) fn heads() -> Vec<Seed> {
    vec![
        plain("attachment; filename=\"My; \\\"Novel\\\".docx\"; filename*=UTF-8''%e2%82%ac.epub"),
        plain("inline; filename=a.txt; size=3"),
        plain("bytes 7-19/20"),
        plain("bytes */20"),
    ]
}

pub(super) fn marks() -> Vec<Seed> {
    vec![
        plain("Chapter *\nCHAPTER I."),
        plain("* Act # *\nThe Act 3 of"),
        plain("numbers\nXIV."),
        plain("h2\n## x"),
    ]
}

/// All of them: what a file is must be told of any.
pub(super) fn all() -> Vec<Seed> {
    [markdown(), text(), html(), epub(), docx(), zip(), json(), csv(), characters_json()]
        .into_iter()
        .flatten()
        .collect()
}
