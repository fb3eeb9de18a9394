//! JPEGs go in as they are; only their size and colours are looked up.

use std::io::{Read, Write};

use super::{Picture, Refusal, Source, fits};
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
}

pub(super) fn write(
    source: &mut Source<'_>,
    objects: &mut Objects,
    out: &mut dyn Write,
) -> Result<Picture, Refusal> {
    let frame = frame(&mut source.open()?.take(MOST_HEAD))?;
    fits(frame.width, frame.height)?;
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
    Ok(Picture { id, width: frame.width, height: frame.height })
}

/// Reads segments (ITU-T T.81, annex B) up to the frame's.
fn frame(bytes: &mut dyn Read) -> Result<Frame, Refusal> {
    let mut start = [0; 2];
    bytes.read_exact(&mut start)?;
    if start != [0xff, 0xd8] {
        return Err(Refusal::Unfit);
    }
    let mut is_adobe = false;
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
                return Ok(Frame { height: side(0), width: side(2), colours, is_adobe });
            }
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xd9 | 0xda => return Err(Refusal::Unfit),
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
