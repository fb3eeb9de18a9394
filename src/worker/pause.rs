//! A pause between tries. Owns: [`Pause`].

use std::time::Duration;

use tokio::time::sleep;

/// A pause that doubles from rest to rest.
pub(super) struct Pause {
    first: Duration,
    most: Duration,
    next: Option<Duration>,
}

impl Pause {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: None }
    }

    pub(super) fn is_on(&self) -> bool {
        self.next.is_some()
    }

    pub(super) fn reset(&mut self) {
        self.next = None;
    }

    pub(super) async fn rest(&mut self) {
        let pause = self.next.unwrap_or(self.first);
        self.next = Some((pause * 2).min(self.most));
        sleep(pause).await;
    }
}
