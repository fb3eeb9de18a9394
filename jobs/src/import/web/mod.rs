//! A file from an address on the web. Every call goes through the [`Outgoing`] guard, those that redirects lead to as well. A
//! connection that is cut is gone on with where it was, if the server can say that the file is still the same one, and begun
//! anew if not; so often, and no more. Must not know: what is in the file.

use std::time::Duration;

use bytes::BytesMut;
use presswork::{
    domain::{Clock, Failure, Reason},
    security::outgoing::{
        HeaderMap, HeaderName, HeaderValue, Method, Outgoing, OutgoingError, OutgoingStream, StatusCode, Url,
    },
};
use tokio::time::{sleep, timeout};

use super::{arriving::Arriving, handed::SourceUrl};
use crate::{
    model::wait::retry_after,
    scratch::{Scratch, SealedFile},
};

mod name;
mod part;
#[cfg(test)]
mod tests;

use name::name_of;
use part::{Held, Part};

/// How long is waited, and how often something is tried again.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// For an answer's head.
    pub(super) head: Duration,
    /// From one byte to the next.
    pub(super) idle: Duration,
    /// For [`Patience::least`] bytes.
    pub(super) window: Duration,
    /// What has to come in a window: a server that drips keeps a worker busy.
    pub(super) least: usize,
    /// For all of it, pauses included.
    pub(super) whole: Duration,
    /// Before the first call again; twice as long before each further one, where nothing comes.
    pub(super) pause: Duration,
    /// No pause is longer: where a server asks for more, the attempt ends.
    pub(super) longest_pause: Duration,
    /// How often a connection may be cut.
    pub(super) cuts: u32,
    /// How often in a row without having brought much.
    pub(super) barren_cuts: u32,
    /// How often the file is begun anew.
    pub(super) anew: u32,
    /// How many redirects are followed.
    pub(super) redirects: u32,
}

impl Patience {
    pub(super) const USUAL: Self = Self {
        head: Duration::from_secs(30),
        idle: Duration::from_secs(30),
        window: Duration::from_secs(30),
        least: 64 << 10,
        whole: Duration::from_secs(40 * 60),
        pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(30),
        cuts: 50,
        barren_cuts: 4,
        anew: 3,
        redirects: 5,
    };
}

/// A file to be fetched.
pub(super) struct Fetch<'a> {
    pub(super) outgoing: &'a Outgoing,
    pub(super) url: &'a SourceUrl,
    /// How many bytes it has at most.
    pub(super) most: u64,
    /// What is said where it has more.
    pub(super) too_large: &'a str,
    pub(super) patience: &'a Patience,
    pub(super) clock: &'a dyn Clock,
    /// Is told how many bytes have come, and of how many (0: nobody knows).
    pub(super) tell: &'a (dyn Fn(u64, u64) + Send + Sync),
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) bytes: u64,
    /// As the answer or the address calls it.
    pub(super) name: String,
}

/// Why a call brought not all that is missing.
enum Missed {
    /// It was cut: more may come by another one.
    Cut(String),
    /// The server asks to come back later.
    Busy(String, Option<Duration>),
    /// Another call helps no more.
    Ended(Failure),
}

impl Fetch<'_> {
    /// Fetches it to a new file.
    ///
    /// # Errors
    /// `Fatal` where it can't be had or is too large; `Retry` where it may be had later.
    pub(super) async fn to(self, scratch: &Scratch) -> Result<(Fetched, SealedFile), Failure> {
        let whole = self.patience.whole;
        let fetched = timeout(whole, self.all(scratch)).await;
        fetched.unwrap_or_else(|_| Err(self.retry(&format!("it was not here within {whole:?}"), None)))
    }

    async fn all(&self, scratch: &Scratch) -> Result<(Fetched, SealedFile), Failure> {
        let mut file = Arriving::create(scratch).await?;
        let (mut held, mut cuts, mut barren) = (Held::default(), 0_u32, 0_u32);
        loop {
            let before = held.bytes;
            let (reason, after) = match self.call(&mut file, &mut held).await {
                Ok(()) => break,
                Err(Missed::Ended(failure)) => return Err(failure),
                Err(Missed::Cut(reason)) => (reason, None),
                Err(Missed::Busy(reason, after)) => {
                    // Nothing is lost by leaving the worker to others.
                    if held.bytes == 0 {
                        return Err(self.retry(&reason, after));
                    }
                    (reason, after)
                }
            };
            cuts += 1;
            let brought = held.bytes.saturating_sub(before);
            barren = if brought >= self.patience.least as u64 { 0 } else { barren + 1 };
            if cuts > self.patience.cuts || barren > self.patience.barren_cuts {
                return Err(self.retry(&reason, after));
            }
            let pause = self.patience.pause * 2_u32.pow(barren.min(5));
            let pause = pause.max(after.unwrap_or_default());
            if pause > self.patience.longest_pause {
                return Err(self.retry(&reason, after));
            }
            sleep(pause).await;
        }
        Ok((Fetched { bytes: held.bytes, name: held.name }, file.finish().await?))
    }

    /// One call for what is missing.
    async fn call(&self, file: &mut Arriving, held: &mut Held) -> Result<(), Missed> {
        let (mut answer, url) = self.ask(held).await?;
        match answer.status.as_u16() {
            200 | 203 => self.begin(file, held, &answer.headers, &url).await?,
            206 if held.bytes > 0 => match held.judge(&answer.headers) {
                Part::GoesOn(total) => held.total = held.total.or(total),
                Part::Other(why) => {
                    self.forget(file, held).await?;
                    return Err(Missed::Cut(why.to_owned()));
                }
            },
            416 if held.bytes > 0 && held.is_all(&answer.headers) => return Ok(()),
            416 if held.bytes > 0 => {
                self.forget(file, held).await?;
                return Err(Missed::Cut("the file has become shorter meanwhile".to_owned()));
            }
            status => return Err(self.refusal(status, &answer.headers)),
        }
        let ended = self.read(&mut answer, file, held).await;
        (self.tell)(held.bytes, held.total.unwrap_or(0));
        ended?;
        match held.total {
            Some(total) if held.bytes < total => {
                Err(Missed::Cut(format!("only {} of {total} bytes came", held.bytes)))
            }
            Some(total) if held.bytes > total => {
                self.forget(file, held).await?;
                Err(Missed::Cut(format!("more than the {total} bytes came that the server had said")))
            }
            _ => Ok(()),
        }
    }

    /// Asks for what is missing, and once more wherever a redirect leads.
    async fn ask(&self, held: &Held) -> Result<(OutgoingStream, Url), Missed> {
        let mut url = self.url.whole().to_owned();
        for hop in 0..=self.patience.redirects {
            let told = |error| self.not_called(error, hop);
            let here = self.outgoing.check(&url).map_err(told)?;
            let mut request = self
                .outgoing
                .request(Method::GET, &url)
                .map_err(told)?
                .showing_redirects()
                .within(self.patience.whole)
                .at_most(usize::MAX)
                .header(HeaderName::from_static("accept"), HeaderValue::from_static("*/*"))
                .header(HeaderName::from_static("accept-encoding"), HeaderValue::from_static("identity"));
            for (name, value) in held.conditions() {
                request = request.header(name, value);
            }
            let answer = request.stream(self.patience.head).await.map_err(told)?;
            if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((answer, here));
            }
            let location = answer.headers.get("location").and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| here.join(location).ok());
            let Some(next) = next else {
                return Err(self.ended("the server redirects to nowhere"));
            };
            url = next.into();
        }
        Err(self.ended(&format!("the server redirects more than {} times", self.patience.redirects)))
    }

    /// A file begins: what was held of it counts no more.
    async fn begin(
        &self,
        file: &mut Arriving,
        held: &mut Held,
        headers: &HeaderMap,
        url: &Url,
    ) -> Result<(), Missed> {
        let encoding = headers.get("content-encoding").map(HeaderValue::as_bytes).unwrap_or_default();
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity") {
            return Err(self.ended("the server sends it compressed although it was asked not to"));
        }
        if held.bytes > 0 {
            self.forget(file, held).await?;
        }
        held.begin(headers, name_of(headers, url));
        if held.total.is_some_and(|total| total > self.most) {
            return Err(self.ended(self.too_large));
        }
        Ok(())
    }

    async fn forget(&self, file: &mut Arriving, held: &mut Held) -> Result<(), Missed> {
        held.anew += 1;
        if held.anew > self.patience.anew {
            let reason = "the file changes while it is fetched, or the server can't go on with it";
            return Err(Missed::Ended(self.retry(reason, None)));
        }
        *held = Held { anew: held.anew, ..Held::default() };
        file.anew().await.map_err(Missed::Ended)
    }

    /// Writes what comes.
    async fn read(
        &self,
        answer: &mut OutgoingStream,
        file: &mut Arriving,
        held: &mut Held,
    ) -> Result<(), Missed> {
        let Patience { window, least, idle, .. } = *self.patience;
        let mut piece = BytesMut::new();
        loop {
            let came = timeout(window, take(answer, &mut piece, least, idle)).await;
            if piece.len() as u64 > self.most.saturating_sub(held.bytes) {
                return Err(self.ended(self.too_large));
            }
            // What came before the cut is kept.
            file.write(&piece).await.map_err(Missed::Ended)?;
            held.bytes += piece.len() as u64;
            piece.clear();
            (self.tell)(held.bytes, held.total.unwrap_or(0));
            match came {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(error)) => return Err(self.not_called(error, 0)),
                Err(_) => return Err(Missed::Cut(format!("less than {least} bytes came in {window:?}"))),
            }
        }
    }

    fn not_called(&self, error: OutgoingError, hop: u32) -> Missed {
        match error {
            OutgoingError::Refused(why) if hop > 0 => {
                self.ended(&format!("the server redirects to an address that may not be called: {why}"))
            }
            OutgoingError::Refused(why) => {
                self.ended(&format!("the address may not be called: {why}. Upload the file instead"))
            }
            OutgoingError::Answer(why) => self.ended(why),
            error @ (OutgoingError::Unavailable(_) | OutgoingError::Cut(_)) => Missed::Cut(error.to_string()),
            error @ OutgoingError::Broken(_) => Missed::Ended(self.retry(&error.to_string(), None)),
        }
    }

    /// What a status means that is neither a file nor a part of one.
    fn refusal(&self, status: u16, headers: &HeaderMap) -> Missed {
        let named = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let named = named.map_or(status.to_string(), |reason| format!("{status} {reason}"));
        match status {
            401 | 403 | 407 => self.ended(&format!(
                "the server gives it to nobody without leave ({named}): use an address that anybody may fetch, or upload the file"
            )),
            404 | 410 => self.ended(&format!("there is nothing at that address ({named}): mend it")),
            408 | 425 | 429 | 500..=599 => {
                let after = retry_after(headers, self.clock.now());
                Missed::Busy(format!("the server answers {named}"), after)
            }
            _ => self.ended(&format!("the server answers {named} instead of a file")),
        }
    }

    fn ended(&self, why: &str) -> Missed {
        Missed::Ended(Failure::fatal(format_args!("{}: {why}", self.url)))
    }

    fn retry(&self, why: &str, after: Option<Duration>) -> Failure {
        Failure::Retry { reason: Reason::new(format!("{}: {why}", self.url)), after }
    }
}

/// What a header may hold, read in every way that one is.
#[cfg(test)]
pub(super) fn fuzz(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let mut headers = HeaderMap::new();
    for name in
        ["content-disposition", "content-type", "content-range", "content-length", "etag", "retry-after"]
    {
        headers.insert(HeaderName::from_static(name), value.clone());
    }
    let mut held = Held::default();
    let text = String::from_utf8_lossy(input);
    let urls = ["https://x/".to_owned(), format!("https://x/{text}"), format!("https://x/?{text}")];
    for url in urls.iter().filter_map(|url| Url::parse(url).ok()) {
        let name = name_of(&headers, &url);
        assert!(name.parse::<presswork::domain::FileName>().is_ok(), "{name:?}");
        held.begin(&headers, name);
    }
    held.bytes = 7;
    let _ = (held.conditions(), held.judge(&headers), held.is_all(&headers));
    let _ = (
        SourceUrl::new(text).to_string(),
        retry_after(&headers, presswork::domain::Timestamp::from_millis(0)),
    );
}

/// Takes so many bytes; `false` at the end. What has come stays in `piece` whatever happens.
async fn take(
    answer: &mut OutgoingStream,
    piece: &mut BytesMut,
    least: usize,
    idle: Duration,
) -> Result<bool, OutgoingError> {
    while piece.len() < least {
        let Some(chunk) = answer.chunk(idle).await? else { return Ok(false) };
        piece.extend_from_slice(&chunk);
    }
    Ok(true)
}
