//! Character sheets, three of them and a hundred thousand.

use std::sync::Arc;

use object_store::memory::InMemory;

use super::*;
use crate::book::{Characters, writer::dialect};

async fn written(characters: &Characters, format: Format) -> (String, u64, usize) {
    let (mut all, mut piece, mut longest) = (Vec::new(), Vec::new(), 0);
    let mut sheets = Sheets::new(format, characters).unwrap();
    while sheets.fill(&mut piece).await.unwrap() {
        longest = longest.max(piece.len());
        all.append(&mut piece);
    }
    (String::from_utf8(all).unwrap(), sheets.count(), longest)
}

fn character(json: serde_json::Value) -> Character {
    serde_json::from_value(json).unwrap()
}

async fn few() -> Characters {
    let characters = Characters::of(Arc::new(InMemory::new()));
    for one in [
        serde_json::json!({
            "id": "odysseus", "name": "=HYPERLINK(\"http://x\")", "aliases": ["Outis", "a; b\\c"], "role": "+1",
            "notes": "first\nsecond\n\nthird, \"quoted\"\r\n", "traits": ["-cunning"], "first_chapter": 5,
            "relationships": [{ "to": "penelope", "kind": "husband" }], "voice": { "pitch": "low" },
        }),
        serde_json::json!({ "id": "argos", "name": "Argos # *the* dog", "appearance": "\told", "mood": "# calm" }),
        serde_json::json!({ "id": "penelope", "name": "Πηνελόπη", "role": "@home", "background": "\rIcarius'" }),
    ] {
        assert!(characters.put(&character(one), false).await.unwrap());
    }
    characters
}

#[tokio::test]
async fn a_table_has_a_row_each_that_no_spreadsheet_runs() {
    let (table, count, _) = written(&few().await, Format::Csv).await;
    assert_eq!(count, 3);
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    assert!(reader.headers().unwrap().iter().eq(crate::book::characters::cells::columns()));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let row = |place: usize| rows[place].iter().collect::<Vec<_>>();
    assert_eq!(
        row(0),
        ["argos", "Argos # *the* dog", "", "", "", "", "'\told", "", "", "", "", "{\"mood\":\"# calm\"}"]
    );
    assert_eq!(
        row(1),
        [
            "odysseus",
            "'=HYPERLINK(\"http://x\")",
            "Outis; a\\; b\\\\c",
            "'+1",
            "",
            "'-cunning",
            "",
            "",
            "penelope: husband",
            "first\nsecond\n\nthird, \"quoted\"\r\n",
            "5",
            "{\"voice\":{\"pitch\":\"low\"}}"
        ]
    );
    assert_eq!((row(2)[3], row(2)[7]), ("'@home", "'\rIcarius'"));
    assert!(table.lines().next().is_some_and(|head| head.ends_with(",extra")) && table.ends_with("\r\n"));
}

#[tokio::test]
async fn no_cell_hides_a_formula_and_what_is_dropped_is_told() {
    let characters = Characters::of(Arc::new(InMemory::new()));
    let one = serde_json::json!({
        "id": "a", "name": "＝1", "role": "\n=1", "description": "x;=1; +2\t-3\r\n@4 - 5=6", "notes": "\u{0}=\u{7}b\u{85}c",
        "appearance": "＠a", "background": " ＋1;－2", "aliases": ["a", "=b"],
    });
    assert!(characters.put(&character(one), false).await.unwrap());
    for (format, lost) in [(Format::Csv, 1), (Format::Markdown, 1), (Format::Json, 0)] {
        let mut sheets = Sheets::new(format, &characters).unwrap();
        let mut out = Vec::new();
        while sheets.fill(&mut out).await.unwrap() {}
        let losses: u64 = sheets.losses().iter().map(|(_, count)| count).sum();
        assert_eq!(losses, lost, "{format}: {:?}", sheets.losses());
        if format == Format::Csv {
            let row = csv::Reader::from_reader(out.as_slice()).records().next().unwrap().unwrap();
            let cells: Vec<&str> = row.iter().filter(|cell| !cell.is_empty()).collect();
            let description = "x;'=1; '+2\t'-3\r\n'@4 - 5=6";
            let wanted = ["a", "'＝1", "a; '=b", "'\n'=1", description, "'＠a", " '＋1;'－2", "'=bc"];
            assert_eq!(cells, wanted);
        }
    }
}

#[tokio::test]
async fn an_array_has_the_characters_as_they_are() {
    let characters = few().await;
    let (array, _, _) = written(&characters, Format::Json).await;
    let read: Vec<Character> = serde_json::from_str(&array).unwrap();
    let ids: Vec<&str> = read.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["argos", "odysseus", "penelope"]);
    for one in read {
        assert_eq!(characters.get(&one.id).await.unwrap(), Some(one));
    }
    let none = Characters::of(Arc::new(InMemory::new()));
    assert_eq!(serde_json::from_str::<Vec<Character>>(&written(&none, Format::Json).await.0).unwrap(), []);
}

#[tokio::test]
async fn sheets_say_in_markdown_what_was_said_and_nothing_of_it_is_markup() {
    let (sheets, _, _) = written(&few().await, Format::Markdown).await;
    let (mut headings, mut text, mut in_heading) = (Vec::new(), String::new(), false);
    for event in pulldown_cmark::Parser::new_ext(&sheets, dialect()) {
        match event {
            pulldown_cmark::Event::Start(pulldown_cmark::Tag::Heading { .. }) => {
                in_heading = true;
                headings.push(String::new());
            }
            pulldown_cmark::Event::End(pulldown_cmark::TagEnd::Heading(_)) => in_heading = false,
            pulldown_cmark::Event::Start(
                pulldown_cmark::Tag::Emphasis | pulldown_cmark::Tag::Link { .. },
            ) => {
                panic!("markup in {sheets}")
            }
            pulldown_cmark::Event::Text(piece) if in_heading => {
                headings.last_mut().unwrap().push_str(&piece);
            }
            pulldown_cmark::Event::Text(piece) => text.push_str(&piece),
            pulldown_cmark::Event::HardBreak => text.push('/'),
            _ => {}
        }
    }
    assert_eq!(
        headings,
        [
            "Argos # *the* dog",
            "Appearance",
            "mood",
            "=HYPERLINK(\"http://x\")",
            "Notes",
            "voice",
            "Πηνελόπη",
            "Background"
        ]
    );
    for said in ["# calm", "first/second", "third, \"quoted\"", "Traits: -cunning", "husband of penelope"] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_characters_go_through_in_small_pieces_and_in_order() {
    let characters = Characters::of(Arc::new(InMemory::new()));
    for number in 0..100_000_u64 {
        // Not in the order in which they are asked for.
        let id = number * 70_001 % 100_000;
        let one = serde_json::json!({ "id": format!("c{id:05}"), "name": format!("Number {id}") });
        characters.put(&character(one), true).await.unwrap();
    }
    let (table, count, longest) = written(&characters, Format::Csv).await;
    assert_eq!(count, 100_000);
    assert!(longest < COLLECTED_BYTES + 1_000, "{longest} bytes in one piece");
    let rows = table.lines().skip(1).enumerate();
    assert_eq!(
        rows.filter(|(number, row)| *row == format!("c{number:05},Number {number},,,,,,,,,,")).count(),
        100_000
    );
}
