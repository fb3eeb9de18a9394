//! How large a picture is, by its file's head: Word asks for sizes in the text, long before the picture comes.

use std::io::{self, BufRead, BufReader, Read};

use crate::book::jpeg::is_frame;

/// How far into a file its size is looked for: a JPEG may have a colour profile and previews in front.
const MOST_BYTES: u64 = 4 << 20;

/// Width and height in pixels; `None` where the file does not tell.
pub(super) fn of(source: &mut dyn Read) -> io::Result<Option<(u32, u32)>> {
    let mut source = BufReader::new(source.take(MOST_BYTES));
    let mut start = [0; 30];
    let mut filled = 0;
    while filled < start.len() {
        match source.read(&mut start[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let start = &start[..filled];
    let size = if start.starts_with(b"\x89PNG\r\n\x1a\n") {
        start.get(16..24).map(|b| (be32(&b[..4]), be32(&b[4..])))
    } else if start.starts_with(b"GIF8") {
        start.get(6..10).map(|b| (le16(&b[..2]), le16(&b[2..])))
    } else if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") {
        webp(start)
    } else if start.starts_with(b"\xff\xd8") {
        return jpeg(start, &mut source).or_else(cut);
    } else {
        return drawing(start.chain(source)).or_else(cut);
    };
    Ok(size.filter(is_real))
}

/// A file that ends too early tells nothing; that is no failure to read it.
fn cut(error: io::Error) -> io::Result<Option<(u32, u32)>> {
    if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) }
}

fn is_real((width, height): &(u32, u32)) -> bool {
    *width > 0 && *height > 0
}

fn webp(start: &[u8]) -> Option<(u32, u32)> {
    let at = start.get(12..30)?;
    match &at[..4] {
        b"VP8 " => Some((le16(&at[14..16]) & 0x3fff, le16(&at[16..18]) & 0x3fff)),
        b"VP8L" => {
            let bits = u32::from_le_bytes([at[9], at[10], at[11], at[12]]);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let of = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], 0]) + 1;
            Some((of(&at[12..15]), of(&at[15..18])))
        }
        _ => None,
    }
}

/// Goes from segment to segment (ITU-T T.81 §B.1) until the one with the frame's size.
fn jpeg(start: &[u8], rest: &mut dyn Read) -> io::Result<Option<(u32, u32)>> {
    let mut source = start[2..].chain(rest);
    let mut two = [0; 2];
    loop {
        source.read_exact(&mut two)?;
        while two[0] == 0xff && two[1] == 0xff {
            source.read_exact(&mut two[1..])?;
        }
        match two {
            [0xff, 0x01 | 0xd0..=0xd7] => continue,
            // The picture itself begins or ends: no size came before.
            [0xff, 0xd8..=0xda] => return Ok(None),
            [0xff, marker] => {
                let mut length = [0; 2];
                source.read_exact(&mut length)?;
                if is_frame(marker) {
                    let mut frame = [0; 5];
                    source.read_exact(&mut frame)?;
                    return Ok(Some((be16(&frame[3..]), be16(&frame[1..3]))).filter(is_real));
                }
                let skip = u64::from(u16::from_be_bytes(length)).saturating_sub(2);
                io::copy(&mut source.by_ref().take(skip), &mut io::sink())?;
            }
            _ => return Ok(None),
        }
    }
}

/// The size that an SVG's root says, or its view box.
fn drawing(source: impl BufRead) -> io::Result<Option<(u32, u32)>> {
    let mut reader = quick_xml::Reader::from_reader(source);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let root = match reader.read_event_into(&mut buffer) {
            Ok(quick_xml::events::Event::Start(root) | quick_xml::events::Event::Empty(root)) => root,
            Ok(quick_xml::events::Event::Eof) => return Ok(None),
            Ok(_) => continue,
            Err(quick_xml::Error::Io(error)) => return Err(io::Error::new(error.kind(), error.to_string())),
            Err(_) => return Ok(None),
        };
        if root.local_name().as_ref() != "svg" {
            return Ok(None);
        }
        let value = |name: &str| {
            let attribute = root.try_get_attribute(name).ok().flatten()?;
            Some(attribute.value.into_owned())
        };
        let length = |name: &str| value(name).as_deref().and_then(pixels);
        if let (Some(width), Some(height)) = (length("width"), length("height")) {
            return Ok(Some((width, height)));
        }
        let numbers: Vec<u32> = value("viewBox")
            .unwrap_or_default()
            .split([' ', ','])
            .filter(|part| !part.is_empty())
            .filter_map(|part| part.parse::<f64>().ok().map(|number| number.round() as u32))
            .collect();
        return Ok(match numbers[..] {
            [_, _, width, height] => Some((width, height)).filter(is_real),
            _ => None,
        });
    }
}

/// A length of CSS in pixels.
fn pixels(length: &str) -> Option<u32> {
    let length = length.trim();
    let end = length.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(length.len());
    let (number, unit) = length.split_at(end);
    let factor = match unit {
        "" | "px" => 1.0,
        "pt" => 4.0 / 3.0,
        "pc" => 16.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 9.6 / 2.54,
        _ => return None,
    };
    let pixels = (number.parse::<f64>().ok()? * factor).round() as u32;
    (pixels > 0).then_some(pixels)
}

fn be32(b: &[u8]) -> u32 {
    u32::from_be_bytes([b[0], b[1], b[2], b[3]])
}

fn be16(b: &[u8]) -> u32 {
    u32::from(u16::from_be_bytes([b[0], b[1]]))
}

fn le16(b: &[u8]) -> u32 {
    u32::from(u16::from_le_bytes([b[0], b[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: &[u8]) -> Option<(u32, u32)> {
        of(&mut &*bytes).unwrap()
    }

    #[test]
    fn every_kind_of_picture_tells_its_size() {
        let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &[0, 0, 1, 2, 0, 0, 0, 3]].concat();
        assert_eq!(size(&png), Some((258, 3)));
        assert_eq!(size(b"GIF89a\x02\x01\x03\0\0\0\0"), Some((258, 3)));
        let profile = [&[0xff, 0xe2, 0xff, 0xff][..], &[0; 65_533]].concat();
        let frame = [0xff, 0xff, 0xc2, 0, 11, 8, 0, 3, 1, 2, 1, 0, 0, 0];
        assert_eq!(size(&[&[0xff, 0xd8][..], &profile, &profile, &frame].concat()), Some((258, 3)));
        let lossy = [&b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a"[..], &[2, 1, 3, 0]].concat();
        assert_eq!(size(&lossy), Some((258, 3)));
        let extended = [&b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0"[..], &[1, 1, 0, 2, 0, 0]].concat();
        assert_eq!(size(&extended), Some((258, 3)));
        let packed = (257_u32 | 2 << 14).to_le_bytes();
        let lossless = [&b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f"[..], &packed, &[0; 8]].concat();
        assert_eq!(size(&lossless), Some((258, 3)));
        let svg = |attributes: &str| {
            size(format!("<?xml version=\"1.0\"?><svg {attributes}><g/></svg>").as_bytes())
        };
        assert_eq!(svg("width=\"1in\" height=\"12\""), Some((96, 12)));
        assert_eq!(svg("width=\"100%\" viewBox=\"0 0, 30 40.4\""), Some((30, 40)));
    }

    #[test]
    fn what_tells_no_size_is_no_failure() {
        for bytes in
            [&b""[..], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\0", b"<html/>", b"<svg", b"GIF89a\0\0\0\0\0"]
        {
            assert_eq!(size(bytes), None, "{bytes:?}");
        }
    }
}
