//! What scripts answer, as Rust's values. Owns: how answers are taken apart. Must not know: what they mean.

use std::vec;

use redis::Value;

use crate::{
    domain::{JobId, Reason, TenantId, Timestamp, WorkerId},
    queue::QueueError,
};

/// The elements of an array, one after the other; what is missing is absent.
#[derive(Debug, Default)]
pub(super) struct Answer(vec::IntoIter<Value>);

impl Answer {
    /// The elements of an array.
    pub(super) fn of(value: Value) -> Result<Self, QueueError> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            Value::Nil => Ok(Self::default()),
            _ => Err(unreadable("a script answered something that is no array")),
        }
    }

    /// The next element, absent where there is none or it is nothing.
    pub(super) fn value(&mut self) -> Option<Value> {
        self.0.next().filter(|value| !matches!(value, Value::Nil | Value::Boolean(false)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(super) fn array(&mut self) -> Result<Self, QueueError> {
        self.value().map_or_else(|| Ok(Self::default()), Self::of)
    }

    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.value()? {
            Value::BulkString(bytes) => Some(bytes),
            Value::SimpleString(text) => Some(text.into_bytes()),
            Value::Int(number) => Some(number.to_string().into_bytes()),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A number, also where it came as a text: scores do.
    pub(super) fn number(&mut self) -> Option<i64> {
        match self.value()? {
            Value::Int(number) => Some(number),
            Value::BulkString(bytes) => whole(&String::from_utf8(bytes).ok()?),
            Value::SimpleString(text) => whole(&text),
            Value::Double(number) => whole(&format!("{number:.0}")),
            _ => None,
        }
    }

    pub(super) fn flag(&mut self) -> bool {
        self.value().is_some_and(|value| !matches!(value, Value::Int(0)))
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_micros)
    }

    pub(super) fn id(&mut self) -> Option<JobId> {
        let bytes: [u8; 16] = self.bytes()?.try_into().ok()?;
        Some(JobId::from_u128(u128::from_be_bytes(bytes)))
    }

    pub(super) fn tenant(&mut self) -> Option<TenantId> {
        self.text()?.parse().ok()
    }

    pub(super) fn reason(&mut self) -> Option<Reason> {
        self.text().map(Reason::new)
    }

    pub(super) fn worker(&mut self) -> Option<WorkerId> {
        self.text().map(|text| WorkerId::new(&text))
    }
}

fn whole(text: &str) -> Option<i64> {
    // Scores are written as `1.8e+15` by some servers.
    text.parse().ok().or_else(|| format!("{:.0}", text.parse::<f64>().ok()?).parse().ok())
}

/// An answer that makes no sense.
pub(super) fn unreadable(what: &str) -> QueueError {
    QueueError::Corrupt(what.to_owned())
}
