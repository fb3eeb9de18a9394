//! Listings in pages: `?limit=` and `?cursor=` in, `items` and `next` out. Must not know: what is listed.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Problem, ProblemType};

/// The most items of a page.
const MOST: usize = 200;
/// Where nobody says.
const USUAL: usize = 50;

/// Which piece of a listing is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items at most: 1 to 200, 50 where nothing is said
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Where to go on: `next` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

impl PageQuery {
    /// How many items at most.
    ///
    /// # Errors
    /// [`Problem`] where it is out of bounds.
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if (1..=MOST).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::at(ProblemType::Invalid, "limit", format_args!("choose 1 to {MOST}")))
    }

    /// Where to go on.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The problem of a cursor that nobody gave out.
    pub fn bad_cursor() -> Problem {
        Problem::at(ProblemType::Invalid, "cursor", "not one that was given out here: start without")
    }
}

/// A piece of a listing.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageOf<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `cursor` to go on; null at the end. A page may be short, or empty, and yet have one.
    pub next: Option<String>,
}
