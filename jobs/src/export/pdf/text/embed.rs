//! A font's subset as PDF objects: Type 0 font, CID font, descriptor, font file, encoding and the text of its codes.

use std::io::{self, Write};

use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::{
    Chunk, Filter, Name, Rect, Ref, Str,
    types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap},
    writers::WMode,
};
use subsetter::GlyphRemapper;

use super::{code::Used, face::FaceId, shape};

const IDENTITY: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// Writes the font, one object a chunk.
///
/// # Errors
/// What `put` says; [`io::ErrorKind::InvalidData`] where the font's own file is broken.
pub(super) fn write(
    used: &Used,
    font_ref: Ref,
    alloc: &mut dyn FnMut() -> Ref,
    put: &mut dyn FnMut(Ref, &Chunk) -> io::Result<()>,
) -> io::Result<()> {
    let face = used.face;
    let glyphs = used.subset();
    let cff = face.bytes().starts_with(b"OTTO");
    let name = format!("{}+{}", prefix(&glyphs), face.name());
    let (cid_ref, descriptor_ref, file_ref, text_ref) = (alloc(), alloc(), alloc(), alloc());
    let encoding_ref = used.further().next().map(|_| alloc());

    let mut chunk = Chunk::new();
    let mut type0 = chunk.type0_font(font_ref);
    type0.base_font(Name(name.as_bytes())).descendant_font(cid_ref).to_unicode(text_ref);
    match encoding_ref {
        Some(encoding) => type0.encoding_cmap(encoding),
        None => type0.encoding_predefined(Name(b"Identity-H")),
    };
    drop(type0);
    put(font_ref, &chunk)?;

    let mut chunk = Chunk::new();
    let mut font = chunk.cid_font(cid_ref);
    font.subtype(if cff { CidFontType::Type0 } else { CidFontType::Type2 });
    font.base_font(Name(name.as_bytes())).system_info(IDENTITY).font_descriptor(descriptor_ref);
    font.default_width(0.0);
    font.widths().consecutive(0, glyphs.iter().map(|glyph| shape::advance(face, *glyph) * 1000.0));
    if !cff {
        font.cid_to_gid_map_predefined(Name(b"Identity"));
    }
    drop(font);
    put(cid_ref, &chunk)?;

    put(descriptor_ref, &descriptor(face, &name, descriptor_ref, file_ref, cff))?;

    let subset = subsetter::subset(face.bytes(), 0, &GlyphRemapper::new_from_glyphs(&glyphs))
        .map_err(|error| broken(&error.to_string()))?;
    let file = if cff { table(&subset, b"CFF ").ok_or_else(|| broken("no outlines"))? } else { &subset };
    let packed = deflate(file)?;
    let mut chunk = Chunk::new();
    let mut stream = chunk.stream(file_ref, &packed);
    stream.filter(Filter::FlateDecode);
    if cff {
        stream.pair(Name(b"Subtype"), Name(b"CIDFontType0C"));
    } else {
        stream.pair(Name(b"Length1"), file.len() as i32);
    }
    drop(stream);
    put(file_ref, &chunk)?;

    let mut cmap = UnicodeCmap::<u16>::new(Name(b"Presswork-Text"), IDENTITY);
    for (code, text) in used.texts().filter(|(_, text)| !text.is_empty()) {
        cmap.pair_with_multiple(code, text.chars());
    }
    let packed = deflate(&cmap.finish())?;
    let mut chunk = Chunk::new();
    chunk.cmap(text_ref, &packed).filter(Filter::FlateDecode);
    put(text_ref, &chunk)?;

    match encoding_ref {
        Some(encoding) => put(encoding, &encoding_cmap(used, encoding, glyphs.len())?),
        None => Ok(()),
    }
}

fn descriptor(face: FaceId, name: &str, id: Ref, file: Ref, cff: bool) -> Chunk {
    let mut flags = FontFlags::SYMBOLIC;
    flags.set(FontFlags::FIXED_PITCH, face.is_mono());
    flags.set(FontFlags::SERIF, face.is_serif());
    flags.set(FontFlags::ITALIC, face.is_italic());
    flags.set(FontFlags::FORCE_BOLD, face.is_bold());
    let mut chunk = Chunk::new();
    let mut descriptor = chunk.font_descriptor(id);
    descriptor.name(Name(name.as_bytes())).flags(flags);
    if let Some(font) = face.font() {
        let metrics = font.metrics();
        let em = f64::from(metrics.units_per_em);
        let scaled = |units: f64| (units * 1000.0 / em).round() as f32;
        let bounds = metrics.bounds;
        descriptor.bbox(Rect::new(
            scaled(bounds.x_min.to_f64()),
            scaled(bounds.y_min.to_f64()),
            scaled(bounds.x_max.to_f64()),
            scaled(bounds.y_max.to_f64()),
        ));
        let angle = font.style_metrics().italic_angle;
        descriptor.italic_angle(angle.map_or(0.0, |angle| angle.to_f64() as f32));
        descriptor.cap_height(metrics.cap_height.map_or(700.0, |height| scaled(height.to_f64())));
    }
    let measures = face.measures();
    descriptor.ascent((measures.ascent * 1000.0).round()).descent((-measures.descent * 1000.0).round());
    // No font says how thick its stems are; readers only use it to find a likeness when a font isn't embedded.
    descriptor.stem_v(if face.is_bold() { 140.0 } else { 80.0 });
    if cff {
        descriptor.font_file3(file);
    } else {
        descriptor.font_file2(file);
    }
    drop(descriptor);
    chunk
}

/// The way from codes to glyphs where some glyphs have several codes.
fn encoding_cmap(used: &Used, id: Ref, glyphs: usize) -> io::Result<Chunk> {
    let mut text = String::from(
        "%!PS-Adobe-3.0 Resource-CMap\n/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n\
         /CIDSystemInfo 3 dict dup begin\n/Registry (Adobe) def\n/Ordering (Identity) def\n/Supplement 0 def\nend def\n\
         /CMapName /Presswork-Codes def\n/CMapVersion 1 def\n/CMapType 1 def\n/WMode 0 def\n\
         1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n",
    );
    // A range must stay within one high byte.
    let ranges: Vec<usize> = (0..glyphs).step_by(256).collect();
    for hundred in ranges.chunks(100) {
        text.push_str(&format!("{} begincidrange\n", hundred.len()));
        for first in hundred {
            text.push_str(&format!("<{first:04X}> <{:04X}> {first}\n", (first + 255).min(glyphs - 1)));
        }
        text.push_str("endcidrange\n");
    }
    let further: Vec<(u16, u16)> = used.further().collect();
    for hundred in further.chunks(100) {
        text.push_str(&format!("{} begincidchar\n", hundred.len()));
        for (code, glyph) in hundred {
            text.push_str(&format!("<{code:04X}> {glyph}\n"));
        }
        text.push_str("endcidchar\n");
    }
    text.push_str("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n%%EOF");
    let packed = deflate(text.as_bytes())?;
    let mut chunk = Chunk::new();
    let mut cmap = chunk.cmap(id, &packed);
    cmap.name(Name(b"Presswork-Codes")).system_info(IDENTITY).writing_mode(WMode::Horizontal);
    cmap.filter(Filter::FlateDecode);
    drop(cmap);
    Ok(chunk)
}

/// Six letters that tell one subset of a font from another.
fn prefix(glyphs: &[u16]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in glyphs.iter().flat_map(|glyph| glyph.to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (0..6).map(|letter| char::from(b'A' + ((hash >> (8 * letter)) as u8) % 26)).collect()
}

/// A table of a font file.
fn table<'a>(file: &'a [u8], tag: &[u8; 4]) -> Option<&'a [u8]> {
    let number = |at: usize| Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    let tables = usize::from(u16::from_be_bytes(file.get(4..6)?.try_into().ok()?));
    let record = (0..tables).map(|table| 12 + 16 * table).find(|at| file.get(*at..at + 4) == Some(tag))?;
    let (start, length) = (number(record + 8)?, number(record + 12)?);
    file.get(start..start.checked_add(length)?)
}

fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn broken(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a built-in font can't be cut down ({what}): report this"),
    )
}
