//! Processes that die with the test process. Owns: their start. Must not know: what they serve.

use std::{
    io,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// The kernel kills a process when the *thread* that started it ends, and a test's thread ends with the test. So one
/// thread that ends with the test process starts them all.
static STARTER: LazyLock<Mutex<mpsc::Sender<Order>>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel::<Order>();
    thread::Builder::new()
        .name("starter of servers".to_owned())
        .spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        })
        .unwrap();
    Mutex::new(orders)
});

/// Starts a program (looked for in the path) that is killed when this process dies, however it dies.
pub(crate) fn start(program: &str, arguments: impl IntoIterator<Item = String>) -> Child {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (answer, answered) = mpsc::channel();
    STARTER.lock().unwrap().send((command, answer)).unwrap();
    answered
        .recv()
        .unwrap()
        .unwrap_or_else(|error| panic!("setpriv (util-linux) could not be started: {error}"))
}

/// A port of the loopback that nobody listens on now. Somebody else may take it before it is used: try another then.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Looks again and again whether a process outside is where it should be; whether it came to be so in time.
#[expect(clippy::disallowed_methods, reason = "a process outside gives no signal: it has to be asked")]
pub(crate) fn comes_true(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + super::READY_WITHIN;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The same for what has to be asked over a network; panics where it takes too long.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + super::READY_WITHIN;
    while !is_so().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
