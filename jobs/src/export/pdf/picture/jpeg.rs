//! JPEGs go in as they are, once they are known to be whole. Those that a camera held askew has marked so are turned.

use std::io::{self, BufRead, BufReader, Read, Write};

use super::{Picture, Refusal, Source, exif, fits};
use crate::export::pdf::objects::Objects;

/// The frame must be described within so many bytes: before it stand profiles and small copies.
const MOST_HEAD: u64 = 2 << 20;

/// What a JPEG's head says.
struct Frame {
    width: u32,
    height: u32,
    colours: u8,
    /// Whether Adobe's programs made it: then its four colours are inverted.
    is_adobe: bool,
    /// How the picture is to be held: EXIF's orientation.
    orientation: u8,
}

pub(super) fn write(
    source: &mut Source<'_>,
    objects: &mut Objects,
    out: &mut dyn Write,
) -> Result<Picture, Refusal> {
    let mut bytes = BufReader::with_capacity(32 << 10, source.open()?);
    let frame = frame(&mut Read::take(&mut bytes, MOST_HEAD))?;
    fits(frame.width, frame.height)?;
    rest(&mut bytes)?;
    drop(bytes);
    let colours = match frame.colours {
        1 => "/DeviceGray",
        3 => "/DeviceRGB",
        4 if frame.is_adobe => "/DeviceCMYK/Decode[1 0 1 0 1 0 1 0]",
        4 => "/DeviceCMYK",
        _ => return Err(Refusal::Unfit),
    };
    let id = objects.alloc();
    let entries = format!(
        "/Type/XObject/Subtype/Image/Width {}/Height {}/ColorSpace{colours}/BitsPerComponent 8/Filter/DCTDecode",
        frame.width, frame.height
    );
    objects.begin_stream(out, id, &entries)?;
    let mut bytes = source.open()?;
    let mut piece = vec![0; 32 << 10];
    loop {
        match bytes.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => objects.piece(out, &piece[..read])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // The object is begun: nothing can be taken back.
            Err(error) => return Err(Refusal::Failed(error.into())),
        }
    }
    objects.end_stream(out)?;
    turned(Picture { id, width: frame.width, height: frame.height }, frame.orientation, objects, out)
}

/// The picture as it is to be held: itself, or a form that shows it turned.
fn turned(
    picture: Picture,
    orientation: u8,
    objects: &mut Objects,
    out: &mut dyn Write,
) -> Result<Picture, Refusal> {
    // From the unit square to itself.
    let matrix = match orientation {
        2 => "-1 0 0 1 1 0",
        3 => "-1 0 0 -1 1 1",
        4 => "1 0 0 -1 0 1",
        5 => "0 -1 -1 0 1 1",
        6 => "0 -1 1 0 0 1",
        7 => "0 1 1 0 0 0",
        8 => "0 1 -1 0 1 0",
        _ => return Ok(picture),
    };
    let id = objects.alloc();
    let entries = format!(
        "/Type/XObject/Subtype/Form/BBox[0 0 1 1]/Matrix[{matrix}]/Resources<</XObject<</I {} 0 R>>>>",
        picture.id.get()
    );
    objects.begin_stream(out, id, &entries)?;
    objects.piece(out, b"/I Do")?;
    objects.end_stream(out)?;
    let Picture { width, height, .. } = picture;
    let (width, height) = if orientation > 4 { (height, width) } else { (width, height) };
    Ok(Picture { id, width, height })
}

/// Reads on from behind the frame's segment to the picture's end: one that was cut off has none, and one that is only a
/// head has no scan.
fn rest(bytes: &mut dyn BufRead) -> Result<(), Refusal> {
    let mut has_scan = false;
    loop {
        let marker = if has_scan { scanned(bytes)? } else { marker(bytes)? };
        match marker {
            0xd9 if has_scan => return Ok(()),
            0xd9 => return Err(Refusal::Unfit),
            _ => {}
        }
        let mut length = [0; 2];
        bytes.read_exact(&mut length)?;
        let length = u64::from(u16::from_be_bytes(length)).checked_sub(2).ok_or(Refusal::Unfit)?;
        io::copy(&mut Read::take(&mut *bytes, length), &mut io::sink())?;
        has_scan |= marker == 0xda;
    }
}

/// The marker behind a scan's data, in which 255 is followed by zero or by the marker of a restart.
fn scanned(bytes: &mut dyn BufRead) -> Result<u8, Refusal> {
    loop {
        bytes.skip_until(0xff)?;
        let mut byte = [0xff];
        while byte == [0xff] {
            bytes.read_exact(&mut byte)?;
        }
        if !matches!(byte[0], 0 | 0xd0..=0xd7) {
            return Ok(byte[0]);
        }
    }
}

/// Reads segments (ITU-T T.81, annex B) up to the frame's.
fn frame(bytes: &mut dyn Read) -> Result<Frame, Refusal> {
    let mut start = [0; 2];
    bytes.read_exact(&mut start)?;
    if start != [0xff, 0xd8] {
        return Err(Refusal::Unfit);
    }
    let (mut is_adobe, mut orientation) = (false, 1);
    loop {
        let marker = marker(bytes)?;
        let mut length = [0; 2];
        bytes.read_exact(&mut length)?;
        let length = u64::from(u16::from_be_bytes(length)).checked_sub(2).ok_or(Refusal::Unfit)?;
        let mut segment = Vec::new();
        Read::take(&mut *bytes, length).read_to_end(&mut segment)?;
        match marker {
            // Baseline, extended and progressive; the rest is lossless, differential or arithmetic.
            0xc0..=0xc2 => {
                let (Some(8), Some(size), Some(colours)) =
                    (segment.first().copied(), segment.get(1..5), segment.get(5).copied())
                else {
                    return Err(Refusal::Unfit);
                };
                let side = |at: usize| u32::from(size[at]) << 8 | u32::from(size[at + 1]);
                return Ok(Frame { height: side(0), width: side(2), colours, is_adobe, orientation });
            }
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xd9 | 0xda => return Err(Refusal::Unfit),
            0xe1 => orientation = exif::orientation(&segment).unwrap_or(orientation),
            0xee => is_adobe |= segment.starts_with(b"Adobe"),
            _ => {}
        }
    }
}

fn marker(bytes: &mut dyn Read) -> Result<u8, Refusal> {
    let mut byte = [0];
    bytes.read_exact(&mut byte)?;
    if byte != [0xff] {
        return Err(Refusal::Unfit);
    }
    while byte == [0xff] {
        bytes.read_exact(&mut byte)?;
    }
    Ok(byte[0])
}
