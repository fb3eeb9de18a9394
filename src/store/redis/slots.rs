//! The slots of a cluster and who serves them. Owns: the slot of a key. Must not know: connections.

use redis::Value;

use super::url::Address;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a key: CRC-16 (XMODEM) of what stands in its first braces, or of all of it.
/// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

/// Who serves which slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    ranges: Vec<(u16, u16, Address)>,
}

impl Slots {
    /// Reads an answer to `CLUSTER SLOTS`; a node that doesn't name itself is the one that was asked.
    pub(super) fn read(answer: &Value, asked: &Address) -> Self {
        let Value::Array(ranges) = answer else { return Self::default() };
        let read = |range: &Value| {
            let Value::Array(parts) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
                return None;
            };
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host = match host {
                Value::BulkString(host) if !host.is_empty() && host != b"?" => {
                    String::from_utf8(host.clone()).ok()?
                }
                _ => asked.host.clone(),
            };
            let number = |number: &i64| u16::try_from(*number).ok();
            Some((number(first)?, number(last)?, Address { host, port: number(port)? }))
        };
        Self { ranges: ranges.iter().filter_map(read).collect() }
    }

    /// Who serves a slot.
    pub(super) fn node(&self, slot: u16) -> Option<&Address> {
        // Newer knowledge stands behind.
        let range = self.ranges.iter().rev().find(|(first, last, _)| (*first..=*last).contains(&slot));
        range.map(|(.., address)| address)
    }

    /// All who serve some, each once.
    pub(super) fn nodes(&self) -> Vec<Address> {
        let mut nodes: Vec<_> = self.ranges.iter().map(|(.., address)| address.clone()).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// Notes that a slot has moved.
    pub(super) fn moved(&mut self, slot: u16, to: Address) {
        self.ranges.retain(|(first, last, _)| (*first, *last) != (slot, slot));
        self.ranges.push((slot, slot, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_key_is_that_of_its_tag() {
        // The specification's own example: CRC-16 of this text is 0x31C3.
        assert_eq!(slot(b"123456789"), 0x31C3 % SLOTS);
        assert_eq!(slot(b"{pw:0}:job:acme"), slot(b"pw:0"));
        assert_eq!(slot(b"pw:progress:{pw:0}:acme"), slot(b"{pw:0}"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
    }

    #[test]
    fn a_slot_that_has_moved_is_served_by_its_new_node() {
        let address = |port| Address { host: "h".to_owned(), port };
        let node = |port| Value::Array(vec![Value::BulkString(Vec::new()), Value::Int(port)]);
        let range = |first, last, port| Value::Array(vec![Value::Int(first), Value::Int(last), node(port)]);
        let answer = Value::Array(vec![range(0, 9_999, 1), range(10_000, 16_383, 2)]);
        let mut slots = Slots::read(&answer, &address(7));
        assert_eq!(slots.node(5), Some(&address(1)));
        slots.moved(5, address(2));
        slots.moved(5, address(3));
        assert_eq!((slots.node(5), slots.node(6)), (Some(&address(3)), Some(&address(1))));
        assert_eq!(slots.nodes(), [address(1), address(2), address(3)]);
    }
}
