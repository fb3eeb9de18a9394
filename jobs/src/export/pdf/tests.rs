//! What the file is made of. What it looks like, and whether others can read it, is checked by the product tests.

use std::sync::Arc;

use super::{flow::Flow, flow::Row, objects::Objects, tree::Numbers};
use crate::{
    book::{Event, Losses},
    export::{
        Exporter, Format, PageOptions,
        tests::sample::{Pictures, book, events, exported},
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

fn losses(losses: &Losses) -> Vec<String> {
    losses.iter().map(|(what, count)| format!("{what}: {count}")).collect()
}

#[test]
fn the_sample_becomes_a_whole_file() {
    let (bytes, lost) = exported(Format::Pdf);
    assert!(bytes.starts_with(b"%PDF-1.7\n") && bytes.ends_with(b"%%EOF\n"));
    let end = String::from_utf8_lossy(&bytes[bytes.len() - 40..]).into_owned();
    let begin: usize = end.split("startxref\n").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert!(String::from_utf8_lossy(&bytes[begin..begin + 60]).contains("/Type/XRef"));
    assert_eq!(
        losses(&lost),
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
