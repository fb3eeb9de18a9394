//! Pictures in markup, and what stands for those that can't be shown.

use std::sync::Arc;

use super::{Markup, PICTURE, Style, lines};
use crate::export::{escape::escaped, lookup::Picture, loss, url};

/// Of a picture's title that is written out: the importer has it from the picture.
const TITLE: &str = "data-caption=\"title\"";

impl Markup {
    /// An image, or words for one that can't be shown.
    pub(super) fn image(&mut self, source: &str, alt: &str, title: &str) {
        let lookup = Arc::clone(&self.lookup);
        let address = match lookup.picture(source) {
            Picture::Asset(index, asset) => {
                self.used[index] = true;
                match self.style {
                    Style::Epub => picture_file(index, &asset.media_type),
                    Style::Html => {
                        format!("data:{};base64,{PICTURE}{index}{PICTURE}", escaped(&asset.media_type))
                    }
                }
            }
            Picture::Remote => {
                self.losses.add(loss::REMOTE_IMAGE);
                return self.instead_of_image(url::valid(source), alt, title);
            }
            Picture::Missing => {
                self.losses.add(loss::MISSING_IMAGE);
                return self.instead_of_image(None, alt, title);
            }
        };
        self.has_silent_image |= alt.trim().is_empty();
        let begins = self.tag_is_open && self.paragraph_is_open;
        if begins {
            self.out().push_str(" class=\"picture\"");
        }
        let mut tag = format!("<img src=\"{address}\" alt=\"{}\"", escaped(alt));
        if !title.is_empty() {
            tag.push_str(&format!(" title=\"{}\"", lines(title)));
        }
        tag.push_str("/>");
        self.push(&tag);
        // A title that only a pointer finds is not read on paper. Below a picture behind words it would part those.
        if begins && !title.trim().is_empty() {
            self.push(&format!("<span class=\"caption\" {TITLE}>{}</span>", escaped(title)));
        }
    }

    /// A picture that can't be shown: what it shows in words, and where it is, if that is known.
    fn instead_of_image(&mut self, address: Option<String>, alt: &str, title: &str) {
        let told = alt;
        let alt = if alt.trim().is_empty() { "image" } else { alt };
        // For the importer, which makes an image of it again.
        let image = match (&address, self.style) {
            (Some(address), Style::Epub) => format!(
                " data-image=\"{}\" data-alt=\"{}\" data-title=\"{}\"",
                escaped(address),
                escaped(told),
                lines(title)
            ),
            _ => String::new(),
        };
        let is_image = !image.is_empty();
        let words = match address {
            Some(address) if !self.links.contains(&true) => {
                format!("<a href=\"{}\"{image}>[{}]</a>", escaped(&address), escaped(alt))
            }
            Some(_) if !image.is_empty() => format!("<span{image}>[{}]</span>", escaped(alt)),
            _ => format!("[{}]", escaped(alt)),
        };
        self.push(&words);
        if !title.trim().is_empty() {
            let title = escaped(title);
            match is_image {
                true => self.push(&format!("<span {TITLE}> {title}</span>")),
                false => self.push(&format!(" {title}")),
            }
        }
    }
}

/// Where a picture stands in an EPUB: numbered, because names of assets may hold what file names may not.
pub(in crate::export) fn picture_file(index: usize, media_type: &str) -> String {
    let extension = match media_type {
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/svg+xml" => "svg",
        _ => "png",
    };
    format!("images/image-{:04}.{extension}", index + 1)
}
