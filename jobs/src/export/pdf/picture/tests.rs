//! Pictures of every sort that a page takes, and of those that it does not.

use std::io::{Cursor, Read as _};

use ::png::{BitDepth, ColorType, Encoder};

use super::*;

/// One picture in memory, that says how often it was fetched.
struct One(Vec<u8>, u32);

impl AssetSource for One {
    fn open(&mut self, _: &Asset) -> Result<Box<dyn Read + '_>, BookError> {
        self.1 += 1;
        Ok(Box::new(Cursor::new(self.0.as_slice())))
    }
}

/// What becomes of a picture: its size, if it can be shown, and the file.
fn placed(bytes: &[u8], media_type: &str) -> (Option<(f32, f32)>, Vec<u8>) {
    let (mut pictures, mut objects, mut out) = (Pictures::new(1), Objects::new([0; 16]), Vec::new());
    let asset = Asset {
        name: "a".into(),
        file: "a".into(),
        media_type: media_type.into(),
        bytes: bytes.len() as u64,
    };
    let mut source = One(bytes.to_vec(), 0);
    let mut get = || pictures.get(0, &asset, &mut source, &mut objects, &mut out).unwrap();
    let (first, again) = (get(), get());
    assert_eq!(first.map(Picture::id), again.map(Picture::id), "written once");
    assert_eq!(source.1, 1, "fetched once, as it is small");
    (first.map(Picture::size), out)
}

fn png(colour: ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    if colour == ColorType::Indexed {
        encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
    }
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

/// The streams of the file, with their dictionaries.
fn streams(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text: String = file.iter().map(|byte| char::from(*byte)).collect();
    let mut found = Vec::new();
    for part in text.split(" 0 obj\n").filter(|part| part.contains("\nstream\n")) {
        let (head, rest) = part.split_once("\nstream\n").unwrap();
        let data = rest.split_once("\nendstream").unwrap().0;
        found.push((head.to_owned(), data.chars().map(|c| c as u8).collect()));
    }
    found
}

fn inflated(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(data).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn a_png_without_transparency_goes_in_as_it_is() {
    let grey = png(ColorType::Grayscale, &[1, 2, 3, 4]);
    for (bytes, space) in [
        (grey, "/DeviceGray"),
        (png(ColorType::Rgb, &[9; 12]), "/DeviceRGB"),
        (png(ColorType::Indexed, &[0, 1, 1, 0]), "[/Indexed/DeviceRGB 1<010203040506>]"),
    ] {
        let (size, file) = placed(&bytes, "image/png");
        assert_eq!(size, Some((2.0, 2.0)));
        let streams = streams(&file);
        assert_eq!(streams.len(), 1);
        assert!(streams[0].0.contains("/Predictor 15") && streams[0].0.contains(space), "{}", streams[0].0);
        assert!(bytes.windows(streams[0].1.len()).any(|window| window == streams[0].1));
    }
}

#[test]
fn transparency_becomes_a_mask() {
    let pixels: Vec<u8> = (0..16).collect();
    let (_, file) = placed(&png(ColorType::Rgba, &pixels), "image/png");
    let streams = streams(&file);
    let planes: Vec<_> = streams.iter().map(|(_, data)| inflated(data)).collect();
    assert_eq!(planes[0], [3, 7, 11, 15]);
    assert_eq!(planes[1], [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14]);
    assert!(streams[1].0.contains("/SMask"));
}

/// A scan with a 255, a restart and a table of the next one, then the end.
const SCAN: &[u8] = &[
    0xff, 0xda, 0, 3, 1, 2, 0xff, 0, 3, 0xff, 0xd0, 4, 0xff, 0xc4, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 5,
    0xff, 0xd9,
];

#[test]
fn a_jpeg_without_a_scan_or_an_end_is_not_shown() {
    let head = [0xff, 0xd8, 0xff, 0xc0, 0, 8, 8, 0, 20, 0, 30, 1];
    let whole = [&head[..], SCAN].concat();
    for length in 0..whole.len() {
        assert_eq!(placed_or_not(&whole[..length], "image/jpeg"), (None, 0), "{length} bytes");
    }
    assert_eq!(placed_or_not(&[&head[..], &[0xff, 0xd9]].concat(), "image/jpeg"), (None, 0));
    // Some cameras put more behind the end.
    assert_eq!(placed(&[&whole[..], b"more"].concat(), "image/jpeg").0, Some((30.0, 20.0)));
}

#[test]
fn a_jpeg_that_was_held_askew_is_turned() {
    let held = |orientation: u8, is_big: bool| {
        let tiff: [&[u8]; 2] = match is_big {
            true => [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", b"\0\0"],
            false => [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", b"\0\0\0"],
        };
        let exif = [b"Exif\0\0", tiff[0], &[orientation], tiff[1]].concat();
        let length = u8::try_from(exif.len() + 2).unwrap();
        let head = [0xff, 0xd8, 0xff, 0xe1, 0, length];
        [&head[..], &exif, &[0xff, 0xc0, 0, 8, 8, 0, 20, 0, 30, 1], SCAN].concat()
    };
    for (orientation, is_big, size, matrix) in [
        (1, true, (30.0, 20.0), None),
        (9, true, (30.0, 20.0), None),
        (3, false, (30.0, 20.0), Some("/Matrix[-1 0 0 -1 1 1]")),
        (6, true, (20.0, 30.0), Some("/Matrix[0 -1 1 0 0 1]")),
        (8, false, (20.0, 30.0), Some("/Matrix[0 1 -1 0 1 0]")),
    ] {
        let (found, file) = placed(&held(orientation, is_big), "image/jpeg");
        assert_eq!(found, Some(size), "{orientation}");
        let form = streams(&file).into_iter().find(|(head, _)| head.contains("/Subtype/Form"));
        assert_eq!(form.is_some(), matrix.is_some(), "{orientation}");
        assert!(form.is_none_or(|(head, _)| head.contains(matrix.unwrap())), "{orientation}");
    }
}

#[test]
fn a_png_has_the_colours_that_its_pixels_can_name() {
    let indexed = |palette: Vec<u8>| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::One);
        encoder.set_palette(palette);
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        bytes
    };
    let whole = indexed(vec![1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let (_, file) = placed(&whole, "image/png");
    assert!(streams(&file)[0].0.contains("[/Indexed/DeviceRGB 1<010203040506>]"));
    let at = whole.windows(4).position(|kind| kind == b"PLTE").unwrap() - 4;
    let without = [&whole[..at], &whole[at + 12 + 9..]].concat();
    assert_eq!(placed_or_not(&without, "image/png"), (None, 0));
}

#[test]
fn a_jpeg_goes_in_as_it_is() {
    let frame = |colours: u8| {
        let head = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 7, 7, 0xff, 0xff, 0xc2, 0, 8, 8, 0, 20, 0, 30, colours];
        [&head[..], SCAN].concat()
    };
    for (colours, space) in [(1, "/DeviceGray"), (3, "/DeviceRGB"), (4, "/DeviceCMYK")] {
        let (size, file) = placed(&frame(colours), "image/jpeg");
        assert_eq!(size, Some((30.0, 20.0)));
        let streams = streams(&file);
        assert!(streams[0].0.contains(space) && streams[0].0.contains("/DCTDecode"));
        assert_eq!(streams[0].1, frame(colours));
    }
    assert_eq!(placed(&frame(2), "image/jpeg").0, None);
}

#[test]
fn a_broken_picture_leaves_nothing_behind() {
    let whole = png(ColorType::Rgb, &[9; 12]);
    let mut wrong = whole.clone();
    wrong[45] ^= 0xff;
    for (bytes, media_type) in [
        (&whole[..50], "image/png"),
        (&whole[..whole.len() - 12], "image/png"),
        (&wrong[..], "image/png"),
        (b"GIF89a", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"", "image/jpeg"),
        (b"<svg/>", "image/svg+xml"),
    ] {
        assert_eq!(placed_or_not(bytes, media_type), (None, 0), "{media_type}");
    }
}

fn placed_or_not(bytes: &[u8], media_type: &str) -> (Option<(f32, f32)>, usize) {
    let (size, file) = placed(bytes, media_type);
    (size, file.len())
}
