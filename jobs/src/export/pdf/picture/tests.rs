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

#[test]
fn a_jpeg_goes_in_as_it_is() {
    let frame = |colours: u8| {
        let head = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 7, 7, 0xff, 0xff, 0xc2, 0, 8, 8, 0, 20, 0, 30, colours];
        [&head[..], &[1, 2, 3, 0xff, 0xd9]].concat()
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
