//! Ranges of addresses: from where a key may be used. Pure.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A range of addresses, as `203.0.113.0/24`, `2001:db8::/32` or one address. An IPv4 address that is written as one of IPv6
/// counts as what it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    bits: u8,
}

/// The text is not a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// Write it anew.
    #[error("not a range of addresses: write it as 203.0.113.0/24, 2001:db8::/32, or one address")]
    Form,
    /// Leave out what is behind the prefix.
    #[error("the address has bits behind its prefix of {0}: write the first address of the range")]
    Behind(u8),
}

impl AddressRange {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && network(address, self.bits) == self.first
    }

    /// Whether all of another range is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.first)
    }
}

/// The address with nothing behind its first bits.
pub(super) fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(head, bits)| (head, Some(bits)));
        let given: IpAddr = address.parse().map_err(|_| AddressRangeError::Form)?;
        let most = if given.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            // No sign, no blank, no leading zero: what is read in two ways is not read.
            Some(digits) => {
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (digits.len() == 1 || !digits.starts_with('0'));
                digits.parse().ok().filter(|bits| plain && *bits <= most).ok_or(AddressRangeError::Form)?
            }
        };
        if network(given, bits) != given {
            return Err(AddressRangeError::Behind(bits));
        }
        let first = given.to_canonical();
        match (first, given, bits) {
            (IpAddr::V4(_), IpAddr::V6(_), 96..) => Ok(Self { first, bits: bits - 96 }),
            // Wider than all of IPv4, written as IPv6.
            (IpAddr::V4(_), IpAddr::V6(_), _) => Err(AddressRangeError::Form),
            _ => Ok(Self { first, bits }),
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AddressRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("203.0.113.0/24", ["203.0.113.0", "203.0.113.255"], ["203.0.112.255", "203.0.114.0"]),
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("192.0.2.7", ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.6", "::192.0.2.7"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
            ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7:ffff::1", "2001:db9::"]),
            ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::2", "127.0.0.1"]),
            ("::/0", ["::", "2001:db8::1"], ["192.0.2.7", "::ffff:192.0.2.7"]),
            ("::ffff:10.0.0.0/104", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.0", "::1"]),
        ] {
            for address in inside {
                assert!(range(text).contains(address.parse().unwrap()), "{address} in {text}");
            }
            for address in outside {
                assert!(!range(text).contains(address.parse().unwrap()), "{address} in {text}");
            }
            assert_eq!(range(&range(text).to_string()), range(text));
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/ 8",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "10.0.0/8",
            "::/129",
            "localhost",
            "::ffff:0.0.0.0/95",
            "10.0.0.0/256",
        ] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.1/8".parse::<AddressRange>(), Err(AddressRangeError::Behind(8)));
        assert_eq!("2001:db8::1/32".parse::<AddressRange>(), Err(AddressRangeError::Behind(32)));
    }
}
