//! What the model has learned. Owns: [`Weights`], read from the file that `jobs/model-training/train.py` writes.
//!
//! The file: `PWLM`, then the layout's version (1), the number of pieces P, the width of their embedding E and that of the
//! state S, as u32; each piece's length (a byte) and text; four matrices, each as a float for each row, what one of its numbers
//! is worth, then its numbers, an i8 each, row by row: the embedding (P × E), the gates from a piece (4 S × E), the gates from
//! the state (4 S × S), from the state back to an embedding (E × S); the biases as floats: of the gates (4 S), of the way back
//! (E), of the pieces (P). Gates stand in the order input, forget, cell, output. All little-endian.

use std::sync::LazyLock;

use super::pieces::Pieces;

static FILE: &[u8] = include_bytes!("model.bin");
static WEIGHTS: LazyLock<Option<Weights>> = LazyLock::new(|| Weights::read(FILE));

/// Whole numbers of −127 to 127, with what one is worth for each row.
pub(super) struct Matrix {
    columns: usize,
    worth: Vec<f32>,
    numbers: &'static [u8],
}

/// All that was learned.
pub(super) struct Weights {
    pub(super) pieces: Pieces,
    pub(super) embedding: Matrix,
    pub(super) from_piece: Matrix,
    pub(super) from_state: Matrix,
    pub(super) back: Matrix,
    pub(super) gate_bias: Vec<f32>,
    pub(super) back_bias: Vec<f32>,
    pub(super) piece_bias: Vec<f32>,
}

impl Weights {
    /// Those that are built in; `None` where the file is none.
    pub(super) fn built_in() -> Option<&'static Self> {
        WEIGHTS.as_ref()
    }

    fn read(file: &'static [u8]) -> Option<Self> {
        let mut file = File(file);
        if file.bytes(4)? != b"PWLM" || file.number()? != 1 {
            return None;
        }
        let (pieces, embedded, state) = (file.number()?, file.number()?, file.number()?);
        if embedded % TOGETHER + state % TOGETHER > 0 {
            return None;
        }
        let mut texts = Vec::with_capacity(pieces);
        for _ in 0..pieces {
            let length = *file.bytes(1)?.first()?;
            texts.push(std::str::from_utf8(file.bytes(length.into())?).ok()?);
        }
        let weights = Self {
            pieces: Pieces::new(texts)?,
            embedding: file.matrix(pieces, embedded)?,
            from_piece: file.matrix(4 * state, embedded)?,
            from_state: file.matrix(4 * state, state)?,
            back: file.matrix(embedded, state)?,
            gate_bias: file.floats(4 * state)?,
            back_bias: file.floats(embedded)?,
            piece_bias: file.floats(pieces)?,
        };
        file.0.is_empty().then_some(weights)
    }
}

impl Matrix {
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// A row's numbers, and what one is worth.
    pub(super) fn row(&self, row: usize) -> Option<(&[u8], f32)> {
        let numbers = self.numbers.get(row * self.columns..(row + 1) * self.columns)?;
        Some((numbers, *self.worth.get(row)?))
    }

    /// Adds the product with a vector, one of whose numbers is worth so much, to `out`.
    pub(super) fn add_product(&self, vector: &[i16], worth: f32, out: &mut [f32]) {
        let rows = self.numbers.chunks_exact(self.columns);
        for ((row, own), out) in rows.zip(&self.worth).zip(out) {
            *out += dot(row, vector) as f32 * own * worth;
        }
    }
}

/// How many products are summed at a time; rows are a multiple of it.
const TOGETHER: usize = 16;

/// Sums in whole numbers, which come out the same in whatever order a machine adds them up. No vector has more than 400 numbers
/// of 8,191 at most, so that no sum overflows.
///
/// Written out: a third faster than a loop in what is optimised, and twice as fast in what is not, in which tests run.
fn dot(row: &[u8], vector: &[i16]) -> i32 {
    let (rows, vectors) = (row.as_chunks::<TOGETHER>().0, vector.as_chunks::<TOGETHER>().0);
    let count = rows.len().min(vectors.len());
    let (rows, vectors) = (&rows[..count], &vectors[..count]);
    let (mut sum, mut at) = (0, 0);
    while at < count {
        let (r, v) = (&rows[at], &vectors[at]);
        sum += r[0] as i8 as i32 * v[0] as i32
            + r[1] as i8 as i32 * v[1] as i32
            + r[2] as i8 as i32 * v[2] as i32
            + r[3] as i8 as i32 * v[3] as i32
            + r[4] as i8 as i32 * v[4] as i32
            + r[5] as i8 as i32 * v[5] as i32
            + r[6] as i8 as i32 * v[6] as i32
            + r[7] as i8 as i32 * v[7] as i32
            + r[8] as i8 as i32 * v[8] as i32
            + r[9] as i8 as i32 * v[9] as i32
            + r[10] as i8 as i32 * v[10] as i32
            + r[11] as i8 as i32 * v[11] as i32
            + r[12] as i8 as i32 * v[12] as i32
            + r[13] as i8 as i32 * v[13] as i32
            + r[14] as i8 as i32 * v[14] as i32
            + r[15] as i8 as i32 * v[15] as i32;
        at += 1;
    }
    sum
}

/// What has not been read yet.
struct File(&'static [u8]);

impl File {
    fn bytes(&mut self, count: usize) -> Option<&'static [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<usize> {
        let bytes = self.bytes(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn floats(&mut self, count: usize) -> Option<Vec<f32>> {
        let (floats, _) = self.bytes(count.checked_mul(4)?)?.as_chunks();
        Some(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Option<Matrix> {
        let worth = self.floats(rows)?;
        Some(Matrix { columns, worth, numbers: self.bytes(rows.checked_mul(columns)?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole_and_one_that_is_not_is_refused() {
        let weights = Weights::built_in().unwrap();
        let states = weights.from_state.columns();
        assert_eq!(weights.from_piece.worth.len(), 4 * states);
        assert!(states <= 400 && FILE.len() < 1_500_000);
        for wrong in [&FILE[..0], &FILE[1..], &FILE[..4_000], &FILE[..FILE.len() - 1]] {
            assert!(Weights::read(wrong).is_none());
        }
    }

    #[test]
    fn a_product_is_what_it_is_by_hand() {
        let numbers: &'static [u8] = [[1, 0xff].repeat(8), [0x81, 0x7f].repeat(8)].concat().leak();
        let matrix = Matrix { columns: 16, worth: vec![0.5, 2.0], numbers };
        let mut out = [1.0, 0.0];
        matrix.add_product(&[[10, 3].repeat(4), [-20, 1].repeat(4)].concat(), 0.1, &mut out);
        assert!((out[0] - (1.0 + (-40.0 - 16.0) * 0.05)).abs() < 1e-5);
        assert!((out[1] - (5_080.0 + 2_032.0) * 0.2).abs() < 1e-3);
    }
}
