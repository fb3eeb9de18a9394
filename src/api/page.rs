//! Listings in pages: `?limit=` and `?cursor=` in, `items` and `next` out. Must not know: what is listed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
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

    /// Where to go on in this very listing: what [`seal`](Self::seal) was given, where its words are the same.
    ///
    /// # Errors
    /// [`Problem`] where the cursor was not given out by this listing.
    pub(crate) fn place(&self, listing: &[&str]) -> Result<Option<String>, Problem> {
        self.cursor().map(|cursor| Self::open(listing, cursor)).transpose()
    }

    /// A place in a listing as callers see it: opaque, and of no use in another listing.
    pub(crate) fn seal(listing: &[&str], place: &str) -> String {
        let mut bytes = checksum(listing, place).to_be_bytes().to_vec();
        bytes.extend_from_slice(place.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor means.
    ///
    /// # Errors
    /// [`Problem`] where it was not given out by this listing.
    pub(crate) fn open(listing: &[&str], cursor: &str) -> Result<String, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Self::bad_cursor())?;
        let (sum, place) = bytes.split_first_chunk::<4>().ok_or_else(Self::bad_cursor)?;
        let place = std::str::from_utf8(place).map_err(|_| Self::bad_cursor())?;
        if checksum(listing, place) != u32::from_be_bytes(*sum) {
            return Err(Self::bad_cursor());
        }
        Ok(place.to_owned())
    }

    /// The problem of a cursor that nobody gave out.
    pub fn bad_cursor() -> Problem {
        Problem::at(ProblemType::Invalid, "cursor", "not one that was given out here: start without")
    }
}

/// Tells cursors of one listing from those of another, and from what nobody gave out. It keeps no secret: whoever makes up a
/// place finds what the listing would have shown him anyway.
fn checksum(listing: &[&str], place: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for word in listing.iter().chain([&place]) {
        hasher.update(word.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize()
}

/// A piece of a listing.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageOf<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `cursor` to go on; null at the end. A page may be short, or empty, and yet have one.
    #[schema(required = true)]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_in_the_listing_that_gave_it_out_and_nowhere_else() {
        let listing = ["jobs", "acme", "", "export"];
        let cursor = PageQuery::seal(&listing, "job_1");
        assert_eq!(PageQuery::open(&listing, &cursor).unwrap(), "job_1");
        assert!(PageQuery::open(&["jobs", "globex", "", "export"], &cursor).is_err());
        assert!(PageQuery::open(&["jobs", "acme", "export", ""], &cursor).is_err());
        for forged in ["", "x", "job_1", "????", "AAAA", "\u{e9}", &cursor[1..], &format!("{cursor}A")] {
            assert!(PageQuery::open(&listing, forged).is_err(), "{forged}");
        }
    }
}
