//! A `redis-server` of one's own. Owns: its settings, its folder, its life.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use super::{
    READY_WITHIN,
    process::{self, comes_true, free_port},
};

/// What the sentinels call their master.
pub(crate) const SENTINELS_MASTER: &str = "main";

/// How a server is set up; the default keeps nothing on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct RedisOptions {
    /// Write every command to disk before it is answered.
    pub(crate) append_only: bool,
    /// Speak TLS only, with a certificate for `localhost` and 127.0.0.1 of an authority of its own
    /// ([`RedisServer::authority`]).
    pub(crate) tls: bool,
    /// ACL users, as in `users.acl`: `user app on >secret ~* &* +@all`. The first one is the one in
    /// [`RedisServer::url`] where [`RedisOptions::login`] names it.
    pub(crate) users: Vec<String>,
    /// `user:password` (percent-encoded) for the URL.
    pub(crate) login: Option<String>,
    /// A node of a cluster (of one, until it meets others).
    pub(crate) cluster: bool,
    /// A sentinel, which looks after the master on this port and calls it [`SENTINELS_MASTER`].
    pub(crate) sentinel_of: Option<u16>,
    /// More lines of `redis.conf`: `maxmemory 10mb`.
    pub(crate) settings: Vec<String>,
}

/// A server. Dropped: killed.
#[derive(Debug)]
pub(crate) struct RedisServer {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
    options: RedisOptions,
}

impl RedisServer {
    /// One that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::start_with(RedisOptions::default())
    }

    /// One that has every command on disk before it answers: for tests that kill it.
    pub(crate) fn start_durable() -> Self {
        Self::start_with(RedisOptions { append_only: true, ..RedisOptions::default() })
    }

    /// One set up as asked, ready to answer.
    pub(crate) fn start_with(options: RedisOptions) -> Self {
        for _ in 0..20 {
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            if options.tls {
                make_certificates(folder.path());
            }
            let child = launch(folder.path(), port, &options);
            let mut server = Self { child, folder, port, options: options.clone() };
            if server.wait_until_ready() {
                return server;
            }
            assert!(server.log().contains("ddress already in use"), "redis-server ended:\n{}", server.log());
        }
        panic!("found no free port for redis-server");
    }

    /// Where clients connect; the password is in it where there is one.
    pub(crate) fn url(&self) -> String {
        let login = self.options.login.as_ref().map(|login| format!("{login}@")).unwrap_or_default();
        if self.options.tls {
            format!("rediss://{login}127.0.0.1:{}?ca={}", self.port, self.authority().display())
        } else {
            format!("redis://{login}127.0.0.1:{}", self.port)
        }
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port on which a node of a cluster hears from the others.
    pub(crate) fn bus_port(&self) -> u16 {
        let config = fs::read_to_string(self.folder.path().join("redis.conf")).unwrap();
        let port = config.lines().find_map(|line| line.strip_prefix("cluster-port "));
        port.unwrap().trim().parse().unwrap()
    }

    /// The certificate of the authority behind a server that speaks TLS.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Where it keeps what it writes: `dump.rdb`, `appendonlydir`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process, for signals of one's own.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with -9, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, on the same port and in the same folder, after [`RedisServer::kill`] or while it runs.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = launch(self.folder.path(), self.port, &self.options);
        assert!(self.wait_until_ready(), "redis-server ended:\n{}", self.log());
    }

    /// Stops it without ending it (SIGSTOP): connections stay and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`RedisServer::freeze`].
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends one command in plain words over the server's own socket, past TLS and its port; the first line of the answer,
    /// or all of a text.
    pub(crate) fn ask(&self, command: &str) -> io::Result<String> {
        let mut socket = UnixStream::connect(self.folder.path().join("socket"))?;
        socket.set_read_timeout(Some(READY_WITHIN))?;
        socket.write_all(format!("{command}\r\n").as_bytes())?;
        let (mut line, mut answer) = (String::new(), BufReader::new(socket));
        answer.read_line(&mut line)?;
        if let Some(length) = line.trim_end().strip_prefix('$').and_then(|length| length.parse().ok()) {
            let mut text = vec![0; length];
            answer.read_exact(&mut text)?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The same for a command that must not be refused.
    pub(crate) fn command(&self, command: &str) -> String {
        let answer = self.ask(command).unwrap();
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Whether it came to answer; else it has ended.
    fn wait_until_ready(&mut self) -> bool {
        let mut has_ended = false;
        let ready = comes_true(|| {
            // Also one that wants a password has started.
            if self.ask("PING").is_ok_and(|answer| answer == "+PONG" || answer.starts_with("-NOAUTH")) {
                return true;
            }
            has_ended = self.child.try_wait().unwrap().is_some();
            has_ended
        });
        assert!(ready, "redis-server does not answer:\n{}", self.log());
        !has_ended
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &Path, port: u16, options: &RedisOptions) -> Child {
    let file = |name: &str| folder.join(name).display().to_string();
    // A socket of an earlier life would let one wait for a server that is gone.
    let _ = fs::remove_file(folder.join("socket"));
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        "daemonize no".to_owned(),
        format!("dir \"{}\"", folder.display()),
        format!("logfile \"{}\"", file("log")),
        format!("unixsocket \"{}\"", file("socket")),
    ];
    if let Some(port) = options.sentinel_of {
        let name = SENTINELS_MASTER;
        lines.push(format!("sentinel monitor {name} 127.0.0.1 {port} 2"));
        lines.push(format!("sentinel down-after-milliseconds {name} 500"));
        lines.push(format!("sentinel failover-timeout {name} 3000"));
    } else {
        lines.push("save \"\"".to_owned());
        lines.push(format!("appendonly {}", if options.append_only { "yes" } else { "no" }));
        lines.push("appendfsync always".to_owned());
    }
    if options.cluster {
        lines.push("cluster-enabled yes".to_owned());
        lines.push("cluster-node-timeout 1000".to_owned());
        lines.push(format!("cluster-port {}", free_port()));
    }
    if options.tls {
        lines.extend(["port 0".to_owned(), format!("tls-port {port}"), "tls-auth-clients no".to_owned()]);
        for (name, of) in [("cert", "server.crt"), ("key", "server.key"), ("ca-cert", "ca.crt")] {
            lines.push(format!("tls-{name}-file \"{}\"", file(of)));
        }
    } else {
        lines.push(format!("port {port}"));
    }
    lines.extend(options.users.iter().cloned());
    lines.extend(options.settings.iter().cloned());
    let config = file("redis.conf");
    // Sentinel and `CONFIG REWRITE` write into their file: a server that comes back finds what it had.
    if !Path::new(&config).exists() {
        fs::write(&config, lines.join("\n") + "\n").unwrap();
    }
    process::start(if options.sentinel_of.is_some() { "redis-sentinel" } else { "redis-server" }, [config])
}

/// An authority and a certificate that it has signed for this machine, by the openssl command.
pub(crate) fn make_certificates(folder: &Path) {
    let openssl = |line: &str| {
        let done = Command::new("openssl").args(line.split(' ')).current_dir(folder).output();
        let done = done.unwrap_or_else(|error| panic!("openssl could not be started: {error}"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -days 2 -subj /CN=Presswork-test-authority -keyout ca.key -out ca.crt"
    ));
    openssl(&format!("req {key} -subj /CN=localhost -keyout server.key -out server.csr"));
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
}
