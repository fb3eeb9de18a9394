//! How fast a lane's jobs start, for those who ask when theirs will. Owns: the mean. Must not know: which jobs.

use crate::domain::Timestamp;

/// A lane's pace as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Microseconds from one start to the next, a moving mean; nothing before two services.
    pub(super) mean: Option<i64>,
    /// When the lane was served last; nothing where no job was left then: idle time is no pace.
    pub(super) served_at: Option<i64>,
    /// How many jobs started then.
    pub(super) served: i64,
}

impl Pace {
    /// The pace once so many jobs have started and so many are left. What starts at one instant is one service.
    pub(super) fn after(self, started: usize, left: usize, now: Timestamp) -> Self {
        if started == 0 {
            return self;
        }
        let (now, started) = (now.as_micros(), i64::try_from(started).unwrap_or(i64::MAX));
        let next = match self.served_at {
            Some(at) if at == now => Self { served: self.served + started, ..self },
            Some(at) => {
                // A clock that was set back tells nothing.
                let sample = now.saturating_sub(at).max(0) / self.served.max(1);
                let mean =
                    self.mean.map_or(sample, |mean| (mean.saturating_mul(7).saturating_add(sample)) / 8);
                Self { mean: Some(mean), served_at: Some(now), served: started }
            }
            None => Self { served_at: Some(now), served: started, ..self },
        };
        Self { served_at: next.served_at.filter(|_| left > 0), ..next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Pace = Pace { mean: None, served_at: None, served: 0 };

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn the_newest_is_an_eighth_of_the_mean_and_one_instant_is_one_service() {
        let pace = NEW.after(1, 9, at(100)).after(3, 9, at(100));
        assert_eq!(pace.mean, None);
        let pace = pace.after(1, 9, at(500));
        assert_eq!(pace.mean, Some(100), "four jobs in 400");
        assert_eq!(pace.after(1, 9, at(1_400)).mean, Some(200), "seven of 100, one of 900");
        assert_eq!(pace.after(0, 9, at(9_999)), pace);
    }

    #[test]
    fn idle_time_is_no_pace() {
        let pace = NEW.after(1, 9, at(100)).after(1, 0, at(200));
        assert_eq!(pace.after(1, 9, at(90_000)).mean, Some(100));
    }
}
