//! Code inside of a line.

/// Code as one line: blanks count in it, but what is there to set the source in lines does not.
pub(super) fn in_a_line(code: &str) -> String {
    let lines: Vec<&str> = code.split(['\n', '\r']).collect();
    match lines.as_slice() {
        [line] => line.replace('\t', " "),
        lines => lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned(),
    }
}
