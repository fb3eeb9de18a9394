//! Which piece comes next. Owns: [`Choice`], whose chances are drawn from the request itself.

use super::{network::exp, pieces::Piece};

/// As freely as it chooses where the request does not say.
const TEMPERATURE: f32 = 0.65;
/// From how much of the probability, likewise.
const TOP_P: f32 = 0.9;

/// How the next piece is chosen.
pub(super) struct Choice {
    temperature: f32,
    top_p: f32,
    chances: u64,
}

impl Choice {
    /// The same seed gives the same choices.
    pub(super) fn new(temperature: Option<f32>, top_p: Option<f32>, seed: u64) -> Self {
        let top_p = top_p.unwrap_or(TOP_P).clamp(0.0, 1.0);
        Self { temperature: temperature.unwrap_or(TEMPERATURE), top_p, chances: seed }
    }

    /// One of the pieces that may come, by how likely each is.
    pub(super) fn next(&mut self, likely: &[f32], may: impl Fn(Piece) -> bool) -> Option<Piece> {
        let pieces = (0..=Piece::MAX).zip(likely).filter(|(piece, _)| may(*piece));
        let mut pieces: Vec<(Piece, f32)> = pieces.map(|(piece, likely)| (piece, *likely)).collect();
        // The likeliest first; of two that are equal, that which stands first in the vocabulary.
        pieces.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let &(first, most) = pieces.first()?;
        if self.temperature < 1e-3 {
            return Some(first);
        }
        let mut all = 0.0;
        for (_, likely) in &mut pieces {
            *likely = exp((*likely - most) / self.temperature);
            all += *likely;
        }
        let (mut taken, mut enough) = (0.0, 0);
        for (_, share) in &pieces {
            taken += share;
            enough += 1;
            if taken >= self.top_p * all {
                break;
            }
        }
        let mut drawn = self.draw() * taken;
        for (piece, share) in &pieces[..enough] {
            drawn -= share;
            if drawn < 0.0 {
                return Some(*piece);
            }
        }
        Some(first)
    }

    /// A number from 0 to below 1 (SplitMix64).
    fn draw(&mut self) -> f32 {
        self.chances = self.chances.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chances;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 40) as f32 / 16_777_216.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIKELY: [f32; 4] = [1.0, 3.0, 2.0, -9.0];

    fn counted(temperature: Option<f32>, top_p: Option<f32>) -> [u32; 4] {
        let mut choice = Choice::new(temperature, top_p, 7);
        let mut counts = [0; 4];
        for _ in 0..10_000 {
            counts[usize::from(choice.next(&LIKELY, |_| true).unwrap())] += 1;
        }
        counts
    }

    #[test]
    fn pieces_are_chosen_as_often_as_they_are_likely() {
        let [second, first, third, never] = counted(Some(1.0), Some(1.0));
        // e² : e : 1, of 11.1.
        assert!((6_500..6_800).contains(&first) && (2_300..2_600).contains(&third), "{first} {third}");
        assert!((800..1_000).contains(&second) && never < 3);
        assert_eq!(counted(Some(0.0), None), [0, 10_000, 0, 0]);
        assert_eq!(counted(Some(1.0), Some(0.0)), [0, 10_000, 0, 0]);
        assert_eq!(counted(Some(1.0), Some(0.9))[0], 0);
        // As free as can be: all alike.
        assert!(counted(Some(f32::MAX), Some(1.0)).iter().all(|count| (2_300..2_700).contains(count)));
    }

    #[test]
    fn what_may_not_come_does_not() {
        let mut choice = Choice::new(None, None, 7);
        assert_eq!(choice.next(&LIKELY, |piece| piece == 3), Some(3));
        assert_eq!(choice.next(&LIKELY, |_| false), None);
    }
}
