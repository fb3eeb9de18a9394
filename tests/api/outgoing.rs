//! Calls whose addresses others have chosen: nothing private is reached by any spelling, name, redirect or flood.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use presswork::security::outgoing::{
    Lookup, Outgoing, OutgoingError, OutgoingRules, OutgoingStream, SystemLookup,
};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Spellings of what is private, after the list "Server Side Request Forgery" of PayloadsAllTheThings (MIT) and OWASP's cheat
/// sheet; each with https at a port that is allowed, so that only the host can be why it is refused.
const HOSTS: [&str; 61] = [
    "127.0.0.1",
    "127.127.127.127",
    "127.0.1.3",
    "127.0.0.0",
    "0.0.0.0",
    "[::]",
    "[::1]",
    "[0000::1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "2130706433",
    "3232235521",
    "3232235777",
    "2852039166",
    "017700000001",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0",
    "0x0",
    "00000",
    "127.0.0.1.",
    "10.1",
    "192.168.257",
    "169.254.169.254",
    "0xa9.0xfe.0xa9.0xfe",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "0251.254.169.254",
    "169.254.43518",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "①②⑦.⓪.⓪.①",
    "１２７．０．０．１",
    "127。0。0。1",
    "%31%32%37.0.0.1",
];

/// URLs whose form is why they are refused.
const URLS: [&str; 43] = [
    "http://1.1.1.1/",
    "http://example.org/",
    "http://localhost:80",
    "file:///etc/passwd",
    "file://path/to/file",
    "file://\\/\\/etc/passwd",
    "dict://1.1.1.1:11111/",
    "sftp://example.org:11111/",
    "tftp://example.org:12346/X",
    "ldap://localhost:11211/%0astats%0aquit",
    "gopher://127.0.0.1:25/xHELO%20localhost",
    "netdoc:///etc/passwd",
    "jar:https://127.0.0.1!/",
    "data:text/plain,x",
    "javascript:alert(1)",
    "about:blank",
    "ws://1.1.1.1/",
    "ftp://1.1.1.1/",
    "0://example.org:443;https://example.org:443/",
    "https://user@example.org/",
    "https://user:password@example.org/",
    "https://@example.org/",
    "https://:@example.org/",
    "https://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "https://1.1.1.1:443\\@127.2.2.2:443/",
    "https://1.1.1.1:443\\@@127.2.2.2:443/",
    "https://1.1.1.1:443:\\@@127.2.2.2:443/",
    "https://1.1.1.1:443#\\@127.2.2.2:443/",
    "https:\\\\127.0.0.1/",
    "https:/\\127.0.0.1/",
    "https://example.org:22/",
    "https://example.org:6379/",
    "https://example.org:80/",
    "https://example.org:0/",
    "https://example.org:99999/",
    "https://",
    "https:///",
    "",
    "example.org",
    "//example.org/",
    "https://exa\tmple.org/",
    " https://example.org/",
    "https://example.org/\r\nHost:x",
];

fn allowing(hosts: &[String]) -> OutgoingRules {
    OutgoingRules {
        allow: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        ..OutgoingRules::default()
    }
}

/// Names lead to these addresses, one list after the other, the last one again and again.
#[derive(Debug)]
struct Names {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let list = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(list).collect()), asked: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl Lookup for Names {
    async fn addresses(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, SeqCst);
        let mut answers = self.answers.lock().unwrap();
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

/// A server that answers every connection with the same bytes and counts them.
async fn server(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, count)
}

async fn call(outgoing: &Outgoing, url: &str) -> Result<bytes::Bytes, OutgoingError> {
    Ok(outgoing.request(Method::GET, url)?.within(Duration::from_secs(5)).send().await?.body)
}

#[test]
fn every_spelling_of_a_private_address_is_refused() {
    let outgoing = Outgoing::new(OutgoingRules::default());
    for host in HOSTS {
        let url = format!("https://{host}/");
        assert!(matches!(outgoing.check(&url), Err(OutgoingError::Refused(_))), "{url}");
    }
    for url in URLS {
        assert!(matches!(outgoing.check(url), Err(OutgoingError::Refused(_))), "{url}");
    }
    for url in [
        "https://example.org/",
        "https://1.1.1.1/x?y=z",
        "https://example.org:8443/a@b",
        "https://bücher.example/",
    ] {
        assert!(outgoing.check(url).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_before_any_connection() {
    let (address, connections) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let rules = OutgoingRules { ports: [address.port()].into(), ..OutgoingRules::default() };
    // Also where only one of several is private, and where a name that was fine changes its mind.
    let lists: [&[&[&str]]; 4] = [
        &[&["127.0.0.1"]],
        &[&["::ffff:127.0.0.1"]],
        &[&["1.1.1.1", "127.0.0.1"]],
        &[&["127.0.0.1"], &["1.1.1.1"]],
    ];
    for list in lists {
        let names = Names::new(list);
        let outgoing = Outgoing::with_lookup(rules.clone(), names.clone());
        let refused = call(&outgoing, &format!("https://rebind.example:{}/", address.port())).await;
        assert!(matches!(refused, Err(OutgoingError::Refused(_))), "{refused:?}");
        assert_eq!(names.asked.load(SeqCst), 1);
    }
    // `localhost` by the system's own names.
    let outgoing = Outgoing::with_lookup(rules, Arc::new(SystemLookup));
    let refused = call(&outgoing, &format!("https://localhost:{}/", address.port())).await;
    assert!(matches!(refused, Err(OutgoingError::Refused(_))), "{refused:?}");
    assert_eq!(connections.load(SeqCst), 0);
}

#[tokio::test]
async fn a_host_that_is_allowed_is_called_at_what_its_name_led_to_once() {
    let (address, connections) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let host = format!("idp.internal:{}", address.port());
    let names = Names::new(&[&["127.0.0.1"]]);
    let outgoing = Outgoing::with_lookup(allowing(std::slice::from_ref(&host)), names.clone());
    assert_eq!(&call(&outgoing, &format!("http://{host}/")).await.unwrap()[..], b"hi");
    assert_eq!((names.asked.load(SeqCst), connections.load(SeqCst)), (1, 1));
    let refused = call(&outgoing, &format!("http://127.0.0.1:{}/", address.port())).await;
    assert!(matches!(refused, Err(OutgoingError::Refused(_))), "{refused:?}");
    assert_eq!(connections.load(SeqCst), 1);
}

#[tokio::test]
async fn redirects_floods_and_silence_end_the_call() {
    let (inside, reached) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let location = format!("HTTP/1.1 307 Go\r\nlocation: http://{inside}/\r\ncontent-length: 0\r\n\r\n");
    let (redirects, _) = server(location.leak().as_bytes()).await;
    let declared = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx";
    let (declares, _) = server(declared).await;
    let flood = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 3 << 20]].concat();
    let (floods, _) = server(flood.leak()).await;
    let (silent, _) = server(b"").await;
    let outgoing = Outgoing::new(allowing(
        &[inside, redirects, declares, floods, silent].map(|address| address.to_string()),
    ));
    for address in [redirects, declares, floods] {
        let answer = call(&outgoing, &format!("http://{address}/")).await;
        assert!(matches!(answer, Err(OutgoingError::Answer(_))), "{answer:?}");
    }
    let request = outgoing.request(Method::POST, &format!("http://{silent}/?token=secret")).unwrap();
    let error = request.body("x").within(Duration::from_millis(100)).send().await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Unavailable(_)) && !error.to_string().contains("secret"),
        "{error}"
    );
    assert_eq!(reached.load(SeqCst), 0);
    let nobody = call(&Outgoing::new(allowing(&["127.0.0.1:1".to_owned()])), "http://127.0.0.1:1/").await;
    assert!(matches!(nobody, Err(OutgoingError::Unavailable(_))), "{nobody:?}");
}

async fn begun(outgoing: &Outgoing, url: &str) -> Result<OutgoingStream, OutgoingError> {
    outgoing.request(Method::POST, url)?.body("x").at_most(100).stream(Duration::from_millis(300)).await
}

#[tokio::test]
async fn an_answer_that_is_read_while_it_comes_is_under_the_same_checks() {
    let soon = Duration::from_millis(300);
    let (inside, reached) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let location = format!("HTTP/1.1 307 Go\r\nlocation: http://{inside}/\r\ncontent-length: 0\r\n\r\n");
    let (redirects, _) = server(location.leak().as_bytes()).await;
    let (floods, _) = server([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 9_000]].concat().leak()).await;
    let (silent, _) = server(b"").await;
    let (breaks, _) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi").await;
    let hosts = [redirects, floods, silent, breaks].map(|address| address.to_string());
    let outgoing = Outgoing::new(allowing(&hosts));
    for closed in [format!("http://{inside}/"), "https://169.254.169.254/".to_owned()] {
        assert!(matches!(begun(&outgoing, &closed).await, Err(OutgoingError::Refused(_))), "{closed}");
    }
    let names = Names::new(&[&["127.0.0.1"]]);
    let rules = OutgoingRules { ports: [inside.port()].into(), ..OutgoingRules::default() };
    let (url, rebinding) =
        (format!("https://rebind.example:{}/", inside.port()), Outgoing::with_lookup(rules, names));
    assert!(matches!(begun(&rebinding, &url).await, Err(OutgoingError::Refused(_))));
    let redirected = begun(&outgoing, &format!("http://{redirects}/")).await;
    assert!(matches!(redirected, Err(OutgoingError::Answer(_))), "{redirected:?}");
    assert_eq!(reached.load(SeqCst), 0);

    let mut flood = begun(&outgoing, &format!("http://{floods}/")).await.unwrap();
    let ended = loop {
        if let Err(error) = flood.chunk(soon).await {
            break error;
        }
    };
    assert!(matches!(ended, OutgoingError::Answer(_)), "{ended:?}");
    // What may have been done is told from what was never begun.
    let cut = begun(&outgoing, &format!("http://{silent}/?token=secret")).await.unwrap_err();
    assert!(matches!(&cut, OutgoingError::Cut(_)) && !cut.to_string().contains("secret"), "{cut}");
    let mut broken = begun(&outgoing, &format!("http://{breaks}/")).await.unwrap();
    assert_eq!(broken.chunk(soon).await.unwrap().as_deref(), Some(b"hi".as_slice()));
    assert!(matches!(broken.chunk(soon).await, Err(OutgoingError::Cut(_))));
    let nobody = begun(&Outgoing::new(allowing(&["127.0.0.1:1".to_owned()])), "http://127.0.0.1:1/").await;
    assert!(matches!(nobody, Err(OutgoingError::Unavailable(_))), "{nobody:?}");
}
