//! Every format, over a book that has everything, hostile texts included.

mod author;
mod docx;
mod docx_text;
mod every_format;
mod instead;
mod markdown;
pub(super) mod sample;

/// The events of a random chapter, the same for the same seed; in half of them notes are mentioned.
pub(crate) fn random_chapter(seed: u64) -> Vec<crate::book::Event<'static>> {
    let mut author = author::Author { state: seed, notes: (seed % 2) as usize };
    let mut script = sample::Script::default();
    author.blocks(&mut script, 0);
    if author.notes > 0 {
        author.notes = 0;
        let label = crate::book::Tag::Footnote { label: "n1".into() };
        script.inside(label, |script| author.blocks(script, 1));
    }
    script.0
}
