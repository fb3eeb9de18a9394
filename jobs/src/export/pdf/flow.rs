//! Rows become pages: collects rows until they fill a page, and parts them where it looks best. Must not know: what
//! stands in the rows, or how pages are written.

use pdf_writer::Ref;

use super::text::Piece;

/// Something that is drawn, from the left edge of the text and up from the row's base line.
#[derive(Clone, Debug)]
pub(super) enum Ink {
    /// Text; its own place is in it.
    Text { x: f32, piece: Piece },
    /// A filled rectangle that means nothing.
    Rule { x: f32, y: f32, width: f32, height: f32, grey: f32 },
    /// Dots that lead the eye.
    Leader { x: f32, width: f32 },
    /// A picture.
    Picture { x: f32, y: f32, width: f32, height: f32, picture: Ref, mark: u32 },
}

/// A line across the text, the unit of which pages are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Room above, which the first row of a page does not have.
    pub(super) above: f32,
    /// Room above the base line.
    pub(super) ascent: f32,
    /// Room below the base line.
    pub(super) descent: f32,
    /// Not to be parted from the row before.
    pub(super) keep: bool,
    /// Part of the table whose head is repeated.
    pub(super) in_table: bool,
    /// What is drawn.
    pub(super) ink: Vec<Ink>,
    /// Destinations that lead here.
    pub(super) places: Vec<Ref>,
}

impl Row {
    fn height(&self, is_first: bool) -> f32 {
        self.ascent + self.descent + if is_first { 0.0 } else { self.above }
    }
}

/// Rows that wait for their page.
#[derive(Debug)]
pub(super) struct Flow {
    rows: Vec<Row>,
    /// How high they are together.
    filled: f32,
    /// How high a page is.
    height: f32,
    /// How many rows came in, and how many went out.
    pushed: u64,
    shipped: u64,
    keep_next: bool,
    head: Vec<Row>,
    /// How many of the rows repeat the table's head.
    repeated: usize,
}

impl Flow {
    /// For pages of this height.
    pub(super) fn new(height: f32) -> Self {
        Self {
            rows: Vec::new(),
            filled: 0.0,
            height,
            pushed: 0,
            shipped: 0,
            keep_next: false,
            head: Vec::new(),
            repeated: 0,
        }
    }

    /// How many rows came in so far.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many of them stand on pages.
    pub(super) fn shipped(&self) -> u64 {
        self.shipped
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The next row stays with the last one.
    pub(super) fn keep_next(&mut self) {
        self.keep_next = true;
    }

    /// Repeats these rows above rows of the table on a new page. Nothing is repeated once they are empty.
    pub(super) fn repeat(&mut self, head: Vec<Row>) {
        let height: f32 = head.iter().map(|row| row.height(false)).sum();
        self.head = if height < self.height / 3.0 { head } else { Vec::new() };
    }

    /// Takes a row. Afterwards [`Self::overfull`] is to be asked until it has no more pages.
    pub(super) fn push(&mut self, mut row: Row) {
        row.keep |= std::mem::take(&mut self.keep_next);
        self.filled += row.height(self.rows.is_empty());
        self.rows.push(row);
        self.pushed += 1;
    }

    /// A page, where there is more than fits on one.
    pub(super) fn overfull(&mut self) -> Option<Vec<Row>> {
        // Sums of thousands of heights are not exact.
        if self.filled <= self.height + 0.01 || self.rows.len() < 2 {
            return None;
        }
        let at = self.best_break();
        let rest = self.rows.split_off(at);
        Some(self.begin_page(rest))
    }

    /// Whatever waits, as the last page.
    pub(super) fn flush(&mut self) -> Option<Vec<Row>> {
        self.keep_next = false;
        if self.rows.is_empty() { None } else { Some(self.begin_page(Vec::new())) }
    }

    fn begin_page(&mut self, rest: Vec<Row>) -> Vec<Row> {
        let page = std::mem::replace(&mut self.rows, rest);
        self.shipped += (page.len() - self.repeated) as u64;
        self.repeated = 0;
        if self.rows.first().is_some_and(|row| row.in_table) && !self.head.is_empty() {
            self.repeated = self.head.len();
            self.rows.splice(0..0, self.head.iter().cloned());
        }
        self.filled = self.rows.iter().enumerate().map(|(at, row)| row.height(at == 0)).sum();
        page
    }

    /// The last place before the overflow where rows may be parted; the last one at all where that would leave more
    /// than the half of the page empty.
    fn best_break(&self) -> usize {
        let (mut filled, mut last, mut allowed) = (0.0, 1, None);
        for (at, row) in self.rows.iter().enumerate() {
            if at > self.repeated && filled <= self.height + 0.01 {
                last = at;
                if !row.keep && filled > self.height / 2.0 {
                    allowed = Some(at);
                }
            }
            filled += row.height(at == 0);
        }
        let last = last.max(self.repeated + 1).min(self.rows.len() - 1).max(1);
        allowed.unwrap_or(last)
    }
}
