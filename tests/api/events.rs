//! `/v1/jobs/{job}/events`: streams, by both ways.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream::BoxStream};
use presswork::{
    config::Settings,
    domain::{JobId, TenantId, Timestamp},
    engine::Engine,
    security::{
        Acting,
        access::Role,
        api_keys::{ApiKeys, NewApiKey},
        sessions::Beginning,
        users::NewUser,
    },
};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::CloseFrame},
};

use crate::{servers::RedisServer, world::World};

/// Nothing takes so long unless it hangs.
const LONG: Duration = Duration::from_secs(60);
const PERMISSIONS: [&str; 2] = ["jobs:create", "jobs:read"];

/// A stream of server-sent events, read.
pub(crate) struct Sse {
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    text: String,
}

impl Sse {
    pub(crate) async fn open(world: &World, key: &str, job: JobId, after: Option<u64>) -> Self {
        Self::of(ask(world, key, job, after).await)
    }

    fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { bytes: response.bytes_stream().boxed(), text: String::new() }
    }

    /// The next block of lines; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let bytes = timeout(LONG, self.bytes.next()).await.unwrap()?.unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event: its id and its data.
    pub(crate) async fn event(&mut self) -> Option<(u64, Value)> {
        loop {
            let block = self.block().await?;
            let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(id), Some(data)) = (line("id: "), line("data: ")) {
                return Some((id.parse().unwrap(), serde_json::from_str(data).unwrap()));
            }
        }
    }
}

async fn ask(world: &World, key: &str, job: JobId, after: Option<u64>) -> Response {
    let mut request = world.request(Method::GET, &format!("/v1/jobs/{job}/events"), key);
    if let Some(after) = after {
        request = request.header("last-event-id", after.to_string());
    }
    request.send().await.unwrap()
}

type Socket = WebSocketStream<TcpStream>;

async fn socket(world: &World, key: &str, job: JobId, after: u64) -> Result<Socket, Error> {
    let url = format!("ws://{}/v1/jobs/{job}/events/ws?after={after}", world.address);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    let stream = TcpStream::connect(world.address).await.unwrap();
    client_async(request, stream).await.map(|(socket, _)| socket)
}

/// The sequence numbers that a socket tells, and how it was closed.
async fn told(socket: &mut Socket) -> (Vec<u64>, Option<CloseFrame>) {
    let mut told = Vec::new();
    loop {
        match timeout(LONG, socket.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => {
                told.push(serde_json::from_str::<Value>(&text).unwrap()["sequence"].as_u64().unwrap());
            }
            Some(Ok(Message::Close(frame))) => return (told, frame),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (told, None),
        }
    }
}

/// The whole life of a job, followed, on an engine.
async fn followed(world: World) {
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    let mut stream = Sse::open(&world, &key, job, None).await;
    assert!(stream.block().await.unwrap().starts_with("retry: "));

    let lease = world.claim().await;
    let (id, first) = stream.event().await.unwrap();
    assert_eq!((id, &first["type"], &first["state"]), (1, &"state".into(), &"running".into()));
    world.report(&lease, 50.0).await;
    let (id, progress) = stream.event().await.unwrap();
    assert_eq!((id, &progress["percent"]), (2, &50.0.into()));
    // One who comes later misses nothing, and two share what comes.
    let mut later = Sse::open(&world, &key, job, Some(1)).await;
    assert_eq!(later.event().await.unwrap().0, 2);
    world.complete(&lease).await;
    for stream in [&mut stream, &mut later] {
        let (id, last) = stream.event().await.unwrap();
        assert_eq!((id, &last["state"]), (3, &"completed".into()));
        assert_eq!(stream.block().await, None);
    }

    assert_eq!(ask(&world, &key, job, Some(3)).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(Sse::open(&world, &key, job, Some(2)).await.event().await.unwrap().0, 3);
    let query = format!("/v1/jobs/{job}/events?after=2");
    let mut queried = Sse::of(world.request(Method::GET, &query, &key).send().await.unwrap());
    assert_eq!(queried.event().await.unwrap().0, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_as_they_come_and_the_stream_ends_after_the_last() {
    followed(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_as_they_come_on_redis_too() {
    let redis = RedisServer::start();
    followed(World::on(&redis).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_events_are_those_of_no_job_and_a_strange_place_is_refused() {
    let world = World::start().await;
    let key = world.key("acme", &PERMISSIONS).await;
    let other = world.key("globex", &PERMISSIONS).await;
    let job = world.job(&key).await;
    let (status, hidden) = world.get(&format!("/v1/jobs/{job}/events"), &other).await;
    let (_, unknown) = world.get("/v1/jobs/job_00000000000000000000000000/events", &other).await;
    assert_eq!((status, &hidden["title"]), (StatusCode::NOT_FOUND, &unknown["title"]));
    assert!(
        matches!(socket(&world, &other, job, 0).await, Err(Error::Http(answer)) if answer.status() == 404)
    );
    let strange = world.request(Method::GET, &format!("/v1/jobs/{job}/events"), &key);
    let strange = strange.header("last-event-id", "-1").send().await.unwrap();
    assert_eq!(strange.status(), StatusCode::BAD_REQUEST);
    let (status, plain) = world.get(&format!("/v1/jobs/{job}/events/ws"), &key).await;
    assert_eq!((status, &plain["type"]), (StatusCode::BAD_REQUEST, &"urn:presswork:problem:invalid".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_a_place_that_nobody_has_got_to_keeps_nobody_waiting() {
    let world = World::start().await;
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    let mut far = Sse::open(&world, &key, job, Some(u64::MAX)).await;
    assert!(far.block().await.unwrap().starts_with("retry: "));
    let mut ahead = Sse::open(&world, &key, job, Some(1)).await;
    let mut near = Sse::open(&world, &key, job, None).await;
    let lease = world.claim().await;
    assert_eq!(near.event().await.unwrap().0, 1);
    world.complete(&lease).await;
    assert_eq!(near.event().await.unwrap().0, 2);
    assert_eq!(ahead.event().await.unwrap().0, 2);
    assert_eq!(far.block().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_subscribers_all_hear_one_event() {
    const SUBSCRIBERS: usize = 300;
    let world = World::start().await;
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    let lease = world.claim().await;
    let mut streams = Vec::with_capacity(SUBSCRIBERS);
    for _ in 0..SUBSCRIBERS {
        let mut stream = Sse::open(&world, &key, job, None).await;
        assert_eq!(stream.event().await.unwrap().0, 1);
        streams.push(stream);
    }
    let metrics = world.key("acme", &["status:read"]).await;
    let (_, report) = world.get("/v1/status/performance", &metrics).await;
    assert_eq!(report["streams_open"], SUBSCRIBERS);
    let begun = tokio::time::Instant::now();
    world.report(&lease, 10.0).await;
    let hearing = streams.iter_mut().map(|stream| async move { stream.event().await.unwrap().0 });
    let heard = futures_util::future::join_all(hearing).await;
    assert_eq!(heard, vec![2; SUBSCRIBERS]);
    eprintln!("{SUBSCRIBERS} subscribers heard it within {:?}", begun.elapsed());
    world.complete(&lease).await;
    let ends = streams
        .iter_mut()
        .map(|stream| async move { (stream.event().await.unwrap().0, stream.block().await) });
    assert_eq!(futures_util::future::join_all(ends).await, vec![(3, None); SUBSCRIBERS]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_a_hint_when_the_server_stops() {
    let world = World::start().await;
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    world.claim().await;
    let mut stream = Sse::open(&world, &key, job, None).await;
    let mut socket = socket(&world, &key, job, 0).await.unwrap();
    stream.event().await.unwrap();
    assert!(matches!(timeout(LONG, socket.next()).await.unwrap(), Some(Ok(Message::Text(_)))));
    world.stopping.cancel();
    let hint = stream.block().await.unwrap();
    assert!(hint.starts_with("retry: "), "{hint}");
    assert_eq!(stream.block().await, None);
    let (told, close) = told(&mut socket).await;
    assert_eq!((told, u16::from(close.unwrap().code)), (vec![], 1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_one_of_its_address_connections_and_the_server_waits_for_its_end() {
    let mut world = World::start_with(|settings| settings.api.most_connections_per_address = Some(2)).await;
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    let mut first = socket(&world, &key, job, 0).await.unwrap();
    // The other one is the client's that has made the job.
    assert!(socket(&world, &key, job, 0).await.is_err());
    world.stopping.cancel();
    // He has not said goodbye yet.
    assert!(timeout(Duration::from_millis(500), &mut world.served).await.is_err());
    assert_eq!(u16::from(told(&mut first).await.1.unwrap().code), 1001);
    timeout(LONG, &mut world.served).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_their_credential_does() {
    let world = World::start().await;
    let maker = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&maker).await;
    world.claim().await;
    let now: Timestamp = world.engine.clock.now();
    let new = NewApiKey {
        tenant: "acme".parse().unwrap(),
        name: "short".to_owned(),
        grants: ["jobs:read"].iter().map(|name| name.parse().unwrap()).collect(),
        from: Vec::new(),
        expires_at: Some(now.after(Duration::from_secs(5))),
    };
    let key = world
        .engine
        .api_keys
        .create(new, &presswork::security::Acting::command_line())
        .await
        .unwrap()
        .1
        .reveal()
        .to_owned();
    let mut stream = Sse::open(&world, &key, job, None).await;
    let mut socket = socket(&world, &key, job, 0).await.unwrap();
    assert_eq!(stream.event().await.unwrap().0, 1);
    assert!(stream.block().await.unwrap().starts_with("retry: "));
    assert_eq!(stream.block().await, None);
    assert_eq!(u16::from(told(&mut socket).await.1.unwrap().code), 1008);
}

/// Another process on the same store revokes, ends and demotes.
#[tokio::test(flavor = "multi_thread")]
async fn streams_end_within_seconds_when_another_process_takes_the_credential_away() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let world = World::start_with(|settings| settings.data_dir = data_dir.clone()).await;
    let other = Engine::connect(&Settings { data_dir, ..Settings::default() }).await.unwrap();
    let (acme, kept) = ("acme".parse::<TenantId>().unwrap(), world.key("acme", &PERMISSIONS).await);
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    world.claim().await;
    let new = NewUser {
        tenant: acme.clone(),
        name: "jo".parse().unwrap(),
        role: Role::Producer,
        password: None,
        created_by: "test".to_owned(),
    };
    let user = other.identity.users.create(new).await.unwrap();
    let by = Beginning { method: "password".to_owned(), address: None, agent: None };
    let (session, text) = other.sessions.begin(&user, by).await.unwrap();
    let url = format!("http://{}/v1/jobs/{job}/events", world.address);
    let browser = world.client.get(url).header("cookie", format!("__Host-presswork={}", text.reveal()));

    let mut stays = Sse::open(&world, &kept, job, None).await;
    let mut revoked = Sse::open(&world, &key, job, None).await;
    let mut socket = socket(&world, &key, job, 0).await.unwrap();
    let mut logged_out = Sse::of(browser.send().await.unwrap());
    for stream in [&mut stays, &mut revoked, &mut logged_out] {
        assert_eq!(stream.event().await.unwrap().0, 1);
    }
    let begun = std::time::Instant::now();
    let id = ApiKeys::id_of(&key.parse().unwrap());
    other.api_keys.revoke(&acme, &id, &Acting::system()).await.unwrap().unwrap();
    other.sessions.end(&acme, &user.id, &session.id).await.unwrap().unwrap();
    for stream in [&mut revoked, &mut logged_out] {
        let hint = timeout(LONG, stream.block()).await.unwrap().unwrap();
        assert!(hint.starts_with("retry: "), "{hint}");
        assert_eq!(stream.block().await, None);
    }
    assert_eq!(u16::from(told(&mut socket).await.1.unwrap().code), 1008);
    println!("streams ended {:?} after their credentials", begun.elapsed());
    assert_eq!(ask(&world, &key, job, None).await.status(), StatusCode::UNAUTHORIZED);
    assert!(timeout(Duration::from_millis(100), stays.block()).await.is_err(), "another key's goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_no_more_streams_than_it_may_and_others_have_theirs() {
    let world = World::start_with(|settings| settings.api.most_streams = 2).await;
    let (key, other) = (world.key("acme", &PERMISSIONS).await, world.key("globex", &PERMISSIONS).await);
    let (job, others) = (world.job(&key).await, world.job(&other).await);
    let first = Sse::open(&world, &key, job, None).await;
    let _second = socket(&world, &key, job, 0).await.unwrap();
    let refused = ask(&world, &key, job, None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let (status, problem) = world.get(&format!("/v1/jobs/{job}/wait"), &key).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::TOO_MANY_REQUESTS, &"urn:presswork:problem:limit-reached".into())
    );
    Sse::open(&world, &other, others, None).await;
    drop(first);
    let freed = async {
        while ask(&world, &key, job, None).await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, freed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_tells_the_same_and_why_it_closes() {
    let world = World::start().await;
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    let (mut all, mut some) =
        (socket(&world, &key, job, 0).await.unwrap(), socket(&world, &key, job, 1).await.unwrap());
    let lease = world.claim().await;
    world.report(&lease, 20.0).await;
    world.complete(&lease).await;
    let (told_all, close) = told(&mut all).await;
    assert_eq!((told_all, u16::from(close.unwrap().code)), (vec![1, 2, 3], 1000));
    assert_eq!(told(&mut some).await.0, [2, 3]);
    let (nothing, close) = told(&mut socket(&world, &key, job, 3).await.unwrap()).await;
    assert_eq!((nothing, close.unwrap().reason.as_str()), (Vec::new(), "the job has ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_too_much_at_once_is_shown_out() {
    let world = World::start().await;
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    world.claim().await;
    let mut socket = socket(&world, &key, job, 0).await.unwrap();
    socket.send(Message::text("a word")).await.unwrap();
    assert!(matches!(timeout(LONG, socket.next()).await.unwrap(), Some(Ok(Message::Text(_)))));
    socket.send(Message::text("x".repeat(4 << 10))).await.unwrap();
    let (_, close) = told(&mut socket).await;
    assert!(close.is_none_or(|frame| u16::from(frame.code) == 1009));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_stop_talking_is_shown_out() {
    let world = World::start().await;
    let key = world.key("acme", &PERMISSIONS).await;
    let job = world.job(&key).await;
    let mut socket = socket(&world, &key, job, 0).await.unwrap();
    for _ in 0..200 {
        if socket.send(Message::text("a word")).await.is_err() {
            break;
        }
    }
    let (_, close) = told(&mut socket).await;
    assert!(close.is_none_or(|frame| u16::from(frame.code) == 1008));
}
