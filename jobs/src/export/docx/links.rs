//! Relationships: each part lists what it uses of the archive's other files and of the web.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use crate::{
    book::Asset,
    export::{
        escape::escaped,
        markup::picture_file,
        zip::{Held, Zip},
    },
    scratch::Scratch,
};

/// How many bytes the addresses of a part's links may have, compressed.
const MOST_BYTES: usize = 4 << 20;
/// Word takes a document with a longer address for a broken one.
const MOST_ADDRESS_BYTES: usize = 2_000;
/// The types of relationships begin so.
const TYPE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
/// What programs show that don't know drawings.
pub(super) const FALLBACK: &str = "media/none.png";

/// One part's relationships.
pub(super) struct Relationships {
    held: Held,
    links: u32,
    pictures: BTreeSet<usize>,
    has_drawing: bool,
}

impl Relationships {
    /// With those that every document has: kind and target.
    pub(super) fn new(fixed: &[(&str, &str)], scratch: &Scratch) -> io::Result<Self> {
        let mut held = Held::new(MOST_BYTES, scratch);
        held.write(concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n",
            "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
        ))?;
        for (number, (kind, target)) in fixed.iter().enumerate() {
            held.write(&relationship(&format!("rId{}", number + 1), kind, target, ""))?;
        }
        Ok(Self { held, links: 0, pictures: BTreeSet::new(), has_drawing: false })
    }

    /// The id of a link's relationship; `None` where there are too many.
    pub(super) fn link(&mut self, address: &str) -> io::Result<Option<String>> {
        if self.held.is_full() {
            return Ok(None);
        }
        self.links += 1;
        let id = format!("rIdL{}", self.links);
        self.held.write(&relationship(&id, "hyperlink", &escaped(address), " TargetMode=\"External\""))?;
        Ok(Some(id))
    }

    /// The id of a picture's relationship.
    pub(super) fn picture(&mut self, index: usize) -> String {
        self.pictures.insert(index);
        format!("rIdI{}", index + 1)
    }

    /// The id of the fallback's relationship.
    pub(super) fn fallback(&mut self) -> &'static str {
        self.has_drawing = true;
        "rIdNone"
    }

    /// Whether a drawing needs the fallback.
    pub(super) fn has_drawing(&self) -> bool {
        self.has_drawing
    }

    /// Writes the part's list.
    pub(super) fn finish(
        mut self,
        zip: &mut Zip,
        out: &mut dyn Write,
        name: &str,
        assets: &[Asset],
    ) -> io::Result<()> {
        for index in &self.pictures {
            let target = assets.get(*index).map(|asset| file(*index, &asset.media_type)).unwrap_or_default();
            self.held.write(&relationship(&format!("rIdI{}", index + 1), "image", &target, ""))?;
        }
        if self.has_drawing {
            self.held.write(&relationship("rIdNone", "image", FALLBACK, ""))?;
        }
        self.held.write("</Relationships>")?;
        zip.held(out, name, self.held)
    }
}

/// Whether Word takes the address.
pub(super) fn is_short(address: &str) -> bool {
    address.len() <= MOST_ADDRESS_BYTES
}

/// Where a picture stands below `word/`.
pub(super) fn file(index: usize, media_type: &str) -> String {
    picture_file(index, media_type).replace("images/", "media/")
}

fn relationship(id: &str, kind: &str, target: &str, mode: &str) -> String {
    format!("<Relationship Id=\"{id}\" Type=\"{TYPE}/{kind}\" Target=\"{target}\"{mode}/>")
}
