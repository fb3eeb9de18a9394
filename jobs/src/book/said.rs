//! What people may say of a book when they order or bring one: refused before there is a job, with what to say instead.

/// How many characters a line has at most.
const LONGEST_LINE: usize = 200;

/// Whether a text can be a line.
pub(crate) fn line(what: &str, given: &str) -> Result<(), String> {
    line_of(what, given, LONGEST_LINE)
}

/// The same of one that may have so many characters.
pub(crate) fn line_of(what: &str, given: &str, most: usize) -> Result<(), String> {
    if given.chars().any(char::is_control) {
        return Err(format!("{what} has control characters or several lines: leave them out"));
    }
    text(what, given, most)
}

/// Whether a text is short enough.
pub(crate) fn text(what: &str, given: &str, most: usize) -> Result<(), String> {
    match given.chars().count() {
        count if count > most => {
            Err(format!("{what} has {count} characters, at most {most} are taken: shorten it"))
        }
        _ => Ok(()),
    }
}

/// Whether it looks like a language's name.
pub(crate) fn language(name: &str) -> Result<(), String> {
    let is_part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if name.len() <= 35 && name.split('-').all(is_part) {
        return Ok(());
    }
    Err(format!("{:?} is no language: name it as en, de or pt-BR", name.chars().take(40).collect::<String>()))
}
