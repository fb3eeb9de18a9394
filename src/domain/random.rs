//! Randomness as an argument: the system's in production, a seeded one in tests.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use rand::{Rng as _, SeedableRng as _, TryRng as _, rngs::StdRng};

/// A source of random bytes that many threads may share.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);

    /// A number from 0 up to and without `bound`; 0 where `bound` is 0. The bias of at most
    /// `bound / 2^64` does not matter for jitter, which is what it is for.
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        let wide = u128::from(u64::from_le_bytes(bytes)) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

/// The operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// Where the operating system has no random bytes to give: no id and no key may be made then.
    #[expect(clippy::expect_used, reason = "going on without randomness would make guessable ids")]
    fn fill(&self, out: &mut [u8]) {
        rand::rngs::SysRng.try_fill_bytes(out).expect("the operating system gives no random bytes");
    }
}

/// A repeatable source: the same seed gives the same bytes.
pub struct SeededRandom(Mutex<StdRng>);

impl SeededRandom {
    /// A source that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A source that starts from 256 bits of another one and never asks it again: for ids by the thousand, where asking the
    /// operating system for each costs more than all else about it. Not for keys.
    pub fn of(source: &dyn Random) -> Self {
        let mut seed = [0; 32];
        source.fill(&mut seed);
        Self(Mutex::new(StdRng::from_seed(seed)))
    }
}

impl fmt::Debug for SeededRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededRandom")
    }
}

impl Random for SeededRandom {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_a_bound_holds() {
        let (one, two) = (SeededRandom::new(7), SeededRandom::new(7));
        for bound in [0, 1, 2, 10, u64::MAX] {
            let drawn = one.below(bound);
            assert_eq!(drawn, two.below(bound));
            assert!(drawn < bound.max(1));
        }
        let drawn = [SeededRandom::of(&one), SeededRandom::of(&one)].map(|source| source.below(u64::MAX));
        assert_ne!(drawn[0], drawn[1], "each has a seed of its own");
    }
}
