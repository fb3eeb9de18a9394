//! What is set is what was written: text, widths, order, fonts.

use pdf_writer::Ref;

use super::*;

const SERIF: Face = Face { family: Family::Serif, bold: false, italic: false };
const PROSE: &str = "In olden times when wishing still helped one, there lived a king whose daughters were all \
    beautiful, but the youngest was so beautiful that the sun itself, which has seen so much, was astonished whenever \
    it shone in her face. Close by the king\u{2019}s castle lay a great dark forest, and under an old lime-tree in the \
    forest was a well, and when the day was very warm, the king\u{2019}s child went out into the forest and sat down by \
    the side of the cool fountain; and when she was bored she took a golden ball, and threw it up on high and caught \
    it; and this ball was her favorite plaything.";

fn run(text: &str) -> Run<'_> {
    Run { text, style: Style { face: SERIF, size: 10.0, rise: 0.0 }, mark: 0 }
}

fn measure(width: f32) -> Measure {
    Measure { width, first_indent: 0.0, align: Align::Justify, hyphenate: true, preformatted: false }
}

fn code(width: f32) -> Measure {
    Measure { align: Align::Start, hyphenate: false, preformatted: true, ..measure(width) }
}

fn typesetter() -> Typesetter {
    Typesetter::new("en", Family::Serif)
}

fn set(setter: &mut Typesetter, text: &str, measure: &Measure) -> Vec<Line> {
    let mut lines = Vec::new();
    setter.set(&[run(text)], measure, &mut lines);
    lines
}

/// What the pieces say.
fn text(line: &Line) -> String {
    line.pieces.iter().map(|piece| piece.text.as_str()).collect()
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(text).collect()
}

/// What a reader finds by the fonts alone: each code's own text.
fn told(setter: &Typesetter, line: &Line) -> String {
    let of = |piece: &Piece, glyph: &Glyph| {
        let used = setter.shaper.used(piece.font);
        used.texts().find(|(code, _)| *code == glyph.id).map(|(_, text)| text.to_owned()).expect("a code")
    };
    line.pieces.iter().flat_map(|piece| piece.glyphs.iter().map(move |glyph| of(piece, glyph))).collect()
}

/// From the left edge to the end of the last glyph.
fn reach(line: &Line) -> f32 {
    let piece = line.pieces.last().expect("a piece");
    piece.x + piece.glyphs.iter().map(|glyph| glyph.advance).sum::<f32>()
}

#[test]
fn every_font_is_whole_and_has_latin_greek_and_cyrillic() {
    for family in [Family::Serif, Family::Sans, Family::Mono] {
        for (bold, italic) in [(false, false), (true, false), (false, true), (true, true)] {
            let face = face::FaceId::of(Face { family, bold, italic });
            for letter in "Aàßőžαώжщїѝ\u{2014}\u{201e}\u{2026}€".chars() {
                assert!(face.glyph(letter).is_some() || letter == 'ѝ', "{} lacks {letter}", face.name());
            }
            assert!((0.6..1.2).contains(&face.measures().ascent), "{}: {:?}", face.name(), face.measures());
        }
    }
    assert!(face::FaceId::HELP.glyph('\u{25a1}').is_some());
}

#[test]
fn the_fonts_tell_the_text_as_it_was_written() {
    let mut setter = typesetter();
    for source in [
        "The office of affluent waffles fjords; \u{201c}Voilà\u{201d}, Ærø, naïve, façade \u{2014} 100\u{a0}km.",
        "Ελληνικά και Русский язык, čeština, tiếng Việt, Türkçe, Íslenska.",
        "Cafe\u{301} no\u{308}el e\u{328}\u{301} \u{1e69} x\u{323}\u{307}",
        "a \u{2260} b, x\u{b2} + y\u{2082} \u{2192} \u{221e}, \u{2713} \u{263a} \u{266b}",
        "\u{6f22}\u{5b57} \u{1f980} \u{e000}",
    ] {
        let lines = set(&mut setter, source, &measure(1000.0));
        assert_eq!(texts(&lines), [source]);
        assert_eq!(told(&setter, &lines[0]), source);
        // Where one character takes several glyphs, the page must help.
        for piece in &lines[0].pieces {
            let used = setter.shaper.used(piece.font);
            let silent = |glyph: &Glyph| used.texts().any(|(code, text)| code == glyph.id && text.is_empty());
            assert_eq!(piece.tell, piece.glyphs.iter().any(silent), "{}", piece.text);
        }
    }
}

#[test]
fn letters_join_and_draw_together() {
    let mut setter = typesetter();
    let office = set(&mut setter, "fi", &measure(100.0));
    assert_eq!(office[0].pieces[0].glyphs.len(), 1);
    let pair = setter.natural_width(&[run("AV")]);
    assert!(pair < setter.natural_width(&[run("A")]) + setter.natural_width(&[run("V")]) - 0.5);
    let mono = Style { face: Face { family: Family::Mono, ..SERIF }, size: 10.0, rise: 0.0 };
    assert_eq!(
        setter.natural_width(&[Run { style: mono, ..run("fi ffl") }]),
        6.0 * setter.natural_width(&[Run { style: mono, ..run("i") }])
    );
}

#[test]
fn justified_lines_reach_both_edges() {
    let mut setter = typesetter();
    let lines = set(&mut setter, PROSE, &Measure { first_indent: 14.0, ..measure(240.0) });
    assert!(lines.len() > 8);
    assert_eq!(lines[0].x, 14.0);
    for line in &lines[..lines.len() - 1] {
        assert!((line.x + line.width - 240.0).abs() < 0.1, "{}: {}", text(line), line.width);
        let hanging = line.pieces.last().and_then(|piece| piece.glyphs.last()).expect("a glyph").advance;
        let hanging = if text(line).ends_with(' ') { hanging } else { 0.0 };
        assert!((reach(line) - hanging - 240.0).abs() < 0.1, "{}", text(line));
    }
    let last = lines.last().expect("a line");
    assert!(last.width < 239.0 && !last.hyphen);
    assert_eq!(texts(&lines).concat(), PROSE);
}

#[test]
fn the_best_way_to_break_is_more_even_than_the_first() {
    let mut setter = typesetter();
    let lines = set(&mut setter, PROSE, &measure(200.0));
    // Each line's own space, as a multiple of the natural one.
    let spaces: Vec<f32> = lines[..lines.len() - 1]
        .iter()
        .map(|line| {
            let mut glyphs = line.pieces.iter().flat_map(|piece| &piece.glyphs);
            let space = glyphs.find(|glyph| (glyph.advance - glyph.width).abs() > 0.3);
            space.map_or(1.0, |space| space.advance / space.width)
        })
        .collect();
    assert!(spaces.iter().all(|space| (0.69..2.3).contains(space)), "{spaces:?}");
}

#[test]
fn lines_stand_where_they_are_aligned() {
    let mut setter = typesetter();
    let width = setter.natural_width(&[run("Finis.")]);
    for (align, x) in [
        (Align::Justify, 0.0),
        (Align::Start, 0.0),
        (Align::Centre, 50.0 - width / 2.0),
        (Align::End, 100.0 - width),
    ] {
        let lines = set(&mut setter, "Finis.", &Measure { align, ..measure(100.0) });
        assert!((lines[0].x - x).abs() < 0.01 && (lines[0].pieces[0].x - x).abs() < 0.01, "{align:?}");
        assert!((lines[0].width - width).abs() < 0.01);
    }
}

#[test]
fn words_are_divided_only_where_that_is_allowed() {
    let mut setter = typesetter();
    let long = "incomprehensibilities incomprehensibilities incomprehensibilities";
    let lines = set(&mut setter, long, &measure(70.0));
    assert!(lines.iter().any(|line| line.hyphen));
    assert_eq!(texts(&lines).concat(), long);
    let lines = set(&mut setter, long, &Measure { hyphenate: false, align: Align::Start, ..measure(100.0) });
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| !line.hyphen));
    // A soft hyphen is the writer's own word for it.
    let lines = set(&mut setter, "Wort\u{ad}ungetüm", &Measure { hyphenate: false, ..measure(40.0) });
    assert_eq!((texts(&lines), lines[0].hyphen), (vec!["Wort".to_owned(), "ungetüm".to_owned()], true));
    assert_eq!(told(&setter, &lines[0]), "Wort\u{ad}");
    let address =
        set(&mut setter, "https://incomprehensibilities.example.org/notwithstanding/x", &measure(60.0));
    assert!(address.iter().all(|line| !line.hyphen));
    let lines = set(&mut setter, "Wort\u{ad}ungetüm", &measure(400.0));
    assert_eq!((texts(&lines), lines[0].hyphen), (vec!["Wortungetüm".to_owned()], false));
}

#[test]
fn a_no_break_space_holds_its_words_together() {
    let mut setter = typesetter();
    let width = setter.natural_width(&[run("about 100 000")]);
    let lines =
        set(&mut setter, "about 100\u{a0}000 km", &Measure { align: Align::Start, ..measure(width - 2.0) });
    assert_eq!(texts(&lines), ["about ", "100\u{a0}000 km"]);
}

#[test]
fn white_space_is_one_space_unless_it_is_code() {
    let mut setter = typesetter();
    assert_eq!(texts(&set(&mut setter, "  a \t  b ", &measure(100.0))), ["a b "]);
    let lines = set(&mut setter, "  a\tb  c\n\n\u{1b}d", &code(500.0));
    assert_eq!(texts(&lines), ["  a     b  c", "", "d"]);
    assert!(lines[1].ascent > 5.0 && lines[1].pieces.is_empty());
}

#[test]
fn code_that_is_too_long_wraps() {
    let mut setter = typesetter();
    let source = format!("let x = {};", "a".repeat(60));
    let lines = set(&mut setter, &source, &code(120.0));
    assert!(lines.len() > 2 && lines.iter().all(|line| line.width <= 120.01 && !line.hyphen));
    assert_eq!(texts(&lines).concat(), source);
}

#[test]
fn missing_characters_are_counted_and_still_told() {
    let mut setter = typesetter();
    setter.natural_width(&[run("\u{6f22}")]);
    assert_eq!(setter.missing(), 0);
    for times in 1..3 {
        let lines = set(&mut setter, "x\u{6f22}\u{5b57}y", &measure(100.0));
        assert_eq!(setter.missing(), 2 * times);
        assert_eq!(told(&setter, &lines[0]), "x\u{6f22}\u{5b57}y");
        assert!(lines[0].width > 20.0);
    }
}

#[test]
fn hebrew_and_arabic_run_from_the_right() {
    let mut setter = typesetter();
    let source = "\u{5e9}\u{5dc}\u{5d5}\u{5dd} abc 12";
    let line = &set(&mut setter, source, &measure(200.0))[0];
    assert_eq!(told(&setter, line), "abc 12 \u{5dd}\u{5d5}\u{5dc}\u{5e9}");
    let right =
        set(&mut setter, "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd}", &measure(200.0));
    assert!((right[0].x + right[0].width - 200.0).abs() < 0.01);
    assert_eq!(told(&setter, &right[0]), "\u{5dd}\u{5dc}\u{5d5}\u{5e2} \u{5dd}\u{5d5}\u{5dc}\u{5e9}");
    assert_eq!(text(&right[0]), "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd}");
    let arabic = set(&mut setter, "\u{633}\u{644}\u{627}\u{645}", &measure(200.0));
    assert!(arabic[0].pieces[0].glyphs.len() < 4, "lam and alef join");
    assert_eq!((setter.missing(), text(&arabic[0]).as_str()), (0, "\u{633}\u{644}\u{627}\u{645}"));
}

#[test]
fn styles_and_marks_come_back() {
    let mut setter = typesetter();
    let bold = Style { face: Face { bold: true, ..SERIF }, size: 12.0, rise: 3.0 };
    let runs = [run("plain "), Run { text: "bo", style: bold, mark: 7 }, Run { mark: 8, ..run("ld") }];
    let mut lines = Vec::new();
    setter.set(&runs, &measure(300.0), &mut lines);
    let pieces: Vec<_> = lines[0]
        .pieces
        .iter()
        .map(|piece| (piece.text.as_str(), piece.font.0, piece.mark, piece.rise))
        .collect();
    assert_eq!(pieces, [("plain ", 0, 0, 0.0), ("bo", 1, 7, 3.0), ("ld", 0, 8, 0.0)]);
    assert!(lines[0].ascent > 12.0 * 0.7 + 3.0);
    // No line ends within the word, whatever its looks.
    let mut lines = Vec::new();
    setter.set(&runs, &Measure { align: Align::Start, ..measure(28.0) }, &mut lines);
    assert_eq!(texts(&lines), ["plain ", "bold"]);
}

#[test]
fn a_paragraph_longer_than_a_window_is_set_as_one() {
    let mut setter = typesetter();
    let source = [PROSE; 60].join(" ");
    let lines = set(&mut setter, &source, &measure(300.0));
    assert_eq!(texts(&lines).concat(), source);
    for line in &lines[..lines.len() - 1] {
        assert!((line.width - 300.0).abs() < 0.1, "{}: {}", text(line), line.width);
    }
}

#[test]
fn a_word_without_end_is_cut_at_the_edge() {
    let mut setter = typesetter();
    let word = "abcdefghij".repeat(20_000);
    let (mut letters, mut lines) = (0, 0);
    setter.set_each(&[run(&word)], &measure(300.0), &mut |line| {
        assert!(line.width <= 300.02, "{}", line.width);
        letters += text(&line).len();
        lines += 1;
    });
    assert_eq!(letters, word.len());
    assert!((2_500..4_500).contains(&lines), "{lines}");
    let marks = format!("a{}", "\u{301}".repeat(50_000));
    let set = set(&mut setter, &marks, &measure(300.0));
    assert_eq!(texts(&set).concat(), marks);
}

#[test]
fn nothing_gives_no_line_and_no_room_gives_lines_all_the_same() {
    let mut setter = typesetter();
    assert!(set(&mut setter, "", &measure(100.0)).is_empty());
    assert_eq!(texts(&set(&mut setter, "\n", &measure(100.0))), [""]);
    assert_eq!(texts(&set(&mut setter, "a\r\nb\u{2028}c\n", &measure(100.0))), ["a", "b", "c"]);
    assert_eq!(texts(&set(&mut setter, "abc", &measure(0.0))), ["a", "b", "c"]);
    assert_eq!(texts(&set(&mut setter, "ab c", &measure(-5.0))), ["a", "b ", "c"]);
    assert_eq!(texts(&set(&mut setter, "\u{200b}\u{feff}", &measure(100.0))), [""]);
}

#[test]
fn the_same_text_makes_the_same_fonts() {
    let write = || {
        let mut setter = typesetter();
        set(&mut setter, PROSE, &measure(200.0));
        set(&mut setter, "\u{6f22} \u{5e9} ffi\u{a0}fl", &measure(200.0));
        let (mut next, mut bytes) = (1000, Vec::new());
        for index in 0..setter.fonts() {
            let mut alloc = || {
                next += 1;
                Ref::new(next)
            };
            let mut put = |id: Ref, chunk: &Chunk| {
                assert_eq!(chunk.refs().collect::<Vec<_>>(), [id]);
                assert!(chunk.as_bytes().starts_with(format!("{} 0 obj", id.get()).as_bytes()));
                bytes.extend_from_slice(chunk.as_bytes());
                Ok(())
            };
            let index_ = FontIndex(index as u16);
            setter.write_font(index_, Ref::new(index as i32 + 1), &mut alloc, &mut put).expect("a font");
        }
        bytes
    };
    let bytes = write();
    assert!(bytes == write());
    assert!((10_000..60_000).contains(&bytes.len()), "{}", bytes.len());
}

#[test]
fn it_is_known_beforehand_whether_fonts_have_a_text() {
    assert!(Typesetter::has("Inhalt") && Typesetter::has("المحتويات"));
    assert!(!Typesetter::has("目次") && !Typesetter::has("Inhalt 目"));
}
