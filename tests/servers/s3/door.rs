//! The door before a server: every request passes it, is counted, and is held or broken where a test has ordered so.
//!
//! A request that has come whole is done on a task of its own, so that a client that dies in the middle leaves it done or
//! not done, never half: as behind a real door.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    http::request::Parts,
};
use s3s::service::S3Service;
use tokio::sync::watch;

use super::{
    count::{Asked, Figures, Operation},
    orders::{Fault, Moment, Ordered, Orders},
};

pub(in crate::servers) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(in crate::servers) type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Who answers behind a door.
#[async_trait]
pub(in crate::servers) trait Behind: Send + Sync + 'static {
    /// What a request asks for.
    fn asked(&self, request: &Request<()>) -> Asked {
        Asked::of(request)
    }

    /// Does it.
    async fn answer(&self, request: Request<Bytes>) -> Result<Answer, BoxError>;
}

#[async_trait]
impl Behind for S3Service {
    async fn answer(&self, request: Request<Bytes>) -> Result<Answer, BoxError> {
        let answer = self.call(request.map(s3s::Body::from)).await.map_err(|error| format!("{error:?}"))?;
        Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

pub(super) struct Door {
    server: Box<dyn Behind>,
    figures: watch::Sender<Figures>,
    orders: Arc<Orders>,
}

impl Door {
    pub(super) fn new(server: Box<dyn Behind>, figures: watch::Sender<Figures>, orders: Arc<Orders>) -> Self {
        Self { server, figures, orders }
    }

    /// Takes a request from its connection; an error cuts the connection.
    pub(super) async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, BoxError> {
        let (head, body) = request.into_parts();
        let asked = self.server.asked(&Request::from_parts(head.clone(), ()));
        let ordered = self.orders.meet(&asked);
        self.figures.send_modify(|figures| figures.has_arrived(&asked));
        let _under_way = UnderWay::of(&asked, &self.figures);

        self.held(&ordered, Moment::Arrived).await?;
        let body = self.take(body, &ordered).await?;
        self.held(&ordered, Moment::Whole).await?;
        match ordered.fault {
            Some(Fault::InternalError) => {
                return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
            }
            Some(Fault::SlowDown) => return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
            Some(Fault::AccessDenied) => return Ok(refusal(StatusCode::FORBIDDEN, "AccessDenied")),
            Some(Fault::Silence) => return std::future::pending().await,
            _ => {}
        }
        let answer = tokio::spawn(self.clone().work(head, body, asked)).await??;
        self.held(&ordered, Moment::Done).await?;
        match ordered.fault {
            Some(Fault::LoseAnswer) => Err("the answer is lost".into()),
            Some(Fault::CutAnswer) => cut_in_the_middle(answer).await,
            _ => Ok(answer),
        }
    }

    /// Reads the body, stopping where something is ordered. An error where it ends early.
    async fn take(&self, mut body: Incoming, ordered: &Ordered) -> Result<Bytes, BoxError> {
        let (mut all, mut places) = (BytesMut::new(), ordered.body_places().into_iter().peekable());
        loop {
            while let Some(place) = places.next_if(|place| *place <= all.len()) {
                self.stop_at(place, ordered).await?;
            }
            let Some(frame) = body.frame().await else { break };
            if let Ok(data) = frame?.into_data() {
                self.figures.send_modify(|figures| figures.bytes_in += data.len() as u64);
                all.extend_from_slice(&data);
            }
        }
        for place in places {
            self.stop_at(place, ordered).await?;
        }
        Ok(all.freeze())
    }

    async fn stop_at(&self, place: usize, ordered: &Ordered) -> Result<(), BoxError> {
        if ordered.fault == Some(Fault::CutRequest(place)) {
            return Err("cut in the middle of the request".into());
        }
        self.held(ordered, Moment::Body(place)).await
    }

    /// Holds a request where that is ordered; an error where its connection is to be cut.
    async fn held(&self, ordered: &Ordered, moment: Moment) -> Result<(), BoxError> {
        if ordered.reach(moment) {
            self.figures.send_modify(|figures| figures.held += 1);
        }
        if ordered.pass(moment).await { Ok(()) } else { Err("cut where it was held".into()) }
    }

    /// Has the server do it, and counts it where it was done.
    async fn work(self: Arc<Self>, head: Parts, body: Bytes, asked: Asked) -> Result<Answer, BoxError> {
        let answer = self.server.answer(Request::from_parts(head, body)).await?;
        if !answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        if !matches!(asked.operation, Operation::CreateUpload | Operation::CompleteUpload) {
            self.figures.send_modify(|figures| figures.was_done(&asked, None));
            return Ok(Response::from_parts(head, body));
        }
        // The server still works while it answers these, and says in the text how it ended.
        let text = BodyExt::collect(body).await?.to_bytes();
        let words = String::from_utf8_lossy(&text);
        let id = between(&words, "<UploadId>", "</UploadId>").map(str::to_owned);
        if !words.contains("<Error>") {
            self.figures.send_modify(|figures| figures.was_done(&asked, id));
        }
        Ok(Response::from_parts(head, whole(text)))
    }
}

/// A part on its way, counted as long as it is.
struct UnderWay(Option<watch::Sender<Figures>>);

impl UnderWay {
    fn of(asked: &Asked, figures: &watch::Sender<Figures>) -> Self {
        let counted = (asked.operation == Operation::UploadPart).then(|| figures.clone());
        if let Some(figures) = &counted {
            figures.send_modify(|figures| {
                figures.parts_now += 1;
                figures.most_parts_at_once = figures.most_parts_at_once.max(figures.parts_now);
            });
        }
        Self(counted)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(figures) = &self.0 {
            figures.send_modify(|figures| figures.parts_now -= 1);
        }
    }
}

/// A body that is there at once.
pub(in crate::servers) fn whole(text: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in S3's words, which are Azure's and Google's as well.
pub(in crate::servers) fn refusal(status: StatusCode, code: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>as the test has ordered</Message></Error>"
    );
    let mut answer = Response::new(whole(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/xml"));
    answer
}

/// The head of an answer and the first half of its body; then the connection ends.
async fn cut_in_the_middle(answer: Answer) -> Result<Answer, BoxError> {
    let (mut head, body) = answer.into_parts();
    let text = BodyExt::collect(body).await?.to_bytes();
    if text.is_empty() {
        head.headers.remove(CONTENT_LENGTH);
    }
    let half = Frame::data(text.slice(..text.len() / 2));
    let end = stream::once(async {
        // Let what was said before go out.
        tokio::task::yield_now().await;
        Err::<Frame<Bytes>, BoxError>("cut in the middle of the answer".into())
    });
    let pieces = stream::iter([Ok(half)]).chain(end);
    Ok(Response::from_parts(head, StreamBody::new(pieces).boxed_unsync()))
}

pub(in crate::servers) fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    Some(text.split_once(from)?.1.split_once(to)?.0)
}
