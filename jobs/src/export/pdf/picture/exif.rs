//! How a camera was held, as EXIF 2.32 tells it in a JPEG: the orientation of the first directory of a TIFF.

/// The orientation in an application segment: 1 to 8, where 1 is upright.
pub(super) fn orientation(segment: &[u8]) -> Option<u8> {
    let tiff = segment.strip_prefix(b"Exif\0\0")?;
    let is_big = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |bytes: &[u8]| {
        let bytes = [*bytes.first()?, *bytes.get(1)?];
        Some(if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let offset: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let offset = if is_big { u32::from_be_bytes(offset) } else { u32::from_le_bytes(offset) };
    let directory = tiff.get(usize::try_from(offset).ok()?..)?;
    let count = usize::from(short(directory)?);
    let entry = directory.get(2..)?.chunks_exact(12).take(count).find(|entry| short(entry) == Some(0x112))?;
    let orientation = u8::try_from(short(&entry[8..])?).ok()?;
    (1..=8).contains(&orientation).then_some(orientation)
}
