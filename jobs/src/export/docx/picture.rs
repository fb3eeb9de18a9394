//! A picture in a line, as DrawingML says it.

use crate::export::escape::escaped;

/// English metric units: in a pixel at 96 to the inch, and in a twentieth of a point.
const PER_PIXEL: u64 = 9_525;
const PER_TWIP: u64 = 635;
/// What a picture has that does not tell its size.
const UNKNOWN: (u32, u32) = (384, 288);

/// What stands in the text for a picture.
pub(super) struct Picture<'a> {
    /// Unique in the document.
    pub(super) id: u32,
    pub(super) name: &'a str,
    pub(super) alt: &'a str,
    pub(super) title: &'a str,
    /// The relationship of the picture, or of what older programs show instead of the drawing.
    pub(super) relationship: &'a str,
    /// The relationship of a drawing.
    pub(super) drawing: Option<&'a str>,
    /// In pixels, where it is known.
    pub(super) size: Option<(u32, u32)>,
    /// In twentieths of a point: what it may take.
    pub(super) most: (u32, u32),
}

impl Picture<'_> {
    /// The run's content.
    pub(super) fn markup(&self) -> String {
        let (width, height) = self.extent();
        let (id, relationship) = (self.id, self.relationship);
        let (name, alt) = (escaped(self.name), escaped(self.alt));
        let title = match self.title {
            "" => String::new(),
            title => format!(" title=\"{}\"", escaped(title)),
        };
        let drawing = self.drawing.map_or_else(String::new, |drawing| {
            format!(
                "<a:extLst><a:ext uri=\"{{96DAC541-7B7A-43D3-8B79-37D633B846F1}}\"><asvg:svgBlip \
                 xmlns:asvg=\"http://schemas.microsoft.com/office/drawing/2016/SVG/main\" r:embed=\"{drawing}\"/>\
                 </a:ext></a:extLst>"
            )
        });
        format!(
            "<w:drawing><wp:inline distT=\"0\" distB=\"0\" distL=\"0\" distR=\"0\">\
             <wp:extent cx=\"{width}\" cy=\"{height}\"/>\
             <wp:docPr id=\"{id}\" name=\"{name}\" descr=\"{alt}\"{title}/><wp:cNvGraphicFramePr>\
             <a:graphicFrameLocks noChangeAspect=\"1\"/></wp:cNvGraphicFramePr><a:graphic>\
             <a:graphicData uri=\"http://schemas.openxmlformats.org/drawingml/2006/picture\"><pic:pic>\
             <pic:nvPicPr><pic:cNvPr id=\"{id}\" name=\"{name}\"/><pic:cNvPicPr/></pic:nvPicPr>\
             <pic:blipFill><a:blip r:embed=\"{relationship}\">{drawing}</a:blip><a:stretch><a:fillRect/></a:stretch>\
             </pic:blipFill><pic:spPr><a:xfrm><a:off x=\"0\" y=\"0\"/><a:ext cx=\"{width}\" cy=\"{height}\"/></a:xfrm>\
             <a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></pic:spPr></pic:pic></a:graphicData></a:graphic>\
             </wp:inline></w:drawing>"
        )
    }

    /// Its real size, or as much of it as there is room for, in the same proportions.
    fn extent(&self) -> (u64, u64) {
        let (width, height) = self.size.unwrap_or(UNKNOWN);
        let (width, height) = (u64::from(width.max(1)) * PER_PIXEL, u64::from(height.max(1)) * PER_PIXEL);
        let (most_width, most_height) =
            (u64::from(self.most.0) * PER_TWIP, u64::from(self.most.1) * PER_TWIP);
        if width <= most_width && height <= most_height {
            return (width, height);
        }
        // Pixels are numbers of 32 bits, so that the products need 128.
        let part = |a: u64, b: u64, c: u64| {
            u64::try_from(u128::from(a) * u128::from(b) / u128::from(c.max(1))).unwrap_or(u64::MAX).max(1)
        };
        let by_width = part(height, most_width, width);
        if by_width <= most_height {
            (most_width, by_width)
        } else {
            (part(width, most_height, height), most_height)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_proportions_and_its_page() {
        let extent = |size| {
            let picture = Picture {
                id: 1,
                name: "",
                alt: "",
                title: "",
                relationship: "",
                drawing: None,
                size,
                most: (1_500, 3_000),
            };
            picture.extent()
        };
        assert_eq!(extent(Some((100, 50))), (952_500, 476_250));
        assert_eq!(extent(Some((200, 100))), (952_500, 476_250));
        assert_eq!(extent(Some((200, 1_000))), (381_000, 1_905_000));
        assert_eq!(extent(Some((u32::MAX, 1))), (952_500, 1));
        assert_eq!(extent(None), (952_500, 714_375));
    }
}
