//! Plain text: where chapters and paragraphs begin.

use super::super::{
    SourceFormat,
    tests::{Kept, run},
};
use super::*;

fn txt(text: &str) -> (Kept, Imported) {
    run(SourceFormat::Text, "book.txt", text.as_bytes()).unwrap()
}

const PROSE: &str = "It was a dark and stormy night; the rain fell in torrents, except at\noccasional intervals, when it was checked by a violent gust of wind which\nswept up the streets.\n\n";

#[test]
fn chapters_are_found_by_their_headings_without_the_table_of_contents() {
    let text = format!(
        "Title: The Night\nAuthor: E. Writer\nLanguage: English\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nCONTENTS\n\n\
         CHAPTER I. Down\n\nCHAPTER II. Up\n\nPROLOGUE\n\n{PROSE}CHAPTER I.\nDown\n\n{PROSE}CHAPTER II.\n\nUP THERE\n\n{PROSE}\
         *** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nlicence\n"
    );
    let (kept, imported) = txt(&text);
    assert_eq!(kept.titles(), ["", "PROLOGUE", "CHAPTER I. Down", "CHAPTER II. UP THERE"]);
    assert_eq!((imported.metadata.title.as_str(), imported.metadata.language.as_str()), ("The Night", "en"));
    assert_eq!(imported.metadata.authors, ["E. Writer"]);
    assert!(!kept.text().contains("licence") && !kept.text().contains("Title:"), "{}", kept.text());
    assert!(kept.text().contains("torrents, except at occasional intervals"), "{}", kept.text());
}

/// As in Project Gutenberg's Henry V, on which builds that check sums came to an end.
#[test]
fn a_prologue_right_behind_an_acts_title_is_taken_once() {
    let text = format!(
        "ACT I.\n\nSCENE I. The palace.\n\n{PROSE}SCENE II. The chamber.\n\n{PROSE}ACT II.\n\nPROLOGUE.\n\n{PROSE}\
         SCENE I. A street.\n\n{PROSE}SCENE II. A council.\n\n{PROSE}ACT III.\n\nPROLOGUE.\n\n{PROSE}SCENE I. France.\n\n{PROSE}"
    );
    let (kept, _) = txt(&text);
    assert_eq!(kept.text().matches("torrents").count(), 7, "{}", kept.text());
    assert!(kept.titles().iter().any(|title| title.contains("ACT II.")), "{:?}", kept.titles());
}

#[test]
fn numbers_parts_and_other_scripts_make_chapters() {
    let roman = format!("I\n\n{PROSE}{PROSE}II\n\n{PROSE}{PROSE}III\n\n{PROSE}");
    assert_eq!(txt(&roman).0.titles(), ["I", "II", "III"]);
    let parts =
        format!("PART ONE\n\nChapter 1: A\n\n{PROSE}Chapter 2\n\n{PROSE}PART TWO\n\nChapter 1\n\n{PROSE}");
    assert_eq!(txt(&parts).0.titles(), ["PART ONE – Chapter 1: A", "Chapter 2", "PART TWO – Chapter 1"]);
    let chinese = "第一章 始\n\n吾輩は猫である。\n名前はまだ無い。\n\n第二章\n\n終。\n";
    let (kept, _) = txt(chinese);
    assert_eq!(kept.titles(), ["第一章 始", "第二章"]);
    assert!(kept.text().contains("猫である。名前は"), "{}", kept.text());
}

#[test]
fn lists_are_no_chapters_and_a_text_without_any_is_one() {
    let (kept, imported) = txt(&format!("{PROSE}1. milk\n\n2. bread\n\n3. tea\n\n{PROSE}"));
    assert_eq!(kept.chapters.len(), 1);
    assert!(imported.report.warnings[0].contains("no chapter headings"));
    assert_eq!(imported.metadata.title, "book");
}

#[test]
fn verse_scene_breaks_and_emphasis_are_kept() {
    let (kept, _) = txt(&format!(
        "{PROSE}    Roses are red,\n    Violets are blue.\n\n{PROSE}* * *\n\nShe was _very_ late, *really*.\n"
    ));
    let text = kept.text();
    assert!(text.contains("> Roses are red,") && text.contains("> Violets"), "{text}");
    assert!(text.contains("\n---\n") || text.contains("\n***\n") || text.contains("* * *"), "{text}");
    assert!(text.contains("*very*") && text.contains("\\*really\\*"), "{text}");
}

#[test]
fn paragraphs_are_told_by_indentation_or_by_lines_where_there_are_no_blank_ones() {
    let indented = "   First begins\nand goes on.\n   Second begins\nand goes on.\n".repeat(30);
    assert!(txt(&indented).0.text().contains("First begins and goes on.\n\nSecond begins and goes on.\n"));
    let long = format!("{}\n{}\n", "word ".repeat(60), "more ".repeat(60)).repeat(10);
    assert_eq!(txt(&long).0.text().matches("\n\n").count(), 20);
}

#[test]
fn the_report_names_the_charset_and_huge_texts_are_split() {
    let (latin, _, _) =
        encoding_rs::WINDOWS_1252.encode("Über den Wölfen schläft Äneas, größer als König Löwe.");
    let (kept, imported) = run(SourceFormat::Text, "b.txt", &latin).unwrap();
    assert_eq!(imported.report.charset.as_deref(), Some("windows-1252"));
    assert!(kept.text().contains("Wölfen") && imported.report.warnings[0].contains("guessed"));
    let (kept, _) = txt(&PROSE.repeat(40_000));
    assert!(kept.chapters.len() >= 2 && kept.chapters[1].1.ends_with("(continued)"));
}

#[test]
fn chapters_begin_where_their_owner_says() {
    let text = format!(
        "CHAPTER I\n\n{PROSE}Day the first\n\n{PROSE}not Day the first\n\n{PROSE}Day the last\n\n{PROSE}"
    );
    let marked = |marks: &[&str]| {
        let marks: Vec<ChapterMark> = marks.iter().map(|mark| mark.parse().unwrap()).collect();
        let (_file, source) = crate::import::tests::file("book.txt", text.as_bytes());
        let mut kept = Kept::default();
        let imported = import_file(&source, &marks, &mut kept).unwrap();
        (kept.titles().join("|"), imported.report.warnings)
    };
    assert_eq!(marked(&["day *"]).0, "|Day the first|Day the last");
    assert_eq!(marked(&["day *", "chapter #"]).0, "CHAPTER I|Day the first|Day the last");
    let (told, warnings) = marked(&["numbers"]);
    assert_eq!(told, "");
    assert!(warnings.iter().any(|warning| warning.contains("said to begin")), "{warnings:?}");
}
