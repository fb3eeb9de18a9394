//! Exports of ours, sound and hostile.

use super::super::{
    SourceFormat,
    tests::{PNG, run},
};

/// A small book of ours.
pub(in crate::import) fn small() -> String {
    use base64::Engine as _;
    let picture = base64::engine::general_purpose::STANDARD.encode(PNG);
    format!(
        concat!(
            r#"{{"format":"presswork-book-export","version":1,"metadata":{{"title":"T","language":"en","cover":"p.png"}},"#,
            r#""chapters":[{{"title":"One","blocks":[{{"type":"paragraph","runs":[{{"type":"text","text":"a ","marks":["strong"]}},"#,
            r##"{{"type":"text","text":"b","marks":["strong"],"link":{{"url":"https://x.org","id":1,"inside":1}}}},"##,
            r#"{{"type":"text","text":"c","link":{{"chapter":1,"anchor":"h","id":2}}}},{{"type":"footnote_reference","label":"n"}}]}},"#,
            r#"{{"type":"list","first":3,"items":[{{"blocks":[{{"type":"plain","runs":[{{"type":"code","text":"x"}}]}}]}}]}},"#,
            r#"{{"type":"footnote","label":"n","blocks":[{{"type":"paragraph","runs":[{{"type":"text","text":"note"}}]}}]}}]}},"#,
            r#"{{"title":"","blocks":[{{"type":"heading","level":2,"anchor":"h","runs":[{{"type":"text","text":"H"}}]}},"#,
            r#"{{"type":"table","columns":["left"],"head":[[{{"type":"text","text":"k"}}]],"rows":[[[]]]}},"#,
            r#"{{"type":"code","language":"rust","text":"fn\n"}},{{"type":"rule"}},"#,
            r#"{{"type":"paragraph","runs":[{{"type":"image","source":"p.png","alt":"pic","title":"cap"}}]}}]}}],"#,
            r#""assets":[{{"name":"p.png","media_type":"image/png","data":"{}"}}]}}"#
        ),
        picture
    )
}

#[test]
fn an_export_of_ours_is_read() {
    let (kept, imported) = run(SourceFormat::Json, "b.json", small().as_bytes()).unwrap();
    assert_eq!(kept.titles(), ["One", ""]);
    let text = kept.text();
    for part in [
        "**a [b](https://x.org)**[c](0002-chapter.md#h)[^n]",
        "3. `x`",
        "[^n]: note",
        "## H {#h}",
        "| k |\n| :-- |",
        "```rust\nfn\n```",
        "![pic](../images/p.png \"cap\")",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(imported.metadata.cover.as_deref(), Some("p.png"));
    assert_eq!(kept.assets["p.png"].1, PNG);
    assert!(imported.report.losses.is_empty(), "{:?}", imported.report.losses);
}

#[test]
fn what_is_not_ours_or_broken_is_refused_with_its_place() {
    let small = small();
    for (wrong, says) in [
        ("{}".to_owned(), "no book that Presswork exported"),
        (small.replace("\"version\":1", "\"version\":9"), "use a newer one"),
        (small.replace("\"type\":\"paragraph\",", ""), "\"type\" must come first"),
        (small.replace("\"strong\"", "\"bold\""), "is no mark"),
        (small.replace("\"type\":\"quote\"", ""), ""),
        (small[..small.len() - 9].to_owned(), "cut off"),
        (format!("{small}x"), "more behind"),
        (small.replace("\"name\":\"p.png\",", ""), "before its \"data\""),
    ] {
        match run(SourceFormat::Json, "b.json", wrong.as_bytes()) {
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with("b.json") && error.contains(says), "{says}: {error}");
            }
            Ok(_) => assert_eq!(says, ""),
        }
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let deep = "{\"type\":\"quote\",\"blocks\":[".repeat(10_000);
    let text = format!(
        "{{\"format\":\"presswork-book-export\",\"version\":1,\"metadata\":{{}},\"chapters\":[{{\"title\":\"\",\"blocks\":[{deep}{}]}}],\"assets\":[]}}",
        "]}".repeat(10_000)
    );
    let error = run(SourceFormat::Json, "b.json", text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("nested more than 64 deep"), "{error}");
}
