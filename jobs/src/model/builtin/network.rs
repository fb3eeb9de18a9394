//! The network: an LSTM of one layer over pieces of words. Owns: [`Network`], which is what it has read until now.
//!
//! All is computed with whole numbers and the four operations on floats, each of which has one exact outcome; no function of
//! the machine's mathematics library is called. So that the same text comes out on every machine.

use super::{
    pieces::Piece,
    weights::{Matrix, Weights},
};

/// What the largest number of a vector becomes.
const LARGEST: f32 = 8_191.0;

/// A reader's memory.
pub(super) struct Network {
    weights: &'static Weights,
    /// What is remembered, and what is made of it for now.
    cell: Vec<f32>,
    state: Vec<i16>,
    gates: Vec<f32>,
}

impl Network {
    pub(super) fn new(weights: &'static Weights) -> Self {
        let width = weights.from_state.columns();
        Self { weights, cell: vec![0.0; width], state: vec![0; width], gates: vec![0.0; 4 * width] }
    }

    /// Reads one more piece.
    pub(super) fn read(&mut self, piece: Piece) {
        let Some((numbers, worth)) = self.weights.embedding.row(usize::from(piece)) else { return };
        let embedded: Vec<i16> = numbers.iter().map(|number| i16::from(*number as i8)).collect();
        self.gates.copy_from_slice(&self.weights.gate_bias);
        self.weights.from_piece.add_product(&embedded, worth, &mut self.gates);
        self.weights.from_state.add_product(&self.state, 1.0 / LARGEST, &mut self.gates);
        let width = self.cell.len();
        for at in 0..width {
            let (input, forget) = (sigmoid(self.gates[at]), sigmoid(self.gates[width + at]));
            let (cell, output) = (tanh(self.gates[2 * width + at]), sigmoid(self.gates[3 * width + at]));
            self.cell[at] = forget * self.cell[at] + input * cell;
            self.state[at] = whole(output * tanh(self.cell[at]) * LARGEST);
        }
    }

    /// How likely each piece is to come next, as the logarithm of something.
    pub(super) fn next(&self) -> Vec<f32> {
        let Weights { back, back_bias, embedding, piece_bias, .. } = self.weights;
        let mut wanted = back_bias.clone();
        back.add_product(&self.state, 1.0 / LARGEST, &mut wanted);
        let mut likely = piece_bias.clone();
        compare(embedding, &wanted, &mut likely);
        likely
    }
}

/// How near each piece is to what is wanted.
fn compare(embedding: &Matrix, wanted: &[f32], likely: &mut [f32]) {
    let largest = wanted.iter().fold(1e-9_f32, |largest, number| largest.max(number.abs()));
    let numbers: Vec<i16> = wanted.iter().map(|number| whole(number / largest * LARGEST)).collect();
    embedding.add_product(&numbers, largest / LARGEST, likely);
}

/// The nearest whole number.
fn whole(number: f32) -> i16 {
    let half = if number < 0.0 { -0.5 } else { 0.5 };
    (number + half) as i16
}

/// e to the power of a number; 0 and very much at the ends.
pub(super) fn exp(number: f32) -> f32 {
    let number = if number < -80.0 { -80.0 } else { number };
    let number = if number > 80.0 { 80.0 } else { number };
    // A power of two, and what is left: at most half the logarithm of two.
    let twos = number * std::f32::consts::LOG2_E;
    let whole = (if twos < 0.0 { twos - 0.5 } else { twos + 0.5 }) as i32;
    let left = (twos - whole as f32) * std::f32::consts::LN_2;
    let series = 1.0 + left * (1.0 + left * (0.5 + left * (1.0 / 6.0 + left * (1.0 / 24.0 + left / 120.0))));
    series * f32::from_bits(((whole + 127) as u32) << 23)
}

fn sigmoid(number: f32) -> f32 {
    1.0 / (1.0 + exp(-number))
}

fn tanh(number: f32) -> f32 {
    2.0 * sigmoid(2.0 * number) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_what_the_library_says_they_are() {
        for step in -4_000..=4_000_i16 {
            let number = f32::from(step) / 50.0;
            assert!((exp(number) / number.exp() - 1.0).abs() < 1e-5, "{number}");
            assert!((tanh(number) - number.tanh()).abs() < 1e-5, "{number}");
        }
        for (far, end) in [(f32::MAX, 1.0), (f32::MIN, 0.0)] {
            assert!((sigmoid(far) - end).abs() < 1e-6);
        }
        assert_eq!([0.4, -0.4, 0.6, -0.6, 1e9, -1e9].map(whole), [0, 0, 1, -1, i16::MAX, i16::MIN]);
    }

    #[test]
    fn it_has_learned_to_read() {
        // How surprising a text is, in bits a letter; one that was not read in training, and of a later time.
        let weights = Weights::built_in().unwrap();
        let surprise = |text: &str| {
            let mut network = Network::new(weights);
            network.read(weights.pieces.end);
            let mut bits = 0.0;
            for piece in weights.pieces.of(text) {
                let likely = network.next();
                let all: f32 = likely.iter().map(|number| exp(*number)).sum();
                bits += (all.ln() - likely[usize::from(piece)]) / std::f32::consts::LN_2;
                network.read(piece);
            }
            bits / text.len() as f32
        };
        let text = "He was a very good man, and she had never been so happy in her life as when he told her that he was to \
                    come again in the evening.";
        let mixed: String = text.split(' ').rev().collect::<Vec<_>>().join(" ");
        let (read, mixed) = (surprise(text), surprise(&mixed));
        assert!(read < 2.0 && mixed > read + 0.3, "{read} {mixed}");
    }
}
