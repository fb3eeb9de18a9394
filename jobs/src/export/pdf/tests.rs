//! What the file is made of. What it looks like, and whether others can read it, is checked by the product tests.

use std::{io::Read as _, sync::Arc};

use super::{flow::Flow, flow::Row, notes::Notes, objects::Objects, tree::Numbers};
use crate::{
    book::{Event, Losses, Tag},
    export::{
        Exporter, Format, PageOptions,
        tests::sample::{Pictures, book, events, exported, told},
    },
};

fn row(height: f32, keep: bool) -> Row {
    Row { ascent: height, keep, ..Row::default() }
}

/// How many rows stand on each page.
fn pages(rows: impl IntoIterator<Item = Row>) -> Vec<usize> {
    let (mut flow, mut pages) = (Flow::new(100.0), Vec::new());
    for row in rows {
        flow.push(row);
        while let Some(page) = flow.overfull() {
            pages.push(page.len());
        }
    }
    pages.extend(flow.flush().map(|page| page.len()));
    assert_eq!(flow.pushed(), flow.shipped());
    pages
}

#[test]
fn rows_that_belong_together_are_not_parted() {
    assert_eq!(pages((0..25).map(|_| row(10.0, false))), [10, 10, 5]);
    // A heading at the foot goes over with the two lines after it.
    assert_eq!(pages((0..12).map(|at| row(10.0, matches!(at, 9 | 10)))), [8, 4]);
    // What never may be parted is parted all the same.
    assert_eq!(pages((0..25).map(|_| row(10.0, true))), [10, 10, 5]);
    // Higher than any page.
    assert_eq!(pages([row(10.0, false), row(500.0, true), row(10.0, true)]), [1, 1, 1]);
}

#[test]
fn a_tables_head_stands_on_each_of_its_pages() {
    let mut flow = Flow::new(100.0);
    flow.repeat(vec![row(10.0, false)]);
    let mut pages = Vec::new();
    for _ in 0..20 {
        flow.push(Row { in_table: true, ..row(10.0, false) });
        pages.extend(flow.overfull().map(|page| page.len()));
    }
    flow.repeat(Vec::new());
    pages.extend(flow.flush().map(|page| page.len()));
    assert_eq!(pages, [10, 10, 2]);
    assert_eq!(flow.shipped(), 20);
}

#[test]
fn the_head_of_a_table_that_fills_a_page_does_not_fill_the_next_ones() {
    let mut flow = Flow::new(100.0);
    flow.repeat(vec![row(90.0, false)]);
    for _ in 0..30 {
        flow.push(Row { in_table: true, ..row(50.0, false) });
        if let Some(page) = flow.overfull() {
            assert_eq!(page.len(), 2);
        }
    }
}

#[test]
fn what_is_kept_of_a_long_file_does_not_grow() {
    let (mut objects, mut out) = (Objects::new([7; 16]), Vec::new());
    objects.begin(&mut out).unwrap();
    let mut tree = Numbers::of_numbers();
    let mut most = 0;
    for number in 0..100_000 {
        let id = objects.alloc();
        objects.body(&mut out, id, b"null").unwrap();
        tree.add(&mut objects, &mut out, number, id).unwrap();
        most = most.max(objects.kept());
    }
    assert!(most < 20_000, "{most}");
    assert!(tree.finish(&mut objects, &mut out).unwrap().is_some());
    let catalog = objects.catalog();
    objects.body(&mut out, catalog, b"<</Type/Catalog>>").unwrap();
    objects.finish(&mut out).unwrap();
    let previous = out.windows(6).filter(|window| window == b"/Prev ").count();
    assert!(previous >= 10, "{previous}");
}

#[test]
fn the_sample_becomes_a_whole_file() {
    let (bytes, lost) = exported(Format::Pdf);
    assert!(bytes.starts_with(b"%PDF-1.7\n") && bytes.ends_with(b"%%EOF\n"));
    let end = String::from_utf8_lossy(&bytes[bytes.len() - 40..]).into_owned();
    let begin: usize = end.split("startxref\n").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert!(String::from_utf8_lossy(&bytes[begin..begin + 60]).contains("/Type/XRef"));
    assert_eq!(
        told(&lost),
        [
            "footnote without a text: 1",
            "image: 2",
            "link inside a link: 1",
            "link that leads nowhere: 3",
            "link to a place that is not there: 3",
            "missing image: 1",
            "remote image: 1",
        ]
    );
}

#[test]
fn a_book_that_is_not_what_it_promised_is_refused() {
    let lookup = Arc::new(crate::export::lookup::Lookup::new(book()));
    let mut pdf = super::Pdf::new(lookup, Box::new(Pictures), &PageOptions::default());
    let mut out = Vec::new();
    pdf.event(Event::BookStart, &mut out).unwrap();
    assert!(pdf.event(Event::BookEnd, &mut out).is_err());
    assert!(!events().is_empty());
}

#[test]
fn every_page_size_holds_the_sample() {
    for size in ["a4", "a6", "letter", "6x9in", "70x70mm"] {
        let options = PageOptions { size: Some(size.parse().unwrap()), ..PageOptions::default() };
        let lookup = Arc::new(crate::export::lookup::Lookup::new(book()));
        let mut pdf = super::Pdf::new(lookup, Box::new(Pictures), &options);
        let mut out = Vec::new();
        for event in events() {
            pdf.event(event, &mut out).unwrap();
        }
        assert!(out.ends_with(b"%%EOF\n"), "{size}");
    }
}

/// The objects that travel together, unpacked, and what was lost.
fn with_link(target: String) -> (String, Losses) {
    let lookup = Arc::new(crate::export::lookup::Lookup::new(book()));
    let mut pdf = super::Pdf::new(lookup, Box::new(Pictures), &PageOptions::default());
    let mut out = Vec::new();
    let link = Tag::Link { target: target.into(), title: "".into() };
    let (end, words) = (link.end(), "many words ".repeat(200));
    let mut events = vec![Event::BookStart];
    for index in 0..3 {
        events.push(Event::ChapterStart { index, title: "".into() });
        if index == 0 {
            events.extend([Event::Start(Tag::Paragraph), Event::Start(link.clone())]);
            events.extend([Event::Text(words.clone().into()), Event::End(end)]);
            events.push(Event::End(Tag::Paragraph.end()));
        }
        events.push(Event::ChapterEnd);
    }
    for event in events.into_iter().chain([Event::BookEnd]) {
        pdf.event(event, &mut out).unwrap();
    }
    let mut plain = Vec::new();
    let starts =
        out.windows(8).enumerate().filter(|(_, window)| window == b"\nstream\n").map(|(at, _)| at + 8);
    for start in starts {
        // What is not compressed says so.
        let _ = flate2::read::ZlibDecoder::new(&out[start..]).read_to_end(&mut plain);
    }
    (String::from_utf8_lossy(&plain).into_owned(), pdf.losses().clone())
}

#[test]
fn a_links_address_is_written_once_however_many_lines_it_has() {
    let (file, lost) = with_link(format!("https://example.org/{}", "a".repeat(1_900)));
    let count = |what: &str| file.matches(what).count();
    assert!(count("/Subtype/Link") > 10 && lost.is_empty(), "{lost:?}");
    assert_eq!((count("/S/URI"), count(&"a".repeat(1_900))), (1, 1));
    let (file, lost) = with_link(format!("https://example.org/{}", "a".repeat(2_000)));
    assert_eq!(
        (file.matches("/S/URI").count(), told(&lost)),
        (0, vec!["link with an over-long address: 1".to_owned()])
    );
}

#[test]
fn notes_come_by_number_and_the_unmentioned_ones_behind_them() {
    let (mut notes, mut objects) = (Notes::default(), Objects::new([0; 16]));
    // As many as would take minutes, if each were looked for from the beginning.
    for number in (0..200_000).rev() {
        notes.define(&mut objects, &format!("n{number:06}"), vec![Event::Rule; number % 3]);
    }
    for label in ["n000007", "missing", "n000003"] {
        notes.mention(&mut objects, label);
    }
    let mut next = || notes.next().map(|note| (note.number, note.events.map(|events| events.len())));
    assert_eq!([next(), next(), next()], [Some((1, Some(1))), Some((2, None)), Some((3, Some(0)))]);
    assert_eq!([next(), next()], [Some((4, Some(0))), Some((5, Some(1)))]);
    assert_eq!((6..=200_001).find(|number| next().is_none_or(|(found, _)| found != *number)), None);
    assert_eq!(next(), None);
    notes.define(&mut objects, "a late one", vec![Event::Rule]);
    notes.define(&mut objects, "n000003", vec![Event::Rule]);
    assert_eq!(notes.next().map(|note| note.number), Some(200_002));
    assert!(notes.next().is_none());
}
