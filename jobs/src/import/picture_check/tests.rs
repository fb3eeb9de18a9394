//! Whole pictures of each format, as small as they can be, and every sort of damage.

use super::*;
use crate::import::tests::PNG;

/// Whether it is whole, however it comes.
fn is_whole(media_type: &str, bytes: &[u8]) -> bool {
    let found = [1, 7, usize::MAX].map(|most| {
        let mut check = PictureCheck::new(media_type);
        bytes.chunks(most).for_each(|piece| check.take(piece));
        check.is_whole()
    });
    assert!(found.iter().all(|other| *other == found[0]), "{media_type}: {found:?}");
    found[0]
}

fn is_png(bytes: &[u8]) -> bool {
    is_whole("image/png", bytes)
}

fn is_jpeg(bytes: &[u8]) -> bool {
    is_whole("image/jpeg", bytes)
}

fn is_gif(bytes: &[u8]) -> bool {
    is_whole("image/gif", bytes)
}

fn is_webp(bytes: &[u8]) -> bool {
    is_whole("image/webp", bytes)
}

fn assert_no_shorter(media_type: &str, bytes: &[u8]) {
    for length in 0..bytes.len() {
        assert!(!is_whole(media_type, &bytes[..length]), "{media_type}: {length} bytes");
    }
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&kind[..], data].concat();
    let (length, checksum) = ((data.len() as u32).to_be_bytes(), crc32fast::hash(&named).to_be_bytes());
    [&length[..], &named, &checksum].concat()
}

fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()
}

const HEADER: [u8; 13] = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0];

/// A header with one byte changed.
fn header(place: usize, byte: u8) -> Vec<u8> {
    let mut header = HEADER;
    header[place] = byte;
    chunk(b"IHDR", &header)
}

#[test]
fn a_png_is_whole_up_to_its_end_whatever_follows() {
    assert!(is_png(PNG));
    assert!(is_png(&[PNG, b"more"].concat()));
    let (data, end) = (chunk(b"IDAT", b"x"), chunk(b"IEND", b""));
    let parts = [header(8, 16), chunk(b"tEXt", &[7; 3000]), data.clone(), data, chunk(b"zero", b""), end];
    assert!(is_png(&png(&parts)));
    assert_no_shorter("image/png", PNG);
}

#[test]
fn a_png_with_a_changed_byte_is_damaged() {
    for place in 0..PNG.len() {
        let mut changed = PNG.to_vec();
        changed[place] ^= 0x10;
        assert!(!is_png(&changed), "{place}");
    }
    assert!(!is_png(b"\x89PNG\r\n\x1a\ngarbage"));
    assert!(!is_png(&[&b"\x89PNG\r\n\x1a\n"[..], &[b'g'; 500]].concat()));
}

#[test]
fn a_png_without_what_it_must_have_is_damaged() {
    let (head, data, end) = (header(8, 8), chunk(b"IDAT", b"x"), chunk(b"IEND", b""));
    let whole = [head.clone(), data.clone(), end.clone()];
    assert!(is_png(&png(&whole)));
    for wrong in [
        vec![head.clone(), end.clone()],
        vec![head.clone(), chunk(b"IDAT", b""), end.clone()],
        vec![data.clone(), head.clone(), end.clone()],
        vec![head.clone(), head.clone(), data.clone(), end.clone()],
        vec![head, data.clone()],
        vec![chunk(b"IHDR", &HEADER[..12]), data, end],
        Vec::new(),
    ] {
        assert!(!is_png(&png(&wrong)), "{wrong:?}");
    }
}

#[test]
fn a_png_of_no_size_or_of_unknown_colours_is_damaged() {
    let with = |head: Vec<u8>| png(&[head, chunk(b"IDAT", b"x"), chunk(b"IEND", b"")]);
    for (place, byte) in
        [(3, 0), (7, 0), (0, 0x80), (4, 0x80), (8, 3), (9, 1), (9, 7), (10, 1), (11, 1), (12, 2)]
    {
        assert!(!is_png(&with(header(place, byte))), "{place}: {byte}");
    }
    for (place, byte) in [(3, 9), (8, 1), (8, 16), (9, 2), (9, 3), (9, 4), (9, 6), (12, 1)] {
        assert!(is_png(&with(header(place, byte))), "{place}: {byte}");
    }
}

const FRAME: &[u8] = &[0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0];
const SCAN: &[u8] = &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x5a, 0xff, 0, 0xff, 0xd0, 0x5a];

fn jpeg(segments: &[&[u8]]) -> Vec<u8> {
    [&[0xff_u8, 0xd8][..], &segments.concat()].concat()
}

#[test]
fn a_jpeg_is_whole_up_to_its_first_scan_whatever_follows() {
    let end = [0xff_u8, 0xd9];
    // What looks like an end within a segment is none.
    let comment = [0xff, 0xfe, 0, 6, 0xff, 0xd9, 0xff, 0xd8];
    let whole = jpeg(&[&comment, FRAME, &SCAN[..10]]);
    assert!(is_jpeg(&whole));
    assert_no_shorter("image/jpeg", &whole);
    assert!(is_jpeg(&[&whole[..], b"more"].concat()));
    assert!(is_jpeg(&jpeg(&[FRAME, SCAN])), "viewers do without an end");
    let progressive = [&[0xff, 0xc2][..], &FRAME[2..]].concat();
    let empty = [0xff, 0xfe, 0, 2];
    let filled = [&[0xff, 0xff][..], SCAN, &[0xff, 0xff]].concat();
    assert!(is_jpeg(&jpeg(&[&empty, &progressive, &filled, SCAN, &end])));
}

#[test]
fn a_jpeg_without_what_it_must_have_is_damaged() {
    let end = &[0xff_u8, 0xd9][..];
    let no_height = [&FRAME[..6], &[0], &FRAME[7..]].concat();
    let no_width = [&FRAME[..8], &[0], &FRAME[9..]].concat();
    let no_colours = [0xff, 0xc0, 0, 8, 8, 0, 1, 0, 1, 0];
    let wrong_length = [&FRAME[..3], &[12], &FRAME[4..], &[0]].concat();
    let tables = [&[0xff, 0xc4][..], &FRAME[2..]].concat();
    for wrong in [
        jpeg(&[]),
        jpeg(&[end]),
        jpeg(&[FRAME, end]),
        jpeg(&[SCAN, end]),
        jpeg(&[SCAN, FRAME, end]),
        jpeg(&[&no_height, SCAN, end]),
        jpeg(&[&no_width, SCAN, end]),
        jpeg(&[&no_colours, SCAN, end]),
        jpeg(&[&wrong_length, SCAN, end]),
        jpeg(&[&tables, SCAN, end]),
        jpeg(&[b"garbage", FRAME, SCAN, end]),
        jpeg(&[&[0xff, 0xe0, 0, 4, 1, 1], &b"garbage".repeat(20), end]),
        jpeg(&[&[0xff, 0xe0, 0, 1], FRAME, SCAN, end]),
        jpeg(&[&[0xff, 0xd8], FRAME, SCAN, end]),
        jpeg(&[&[0xff, 0], FRAME, SCAN, end]),
    ] {
        assert!(!is_jpeg(&wrong), "{wrong:x?}");
    }
}

const SCREEN: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff";
const IMAGE: &[u8] = b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0";

#[test]
fn a_gif_is_whole_up_to_its_trailer_and_may_lack_that_alone() {
    let extension = b"!\xf9\x04\0\0\0\0\0";
    let whole = [SCREEN, extension, IMAGE, b";"].concat();
    assert!(is_gif(&whole) && is_gif(&whole[..whole.len() - 1]));
    assert!(is_gif(&[&whole[..], b"more"].concat()));
    assert_no_shorter("image/gif", &whole[..whole.len() - 1]);
    // No colours of its own before, some of the image's.
    let bare = b"GIF87a\x01\0\x01\0\0\0\0";
    let own = b",\0\0\0\0\x01\0\x01\0\x80\0\0\0\xff\xff\xff\x02\x02D\x01\0";
    assert!(is_gif(&[&bare[..], own, IMAGE, b";"].concat()));
}

#[test]
fn a_gif_without_an_image_or_with_another_block_is_damaged() {
    let garbage = [b'g'; 300];
    for wrong in [
        vec![SCREEN, b";"],
        vec![SCREEN],
        vec![SCREEN, &garbage],
        vec![SCREEN, IMAGE, &garbage],
        vec![SCREEN, IMAGE, b"!\xfe\x03a"],
        vec![&b"GIF88a"[..], &SCREEN[6..], IMAGE, b";"],
    ] {
        assert!(!is_gif(&wrong.concat()), "{wrong:x?}");
    }
}

/// A WebP whose first chunk is of this kind.
fn webp(kind: &[u8; 4]) -> Vec<u8> {
    [&b"RIFF\x10\0\0\0WEBP"[..], kind, b"\x04\0\0\0data"].concat()
}

#[test]
fn a_webp_has_as_many_bytes_as_it_says_and_begins_as_one_does() {
    for kind in [b"VP8 ", b"VP8L", b"VP8X"] {
        let whole = webp(kind);
        assert!(is_webp(&whole) && is_webp(&[&whole[..], b"more"].concat()));
        assert_no_shorter("image/webp", &whole);
    }
    assert!(!is_webp(&webp(b"VP8Y")) && !is_webp(&webp(b"ALPH")));
    for (place, byte) in [(0, b'X'), (4, 0), (4, 8), (4, 0x11), (7, 1), (8, b'X'), (16, 0), (16, 5), (19, 1)]
    {
        let mut wrong = webp(b"VP8 ");
        wrong[place] = byte;
        assert!(!is_webp(&wrong), "{place}: {byte}");
    }
}

#[test]
fn what_nobody_looks_at_is_whole() {
    assert!(is_whole("image/svg+xml", b"") && is_whole("image/svg+xml", b"<svg"));
}
