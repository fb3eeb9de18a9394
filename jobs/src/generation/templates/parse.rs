//! One template: text with `{{name}}` in it, and `{{#name}}…{{/name}}` around what is left out where the name has no value. A
//! line `---` parts how the model is to behave from what it is asked. What is filled in is never read as a template again.

use crate::generation::extract::cut;

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::generation) struct Template {
    system: Option<Vec<Piece>>,
    message: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(&'static str),
    Section(&'static str, Vec<Piece>),
}

/// What is filled in, by name; what is not there is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::generation) struct Values(Vec<(&'static str, String)>);

/// A template can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}, column {column}: {problem}")]
pub(in crate::generation) struct TemplateError {
    file: String,
    line: usize,
    column: usize,
    problem: String,
}

/// How often a name may stand in each half: what is filled in may be a whole chapter.
const MOST_TIMES: usize = 4;
/// How deep sections may stand in each other.
const MOST_DEPTH: usize = 8;
/// Parts the two halves.
const RULE: &str = "---";

impl Values {
    pub(in crate::generation) fn new(values: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// Sets one.
    pub(in crate::generation) fn set(&mut self, name: &'static str, value: String) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value));
    }

    /// The same with one more, or another one.
    #[must_use]
    pub(in crate::generation) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(name, value.into());
        self
    }

    /// Cuts one at a word, where it has more characters; one that has not is left as it is.
    pub(in crate::generation) fn shorten(&mut self, name: &str, most: usize) {
        let long =
            self.0.iter_mut().find(|(known, value)| *known == name && value.chars().nth(most).is_some());
        if let Some((_, value)) = long {
            *value = cut(value, most);
        }
    }

    /// Whether nothing would stand there.
    pub(in crate::generation) fn is_empty(&self, name: &str) -> bool {
        self.get(name).is_empty()
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }
}

impl Template {
    /// Reads one in which only the `known` names may stand.
    ///
    /// # Errors
    /// [`TemplateError`], which names the place.
    pub(in crate::generation) fn parse(
        file: &str,
        text: &str,
        known: &[&'static str],
    ) -> Result<Self, TemplateError> {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if line.trim_end() == RULE {
                let system = Reader::new(file, text, 0, start, known).read()?;
                let message = Reader::new(file, text, start + line.len(), text.len(), known).read()?;
                return Ok(Self { system: Some(system), message });
            }
            start += line.len();
        }
        Ok(Self { system: None, message: Reader::new(file, text, 0, text.len(), known).read()? })
    }

    /// What the model is told of its behaviour, if anything, and what it is asked.
    pub(in crate::generation) fn fill(&self, values: &Values) -> (Option<String>, String) {
        let filled = |pieces: &[Piece]| {
            let mut text = String::new();
            fill(pieces, values, &mut text);
            text.trim().to_owned()
        };
        let system = self.system.as_deref().map(filled).filter(|system| !system.is_empty());
        (system, filled(&self.message))
    }
}

fn fill(pieces: &[Piece], values: &Values, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value(name) => out.push_str(values.get(name)),
            Piece::Section(name, inside) if !values.get(name).is_empty() => fill(inside, values, out),
            Piece::Section(..) => {}
        }
    }
}

/// Reads one half.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    at: usize,
    end: usize,
    known: &'a [&'static str],
    /// What is open, outermost first: where it begins, its name, the pieces before it.
    open: Vec<(usize, &'static str, Vec<Piece>)>,
    pieces: Vec<Piece>,
    /// What has stood here until now.
    seen: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a str, text: &'a str, at: usize, end: usize, known: &'a [&'static str]) -> Self {
        Self { file, text, at, end, known, open: Vec::new(), pieces: Vec::new(), seen: Vec::new() }
    }

    fn read(mut self) -> Result<Vec<Piece>, TemplateError> {
        while let Some(found) = self.text[self.at..self.end].find("{{") {
            let begin = self.at + found;
            let before = &self.text[self.at..begin];
            let inside = &self.text[begin + 2..self.end];
            let Some(length) = inside.find("}}") else {
                return Err(self.wrong(begin, "{{ without }} behind it"));
            };
            let (name, behind) = (inside[..length].trim(), begin + 2 + length + 2);
            self.text(before);
            self.at = behind;
            match name.split_at_checked(1) {
                Some(("#", name)) => {
                    let name = self.name(begin, name.trim())?;
                    if self.open.len() >= MOST_DEPTH {
                        return Err(
                            self.wrong(begin, format!("more than {MOST_DEPTH} sections stand in each other"))
                        );
                    }
                    self.skip_line_end(begin);
                    self.open.push((begin, name, std::mem::take(&mut self.pieces)));
                }
                Some(("/", name)) => {
                    let name = self.name(begin, name.trim())?;
                    match self.open.pop() {
                        Some((_, opened, before)) if opened == name => {
                            let inside = std::mem::replace(&mut self.pieces, before);
                            self.pieces.push(Piece::Section(name, inside));
                        }
                        _ => return Err(self.wrong(begin, format!("{{{{/{name}}}}} ends what is not open"))),
                    }
                    self.skip_line_end(begin);
                }
                _ => {
                    let name = self.name(begin, name)?;
                    if self.seen.iter().filter(|seen| **seen == name).count() >= MOST_TIMES {
                        return Err(self.wrong(
                            begin,
                            format!("{{{{{name}}}}} stands here more than {MOST_TIMES} times"),
                        ));
                    }
                    self.seen.push(name);
                    self.pieces.push(Piece::Value(name));
                }
            }
        }
        let rest = &self.text[self.at..self.end];
        self.text(rest);
        match self.open.pop() {
            Some((begin, name, _)) => {
                Err(self.wrong(begin, format!("{{{{#{name}}}}} is not ended by {{{{/{name}}}}}")))
            }
            None => Ok(self.pieces),
        }
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
    }

    /// A mark of a section that has a line for itself takes the line's end with it.
    fn skip_line_end(&mut self, begin: usize) {
        let is_first = self.text[..begin].ends_with('\n') || begin == 0;
        let rest = &self.text[self.at..self.end];
        let end = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
        if is_first {
            self.at += end;
        }
    }

    fn name(&self, at: usize, name: &str) -> Result<&'static str, TemplateError> {
        self.known.iter().find(|known| **known == name).copied().ok_or_else(|| {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
            self.wrong(at, format!("there is no {{{{{shown}}}}} here: there are {}", self.known.join(", ")))
        })
    }

    fn wrong(&self, at: usize, problem: impl Into<String>) -> TemplateError {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        TemplateError { file: self.file.to_owned(), line, column, problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["title", "notes"];

    fn filled(text: &str, values: &Values) -> (Option<String>, String) {
        Template::parse("t.md", text, KNOWN).unwrap().fill(values)
    }

    #[test]
    fn a_name_stands_a_few_times_at_most_as_a_chapter_may_come_in_its_place() {
        let many = |times: usize| Template::parse("t.md", &"{{title}}".repeat(times), KNOWN);
        assert!(many(MOST_TIMES).is_ok());
        let error = many(MOST_TIMES + 1).unwrap_err().to_string();
        assert!(error.contains("more than 4 times"), "{error}");
    }

    #[test]
    fn values_are_filled_in_and_never_read_again() {
        let values = Values::new([("title", "{{notes}} {{#title}} ---\n---".to_owned())]);
        assert_eq!(filled("a {{ title }} b", &values).1, "a {{notes}} {{#title}} ---\n--- b");
        assert_eq!(
            filled("Be kind.\n---\nWrite {{title}}", &values.clone().with("title", "X")),
            (Some("Be kind.".into()), "Write X".into())
        );
        assert_eq!(filled("---\n{{title}}{{notes}}.", &Values::default()), (None, ".".into()));
    }

    #[test]
    fn a_section_without_a_value_is_left_out_with_its_lines() {
        let text = "a\n{{#notes}}\nNotes: {{notes}}\n{{/notes}}\nb{{#title}} {{title}}{{/title}}";
        assert_eq!(filled(text, &Values::new([("notes", " \n".to_owned())])).1, "a\nb");
        assert_eq!(
            filled(text, &Values::default().with("notes", "n").with("title", "t")).1,
            "a\nNotes: n\nb t"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, what) in [
            ("a\n é{{tilte}}", "t.md, line 2, column 3: there is no {{tilte}} here: there are title, notes"),
            ("{{title", "line 1, column 1: {{ without }}"),
            ("{{#title}}", "line 1, column 1: {{#title}} is not ended"),
            ("x\n---\n{{/title}}", "line 3, column 1: {{/title}} ends what is not open"),
            ("{{#title}}{{#notes}}{{/title}}", "{{/title}} ends what is not open"),
            ("{{}}", "there is no {{}} here"),
            ("{{é}}", "there is no {{é}} here"),
            ("{{#é}}", "there is no {{é}} here"),
            ("{{#title}}\n---\n{{/title}}", "is not ended"),
        ] {
            let error = Template::parse("t.md", text, KNOWN).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
