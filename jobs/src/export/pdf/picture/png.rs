//! PNGs (<https://www.w3.org/TR/png-3/>). Without transparency and interlacing their compressed rows are what PDF wants
//! and go in as they are, once they are known to be whole; the rest is decoded row by row, transparency as a mask.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Reader, Transformations};

use super::{Picture, Refusal, Source, fits};
use crate::export::pdf::objects::{Deflater, Objects};

/// An interlaced picture is decoded in memory, if it needs no more than this.
const MOST_INTERLACED_BYTES: usize = 16 << 20;
/// What the decoder may take beside its rows.
const MOST_DECODER_BYTES: usize = 4 << 20;

/// What a picture's head says.
struct Head {
    width: u32,
    height: u32,
    depth: BitDepth,
    colour: ColorType,
    palette: Vec<u8>,
    has_mask: bool,
    is_interlaced: bool,
}

pub(super) fn write(
    source: &mut Source<'_>,
    objects: &mut Objects,
    out: &mut dyn Write,
) -> Result<Picture, Refusal> {
    let head = check(source)?;
    if head.has_mask || head.is_interlaced {
        return decoded(source, &head, objects, out);
    }
    let space = match head.colour {
        ColorType::Grayscale => "/DeviceGray".to_owned(),
        ColorType::Indexed => {
            // No more colours than the pixels can name.
            let colours = (head.palette.len() / 3).min(1 << (head.depth as u8));
            let last = colours.saturating_sub(1);
            let palette: String =
                head.palette[..colours * 3].iter().map(|byte| format!("{byte:02x}")).collect();
            format!("[/Indexed/DeviceRGB {last}<{palette}>]")
        }
        _ => "/DeviceRGB".to_owned(),
    };
    let (colours, bits) = (head.colour.samples(), head.depth as u8);
    let entries = format!(
        "{}/ColorSpace{space}/BitsPerComponent {bits}/Filter/FlateDecode\
         /DecodeParms<</Predictor 15/Colors {colours}/BitsPerComponent {bits}/Columns {}>>",
        size(head.width, head.height),
        head.width
    );
    let id = objects.alloc();
    objects.begin_stream(out, id, &entries)?;
    let mut bytes = BufReader::new(source.open()?);
    copy_data(&mut bytes, &mut |piece| objects.piece(out, piece)).map_err(failed)?;
    objects.end_stream(out)?;
    Ok(Picture { id, width: head.width, height: head.height })
}

/// Once an object is begun nothing can be taken back.
fn failed(error: io::Error) -> Refusal {
    Refusal::Failed(error.into())
}

fn size(width: u32, height: u32) -> String {
    format!("/Type/XObject/Subtype/Image/Width {width}/Height {height}")
}

/// Reads the whole picture, and says what it is if it is whole.
fn check(source: &mut Source<'_>) -> Result<Head, Refusal> {
    let mut reader = reader(source, Transformations::IDENTITY)?;
    let info = reader.info();
    fits(info.width, info.height)?;
    let head = Head {
        width: info.width,
        height: info.height,
        depth: info.bit_depth,
        colour: info.color_type,
        palette: info.palette.as_deref().unwrap_or_default().to_vec(),
        has_mask: info.trns.is_some()
            || matches!(info.color_type, ColorType::Rgba | ColorType::GrayscaleAlpha),
        is_interlaced: info.interlaced,
    };
    if head.colour == ColorType::Indexed && head.palette.len() < 3 {
        return Err(Refusal::Unfit);
    }
    if head.is_interlaced {
        // Whether it is whole shows when it is decoded, before anything is written.
        return Ok(head);
    }
    while reader.next_row().map_err(refused)?.is_some() {}
    reader.finish().map_err(refused)?;
    Ok(head)
}

/// A source can't be gone back in, and no decoder of still pictures wants to.
struct Forward<R>(BufReader<R>);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl<R: Read> BufRead for Forward<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.0.consume(bytes);
    }
}

impl<R> Seek for Forward<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

type Rows<'a> = Reader<Forward<Box<dyn Read + 'a>>>;

fn reader<'a>(source: &'a mut Source<'_>, wanted: Transformations) -> Result<Rows<'a>, Refusal> {
    let bytes = Forward(BufReader::with_capacity(32 << 10, source.open()?));
    let mut decoder = Decoder::new_with_limits(bytes, Limits { bytes: MOST_DECODER_BYTES });
    decoder.set_transformations(wanted);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.read_info().map_err(refused)
}

fn refused(error: DecodingError) -> Refusal {
    match error {
        DecodingError::IoError(error) => error.into(),
        _ => Refusal::Unfit,
    }
}

/// Passes on what stands in the `IDAT` chunks.
fn copy_data(bytes: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut signature = [0; 8];
    bytes.read_exact(&mut signature)?;
    let mut piece = vec![0; 16 << 10];
    loop {
        let mut head = [0; 8];
        bytes.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        let mut left = u64::from(u32::from_be_bytes([a, b, c, d]));
        if &kind == b"IEND" {
            return Ok(());
        }
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            bytes.read_exact(&mut piece[..most])?;
            if &kind == b"IDAT" {
                take(&piece[..most])?;
            }
            left -= most as u64;
        }
        let mut checksum = [0; 4];
        bytes.read_exact(&mut checksum)?;
    }
}

/// Which of a pixel's samples go where.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plane {
    Colour,
    Mask,
}

/// Decodes the picture: its colours as one stream, its transparency as another.
fn decoded(
    source: &mut Source<'_>,
    head: &Head,
    objects: &mut Objects,
    out: &mut dyn Write,
) -> Result<Picture, Refusal> {
    let whole = match head.is_interlaced {
        true => Some(interlaced(source)?),
        false => None,
    };
    let colours = match head.colour {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => 1,
        _ => 3,
    };
    let mut mask = String::new();
    if head.has_mask {
        let id = objects.alloc();
        let entries = format!(
            "{}/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode",
            size(head.width, head.height)
        );
        objects.begin_stream(out, id, &entries)?;
        plane(source, whole.as_deref(), head, (colours, Plane::Mask), objects, out)?;
        mask = format!("/SMask {} 0 R", id.get());
    }
    let id = objects.alloc();
    let space = if colours == 1 { "DeviceGray" } else { "DeviceRGB" };
    let entries = format!(
        "{}/ColorSpace/{space}/BitsPerComponent 8/Filter/FlateDecode{mask}",
        size(head.width, head.height)
    );
    objects.begin_stream(out, id, &entries)?;
    plane(source, whole.as_deref(), head, (colours, Plane::Colour), objects, out)?;
    Ok(Picture { id, width: head.width, height: head.height })
}

/// Eight bits a sample, a palette's colours in place of their numbers, transparency as a sample of its own.
const PLAIN: Transformations = Transformations::EXPAND.union(Transformations::STRIP_16);

/// All of an interlaced picture: its rows are not complete before its end.
fn interlaced(source: &mut Source<'_>) -> Result<Vec<u8>, Refusal> {
    let mut reader = reader(source, PLAIN)?;
    let bytes = reader.output_buffer_size().filter(|bytes| *bytes <= MOST_INTERLACED_BYTES);
    let mut whole = vec![0; bytes.ok_or(Refusal::Unfit)?];
    reader.next_frame(&mut whole).map_err(refused)?;
    Ok(whole)
}

/// Writes one plane into the stream that is open, and ends it.
fn plane(
    source: &mut Source<'_>,
    whole: Option<&[u8]>,
    head: &Head,
    (colours, plane): (usize, Plane),
    objects: &mut Objects,
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let mut deflater = Deflater::new();
    let samples = colours + usize::from(head.has_mask);
    let mut picked = Vec::new();
    let mut row = |row: &[u8], objects: &mut Objects, out: &mut dyn Write| {
        picked.clear();
        for pixel in row.chunks_exact(samples) {
            match plane {
                Plane::Colour => picked.extend_from_slice(&pixel[..colours]),
                Plane::Mask => picked.extend_from_slice(&pixel[colours..]),
            }
        }
        deflater.write(objects, out, &picked, false)
    };
    match whole {
        Some(whole) => {
            for line in whole.chunks_exact(samples * head.width as usize) {
                row(line, objects, out)?;
            }
        }
        None => {
            let mut reader = reader(source, PLAIN)?;
            // The check found it whole: what goes wrong now is the source's doing.
            let again = |error: DecodingError| Refusal::Failed(io::Error::other(error).into());
            while let Some(line) = reader.next_row().map_err(again)? {
                row(line.data(), objects, out)?;
            }
        }
    }
    deflater.write(objects, out, &[], true)?;
    Ok(objects.end_stream(out)?)
}
