//! Pictures in a run: drawings, and the older kind of Word. What else is drawn is counted; its words are kept.

use super::{Content, Paragraph, Picture, Reader};
use crate::{
    book::BookError,
    import::docx::{styles::Look, xml::Node},
};

/// How many bytes of a text box are kept.
const MOST_BOX_BYTES: usize = 64 << 10;

impl Reader<'_> {
    /// Reads a drawing to its end.
    pub(super) fn picture(
        &mut self,
        paragraph: &mut Paragraph,
        link: Option<usize>,
        look: Look,
    ) -> Result<(), BookError> {
        let (mut picture, mut words) = (Picture::default(), String::new());
        let mut depth = 1_usize;
        while depth > 0 {
            let element = match self.xml.next()? {
                Node::Start(element) => element,
                Node::End => {
                    depth -= 1;
                    continue;
                }
                Node::Text(_) => continue,
                Node::Eof => break,
            };
            let relation = |name: &str| element.get(name).filter(|id| !id.is_empty()).map(str::to_owned);
            match element.name.as_str() {
                "Fallback" => {
                    self.xml.skip()?;
                    continue;
                }
                "docPr" => {
                    let text = |name: &str| element.get(name).unwrap_or_default().to_owned();
                    (picture.name, picture.alt, picture.title) = (text("name"), text("descr"), text("title"));
                }
                // The drawing comes before the picture that stands for it.
                "svgBlip" => picture.relations.splice(0..0, relation("embed")).for_each(drop),
                "blip" => picture.relations.extend(relation("embed").or_else(|| relation("link"))),
                "shape" if picture.alt.is_empty() => {
                    picture.alt = element.get("alt").unwrap_or_default().to_owned();
                }
                "imagedata" => {
                    picture.relations.extend(relation("id"));
                    picture.title = element.get("title").unwrap_or_default().to_owned();
                }
                "rect" if element.get("hr").is_some_and(|on| on != "f") => paragraph.line = true,
                "p" if !words.is_empty() && words.len() < MOST_BOX_BYTES => words.push(' '),
                "t" => {
                    let text = self.xml.text(MOST_BOX_BYTES)?;
                    if words.len() + text.len() <= MOST_BOX_BYTES {
                        words.push_str(&text);
                    }
                    continue;
                }
                _ => {}
            }
            depth += 1;
        }
        if !picture.relations.is_empty() {
            self.push(paragraph, link, look, Content::Picture(picture))?;
        } else if words.is_empty() && !paragraph.line {
            self.losses.add("drawing");
        }
        if !words.is_empty() {
            self.losses.add("text box, put into the text");
            self.push(paragraph, link, look, Content::Text(words))?;
        }
        Ok(())
    }
}
