//! `.env` files: `NAME=value` a line, `export` in front, remarks behind `#`, quotes. Pure. No error quotes a value.

use secrecy::SecretString;
use zeroize::Zeroizing;

/// The file can't be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DotenvError {
    #[error("line {0}: write NAME=value, with letters, digits and _ in the name")]
    Form(usize),
    #[error("line {0}: a quote begins here and does not end")]
    Open(usize),
    #[error("line {0}: something follows the closing quote")]
    Behind(usize),
}

/// The variables of a file, in order; of one that is there twice the last one counts, as in a shell.
///
/// Without quotes a value ends at a `#` behind a blank; in single quotes all stands for itself; in double quotes `\n`, `\r`,
/// `\t`, `\"`, `\$`, `` \` `` and `\\` mean what they do in most readers, and an end of line belongs to the value. `$NAME` is not
/// replaced by anything: it may be part of a secret.
pub(super) fn parse(text: &str) -> Result<Vec<(String, SecretString)>, DotenvError> {
    let mut variables: Vec<(String, SecretString)> = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let head = rest.split('\n').next().unwrap_or_default();
        let content = head.trim_start();
        if content.trim_end().is_empty() || content.starts_with('#') {
            rest = rest.get(head.len() + 1..).unwrap_or_default();
            line += 1;
            continue;
        }
        let (name, _) = content.split_once('=').ok_or(DotenvError::Form(line))?;
        let behind = &rest[head.len() - content.len() + name.len() + 1..];
        let name = name.trim();
        let name =
            name.strip_prefix("export").filter(|bare| bare.starts_with([' ', '\t'])).unwrap_or(name).trim();
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !begins || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(DotenvError::Form(line));
        }
        let (value, used) = value(behind, line)?;
        line += behind[..used].matches('\n').count();
        rest = &behind[used..];
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

/// The value that a text begins with, and how many bytes it takes, its end of line included.
fn value(text: &str, line: usize) -> Result<(SecretString, usize), DotenvError> {
    let blanks = text.len() - text.trim_start_matches([' ', '\t']).len();
    let body = &text[blanks..];
    let (value, used) = match body.as_bytes().first() {
        Some(b'\'') => {
            let end = body[1..].find('\'').ok_or(DotenvError::Open(line))?;
            (SecretString::from(&body[1..=end]), end + 2)
        }
        Some(b'"') => double_quoted(body, line)?,
        _ => return Ok(bare(text)),
    };
    let tail = body[used..].split('\n').next().unwrap_or_default();
    let remark = tail.trim();
    if !(remark.is_empty() || remark.starts_with('#')) {
        return Err(DotenvError::Behind(line));
    }
    let end = blanks + used + tail.len();
    Ok((value, text.len().min(end + 1)))
}

fn bare(text: &str) -> (SecretString, usize) {
    let line = text.split('\n').next().unwrap_or_default();
    let remark = line.match_indices('#').map(|(place, _)| place);
    let remark = remark.filter(|place| line[..*place].ends_with([' ', '\t'])).min();
    let value = line[..remark.unwrap_or(line.len())].trim();
    (SecretString::from(value), text.len().min(line.len() + 1))
}

fn double_quoted(text: &str, line: usize) -> Result<(SecretString, usize), DotenvError> {
    // Never longer than the text, so that no copy is left behind.
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.char_indices().skip(1);
    while let Some((place, c)) = characters.next() {
        match c {
            '"' => return Ok((SecretString::from(value.as_str()), place + 1)),
            '\\' => match characters.next().ok_or(DotenvError::Open(line))?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                plain @ ('"' | '\\' | '$' | '`') => value.push(plain),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    Err(DotenvError::Open(line))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let variables = parse(text).unwrap();
        variables.into_iter().map(|(name, value)| (name, value.expose_secret().to_owned())).collect()
    }

    #[test]
    fn what_people_write_is_understood() {
        for (line, expected) in [
            ("A=b", "b"),
            ("A=", ""),
            ("  A = b  ", "b"),
            ("export A=b", "b"),
            ("export\tA=b # a remark", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", "#c"),
            ("A= # c", ""),
            ("A='b # $c \\n'", "b # $c \\n"),
            ("A='b' # c", "b"),
            ("A=\"b\\n\\\"c\\\" $d \\$e \\x\"  # f", "b\n\"c\" $d $e \\x"),
            ("A=\"-----BEGIN\nx\n-----END\"", "-----BEGIN\nx\n-----END"),
            ("A=b=c==", "b=c=="),
            ("A=b c", "b c"),
            ("A=b\r", "b"),
            ("A=\"b\"\r", "b"),
            ("A=\"é\"", "é"),
            ("\u{feff}A=b", "b"),
        ] {
            for text in [line.to_owned(), format!("{line}\n"), format!("{line}\nZ=9\n")] {
                let found = read(&text);
                assert_eq!(found[0], ("A".to_owned(), expected.to_owned()), "{text:?}");
                assert_eq!(found.len(), 1 + usize::from(text.contains("Z=9")), "{text:?}");
            }
        }
        assert_eq!(read("\n# A=b\n\n   # c\nexport=1\nA=1\nA=2\n").len(), 2);
        assert_eq!(read("A=1\nB=3\nA=2")[1], ("A".to_owned(), "2".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_its_value() {
        for (text, error) in [
            ("A", DotenvError::Form(1)),
            ("\nhunter2\n", DotenvError::Form(2)),
            ("=hunter2", DotenvError::Form(1)),
            ("1A=hunter2", DotenvError::Form(1)),
            ("A B=hunter2", DotenvError::Form(1)),
            ("A=1\nB='hunter2\n", DotenvError::Open(2)),
            ("A=\"x\ny\"\nB=\"hunter2\\", DotenvError::Open(3)),
            ("A=\"hunter2\" x", DotenvError::Behind(1)),
        ] {
            let found = parse(text).unwrap_err();
            assert_eq!(found, error, "{text:?}");
            assert!(!found.to_string().contains("hunter2"));
        }
    }
}
