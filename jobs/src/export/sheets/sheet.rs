//! A character as a Markdown sheet: the name as its title, what is short as a list, what is long under headings.

use crate::book::{
    BookError, Character, Checked, EndTag, Event, EventSink, Losses, Tag,
    writer::{MarkdownWriter, ProjectNames},
};

/// Where the events of a sheet go.
struct Page(MarkdownWriter<ProjectNames>);

impl EventSink for Page {
    fn event(&mut self, event: Event<'_>) -> Result<(), BookError> {
        self.0.event(&event);
        Ok(())
    }
}

/// Writes a character's sheet; what had to be mended in it is counted.
pub(super) fn write(character: &Character, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), BookError> {
    let file = format!("characters/{}.json", character.id);
    let mut page = Checked::new(Page(MarkdownWriter::for_project()), file);
    page.event(Event::ChapterStart { index: 0, title: character.name.as_str().into() })?;
    facts(&mut page, character)?;
    for (title, text) in [
        ("Description", &character.description),
        ("Appearance", &character.appearance),
        ("Background", &character.background),
        ("Notes", &character.notes),
    ] {
        if !text.trim().is_empty() {
            heading(&mut page, title)?;
            paragraphs(&mut page, text)?;
        }
    }
    for (key, value) in &character.extra {
        heading(&mut page, key)?;
        match value {
            serde_json::Value::String(text) => paragraphs(&mut page, text)?,
            value => code(&mut page, value)?,
        }
    }
    page.event(Event::ChapterEnd)?;
    let (Page(mut writer), mended) = page.into_parts();
    losses.merge(&mended);
    out.extend_from_slice(writer.buffer().trim_matches('\n').as_bytes());
    out.push(b'\n');
    Ok(())
}

type Sheet = Checked<Page>;

fn heading(page: &mut Sheet, text: &str) -> Result<(), BookError> {
    page.event(Event::Start(Tag::Heading { level: 2, anchor: None }))?;
    page.event(Event::Text(text.split_whitespace().collect::<Vec<_>>().join(" ").into()))?;
    page.event(Event::End(EndTag::Heading(2)))
}

/// The short facts, those that there are.
fn facts(page: &mut Sheet, character: &Character) -> Result<(), BookError> {
    let relationships =
        character.relationships.iter().map(|one| format!("{} of {}", one.kind, one.to)).collect::<Vec<_>>();
    let first = character.first_chapter.map(|number| format!("chapter {number}"));
    page.event(Event::Start(Tag::List { first: None }))?;
    for (label, fact) in [
        ("Id", character.id.to_string()),
        ("Also called", character.aliases.join(", ")),
        ("Role", character.role.clone()),
        ("Traits", character.traits.join(", ")),
        ("Relationships", relationships.join(", ")),
        ("First seen", first.unwrap_or_default()),
    ] {
        if !fact.trim().is_empty() {
            page.event(Event::Start(Tag::Item))?;
            page.event(Event::Start(Tag::Strong))?;
            page.event(Event::Text(label.into()))?;
            page.event(Event::End(EndTag::Strong))?;
            let fact = fact.split_whitespace().collect::<Vec<_>>().join(" ");
            page.event(Event::Text(format!(": {fact}").into()))?;
            page.event(Event::End(EndTag::Item))?;
        }
    }
    page.event(Event::End(EndTag::List(false)))
}

/// A text as its author has set it: blank lines part paragraphs, other line ends stay.
fn paragraphs(page: &mut Sheet, text: &str) -> Result<(), BookError> {
    let mut is_open = false;
    for line in text.lines().map(str::trim).chain([""]) {
        match (line.is_empty(), is_open) {
            (true, true) => page.event(Event::End(EndTag::Paragraph))?,
            (true, false) => {}
            (false, true) => page.event(Event::HardBreak)?,
            (false, false) => page.event(Event::Start(Tag::Paragraph))?,
        }
        is_open = !line.is_empty();
        if is_open {
            page.event(Event::Text(line.into()))?;
        }
    }
    Ok(())
}

fn code(page: &mut Sheet, value: &serde_json::Value) -> Result<(), BookError> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|error| BookError::storage("writing a character", error))?;
    page.event(Event::Start(Tag::CodeBlock { language: "json".into() }))?;
    page.event(Event::Text(format!("{json}\n").into()))?;
    page.event(Event::End(EndTag::CodeBlock))
}
