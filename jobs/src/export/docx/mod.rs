//! DOCX (ECMA-376, transitional): one document with real styles, lists, notes and pictures, streamed into a ZIP archive.
//! `word/document.xml` is written while the events come; what is known only then follows it: notes, numbering, styles,
//! relationships, pictures.
//!
//! In memory stay the open chapter's notes and, compressed, the finished chapters' notes, the links' addresses and the
//! numbers of lists; each has a bound ([`held`](super::zip)), beyond which notes go to their chapter's end and links
//! become fields. Nothing here knows storage, jobs or the clock.
//!
//! # What stands for what
//! The importer reads the same conventions, so that a book comes back as it was. Programs that don't know them see an
//! ordinary document.
//!
//! Front matter is everything before the first chapter: `Cover` (a paragraph with the picture), `Title`, `Subtitle`,
//! `Author` (one a person), `Imprint` (publisher, date, rights), `TOCHeading` and the field `TOC` with one `TOC1`
//! paragraph a chapter. Metadata stand in `docProps/core.xml` (`dc:title`; `dc:creator` and `cp:keywords`, joined by
//! `; `; `dc:description`, `dc:language`, `dc:identifier`) and, as written, in `docProps/custom.xml` (`Subtitle`,
//! `Publisher`, `Date`, `Rights`).
//!
//! **Chapters** begin with a `Heading1`, or an empty `ChapterStart` where the title is empty; it holds the bookmark
//! `chapter_<n>`, `n` from 1.
//!
//! **Paragraph styles** are `<kind>` or `<kind>_<path>`; the path says, outermost first, in which quotes (`Q`) and
//! list items (`L`) the block stands: `CodeBlock_QL` is code in an item of a list in a quote. Kinds:
//! - `BodyText`, or `FirstParagraph` without an indent: a paragraph outside of all. `FootnoteText` in a note.
//! - `Quote`: a paragraph right inside a quote. Instead of `Quote_Q`, `Quote_QQ`… there are `Quote`, `Quote2`…`Quote9`.
//! - `ListParagraph`: a paragraph right inside an item; `ListCompact`: runs right inside an item (a tight list).
//! - `Heading2`…`Heading6`; `CodeBlock` (one paragraph, lines parted by `w:br`, without the last line feed); `Rule`
//!   (empty); `Figure` (a paragraph of nothing but one picture); `BookTable` (a table style). Cells hold `TableText`.
//! - `Caption`: repeats the title of the `Figure` before it, and means nothing more.
//! - `Separator`: empty. What follows begins a new quote, list or table instead of going on with the one above.
//! - `UnmentionedNotes`: references of notes that nothing in the chapter mentions, at its end.
//!
//! **Lists**: the first block of an item has `w:numPr`; `w:ilvl` is the number of `L` in its path less one, at most 8.
//! A list item whose path is nothing but `L`, up to nine, has the plain `ListParagraph` or `ListCompact`. A paragraph
//! with `w:numPr` and no content begins an item that has no block, or begins with a list or a table. `w:numId` 1 are
//! bullets; each numbered list has its own `w:num` with its first number in `w:startOverride`.
//!
//! **Bookmarks**: a heading's anchor is `c<chapter>_<anchor>`, written so: small letters, digits and `-` stay, `_` is
//! `__`, a capital is `_` and the small letter, anything else `_0<hexadecimal>_`. Word allows 40 characters; longer ones
//! become `h<chapter>_<16 hexadecimal digits>`. A code block's language is the bookmark `code_<n>_<language>` around
//! its text, written alike. `note_<n>` stands around a note's first reference.
//!
//! **Runs**: character styles `Emphasis`, `Strong`, `CodeChar`, `Hyperlink`, `FootnoteReference`; a run has one style,
//! so of emphasis and strong the outermost is the style and the inner one `w:i` or `w:b`; inside links and code both
//! are. `w:strike`, `w:vertAlign` are direct. A line feed that means nothing is a space, U+00AD `w:softHyphen`, a tab
//! `w:tab`, a hard break `w:br`.
//!
//! **Links**: `w:hyperlink` with `r:id` or `w:anchor` (`chapter_<n>` or a bookmark as above), `w:tooltip` is the title.
//! Beyond the bound it is a field `HYPERLINK "address"`.
//!
//! **Notes**: `w:footnoteReference`; the second mention of a note is a field `NOTEREF note_<n> \f \h`. A note that begins
//! with something else than a paragraph has an empty one with the mark before.
//!
//! **Pictures**: `wp:inline`, whose `wp:docPr` has the asset's name as `name`, the alternative text as `descr` and the
//! title as `title`. A drawing (SVG) stands in `asvg:svgBlip` with an empty PNG for programs that can't show it.
//!
//! **Tables**: the head row has `w:tblHeader`; columns are aligned by `w:jc` in each cell's paragraph (in paragraphs with
//! `w:bidi`, `left` and `right` change places, as Word has it); no `w:jc` is no alignment.
