//! The rule of keys: the names of tenants and kinds, which stand in storage paths, queue names and addresses
//! as they are.

/// What is wrong with a key: 1 to 64 of `a-z 0-9 - _`, beginning with a letter or a digit, no Windows device.
pub(super) const fn problem(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 {
        return Some("must have 1 to 64 characters");
    }
    let mut place = 0;
    while place < bytes.len() {
        let byte = bytes[place];
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !(plain || (place > 0 && (byte == b'-' || byte == b'_'))) {
            return Some("must be made of a-z, 0-9, - and _ and begin with a letter or a digit");
        }
        place += 1;
    }
    if is_device(bytes) {
        return Some("is a device name on Windows");
    }
    None
}

/// Windows' device names that are made of a key's characters.
const fn is_device(name: &[u8]) -> bool {
    match name {
        [b'c', b'o', b'n'] | [b'p', b'r', b'n'] | [b'a', b'u', b'x'] | [b'n', b'u', b'l'] => true,
        [b'c', b'o', b'm', port] | [b'l', b'p', b't', port] => port.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_lower_case_ascii() {
        for good in ["acme", "a", "0-9_z", "generation", "com10", "console", "nul-l", &"x".repeat(64)] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in
            ["", "A", "-a", "_a", "a b", "a/b", "a.b", "..", "{pw:0}", "é", "a\0", "a%2f", &"x".repeat(65)]
        {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_no_device() {
        for bad in ["con", "prn", "aux", "nul", "com0", "com1", "lpt9"] {
            assert_eq!(problem(bad), Some("is a device name on Windows"), "{bad}");
        }
    }
}
