//! Metadata in front of a manuscript: TOML between `+++`, or the flat subset of YAML that people write between `---`
//! (`key: value`, lists in both styles, quoted and folded text). A YAML library would be a heavy guest for that; what
//! is not understood is named, not guessed.

use crate::book::{BookError, Metadata};

/// What a front matter says.
#[derive(Debug, Default)]
pub(super) struct FrontMatter {
    pub(super) metadata: Metadata,
    /// Keys that have a shape or a name that is not known.
    pub(super) unknown: Vec<String>,
}

impl FrontMatter {
    fn set(&mut self, key: &str, values: Vec<String>) {
        let values: Vec<String> = values.into_iter().filter(|value| !value.is_empty()).collect();
        let metadata = &mut self.metadata;
        let text = || values.join(", ");
        match key.to_ascii_lowercase().as_str() {
            "title" => metadata.title = text(),
            "subtitle" => metadata.subtitle = text(),
            "author" | "authors" | "creator" | "by" => metadata.authors = values,
            "language" | "lang" => metadata.language = text(),
            "identifier" | "id" | "isbn" | "uuid" => metadata.identifier = text(),
            "description" | "abstract" | "summary" => metadata.description = text(),
            "date" | "published" => metadata.date = text(),
            "publisher" => metadata.publisher = text(),
            "rights" | "copyright" | "license" | "licence" => metadata.rights = text(),
            "subject" | "subjects" | "tags" | "keywords" => metadata.subjects = values,
            "cover" | "cover-image" | "cover_image" => metadata.cover = values.into_iter().next(),
            _ => self.unknown.push(key.to_owned()),
        }
    }
}

/// Reads TOML.
pub(super) fn toml(text: &str, file: &str) -> Result<FrontMatter, BookError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(2, |span| text[..span.start].lines().count() + 1);
        BookError::at(file, format!("front matter, line {line}"), error.message().to_owned())
    })?;
    let mut read = FrontMatter::default();
    for (key, value) in table {
        match value {
            toml::Value::Array(items) => {
                let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
                match texts {
                    Some(texts) => read.set(&key, texts),
                    None => read.unknown.push(key),
                }
            }
            value => match scalar(&value) {
                Some(text) => read.set(&key, vec![text]),
                None => read.unknown.push(key),
            },
        }
    }
    Ok(read)
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Datetime(date) => Some(date.to_string()),
        toml::Value::Table(table) => table.get("name").and_then(toml::Value::as_str).map(str::to_owned),
        _ => None,
    }
}

/// Reads the flat subset of YAML; `None` where it isn't any.
pub(super) fn yaml(text: &str) -> Option<FrontMatter> {
    let mut read = FrontMatter::default();
    let mut lines = text.lines().peekable();
    let mut any = text.trim().is_empty();
    while let Some(line) = lines.next() {
        let bare = line.trim_end();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let (key, value) = key_value(bare)?;
        any = true;
        // What is set in below belongs to it; a list's dashes may also stand below the key itself.
        let mut below = Vec::new();
        while let Some(next) = lines
            .next_if(|next| next.trim().is_empty() || next.starts_with([' ', '\t']) || next.starts_with("- "))
        {
            below.push(next);
        }
        match value {
            "" if below.iter().all(|line| line.trim().is_empty()) => read.set(key, Vec::new()),
            "" => match list(&below) {
                Some(items) => read.set(key, items),
                None => read.unknown.push(key.to_owned()),
            },
            "|" | "|-" | "|+" | ">" | ">-" | ">+" => {
                let folded: Vec<&str> = below.iter().map(|line| line.trim()).collect();
                let joint = if value.starts_with('|') { "\n" } else { " " };
                read.set(key, vec![folded.join(joint).trim().to_owned()]);
            }
            _ if value.starts_with(['&', '*', '!', '{', '@', '`']) => read.unknown.push(key.to_owned()),
            _ if value.starts_with('[') => match value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
                Some(items) => read.set(key, flow(items)),
                None => read.unknown.push(key.to_owned()),
            },
            _ => {
                let whole: Vec<&str> =
                    std::iter::once(value).chain(below.iter().map(|line| line.trim())).collect();
                read.set(key, vec![unquoted(whole.join(" ").trim())]);
            }
        }
    }
    any.then_some(read)
}

/// `key: value` at the beginning of a line.
fn key_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let legal = !key.is_empty()
        && key.len() <= 64
        && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '))
        && !key.starts_with([' ', '-']);
    let spaced = value.is_empty() || value.starts_with([' ', '\t']);
    (legal && spaced).then(|| (key.trim(), without_comment(value.trim())))
}

/// The items of a list; of items that are maps, the one value that names them.
fn list(lines: &[&str]) -> Option<Vec<String>> {
    let mut items: Vec<Option<String>> = Vec::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let (begins, text) = match line.strip_prefix("- ") {
            Some(item) => (true, item.trim()),
            None => (false, line),
        };
        let named = match key_value(text) {
            Some(("name" | "text", value)) => Some(unquoted(value)),
            Some(_) => None,
            None if begins => Some(unquoted(without_comment(text))),
            None => return None,
        };
        if begins {
            items.push(named);
        } else {
            let last = items.last_mut()?;
            *last = last.take().or(named);
        }
    }
    items.into_iter().collect()
}

/// The items of `[a, "b, c"]`, without the brackets.
fn flow(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == ',' => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = items.last_mut() {
            last.push(c);
        }
    }
    items.iter().map(|item| unquoted(item.trim())).collect()
}

fn without_comment(value: &str) -> &str {
    if value.starts_with(['"', '\'']) {
        return value;
    }
    value.split_once(" #").map_or(value, |(value, _)| value.trim_end())
}

fn unquoted(value: &str) -> String {
    let inside = |mark: char| value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    if let Some(text) = inside('"') {
        return text.replace("\\\"", "\"").replace("\\n", " ").replace("\\\\", "\\");
    }
    inside('\'').map_or_else(|| value.to_owned(), |text| text.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_yaml_is_understood_and_the_rest_is_named() {
        let read = yaml(concat!(
            "title: \"The: Title\"  \n# comment\nauthor:\n- Ann One\n- name: Bob Two\n  role: x\n",
            "tags: [a, \"b, c\"]\nlang: de # German\ndescription: >\n  one\n  two\n",
            "cover: images/c.png\nodd: {a: b}\ndate: 2020-01-02\n",
        ))
        .unwrap();
        let m = read.metadata;
        assert_eq!(
            (m.title.as_str(), m.language.as_str(), m.date.as_str()),
            ("The: Title", "de", "2020-01-02")
        );
        assert_eq!(m.authors, ["Ann One", "Bob Two"]);
        assert_eq!(m.subjects, ["a", "b, c"]);
        assert_eq!((m.description.as_str(), m.cover.as_deref()), ("one two", Some("images/c.png")));
        assert_eq!(read.unknown, ["odd"]);
        assert!(yaml("Some text between rules.\n").is_none());
    }

    #[test]
    fn toml_is_understood_and_its_faults_have_a_place() {
        let read =
            toml("title = \"T\"\nauthors = [\"A\", \"B\"]\ndate = 2020-01-02\nx = 1.5\n", "x.md").unwrap();
        assert_eq!((read.metadata.title.as_str(), read.metadata.date.as_str()), ("T", "2020-01-02"));
        assert_eq!((read.metadata.authors.len(), read.unknown.len()), (2, 1));
        let error = toml("a = 1\nb = \n", "x.md").unwrap_err().to_string();
        assert!(error.starts_with("x.md, front matter, line "), "{error}");
    }
}
