//! What of a server's settings could cost jobs. Owns: the questions and what to do about the answers. Must not know: who
//! shows them.

use redis::{RedisError, Value, cmd};

use super::{Redis, url::Address};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can't be told from here.
    Unknown,
    /// Something will be lost in a case that may come.
    Warning,
    /// It can't work, or jobs will be lost.
    Error,
}

/// What stands out about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// Which server.
    pub server: String,
    /// What is so.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl Redis {
    /// What stands out about the servers' versions and settings; nothing where all is well.
    ///
    /// # Errors
    /// Where they can't be reached.
    pub async fn check(&self) -> Result<Vec<Finding>, RedisError> {
        let mut findings = Vec::new();
        for address in self.nodes().await? {
            let mut server = Server { findings: Vec::new(), name: address.to_string() };
            match self.send_to(&address, &cmd("INFO")).await {
                Ok(answer) => server.judge_information(&Answers::of_lines(&answer)),
                Err(error) if error.code() == Some("NOPERM") => server.find(
                    Severity::Unknown,
                    "version and settings can't be told: the user may not ask (INFO)".to_owned(),
                    "allow the user +info to have them checked",
                ),
                Err(error) => return Err(error),
            }
            self.judge_settings(&address, &mut server).await?;
            if self.is_cluster() {
                let answer = self.send_to(&address, cmd("CLUSTER").arg("INFO")).await?;
                server.judge_cluster(&Answers::of_lines(&answer));
            }
            findings.append(&mut server.findings);
        }
        Ok(findings)
    }

    async fn judge_settings(&self, address: &Address, server: &mut Server) -> Result<(), RedisError> {
        let mut question = cmd("CONFIG");
        question.arg(&["GET", "maxmemory", "maxmemory-policy", "appendonly", "save", "appendfsync"]);
        match self.send_to(address, &question).await {
            Ok(answer) => server.judge_settings(&Answers::of_pairs(&answer)),
            // Managed servers have no CONFIG at all.
            Err(error) if error.code().is_some_and(|code| code == "NOPERM" || code == "ERR") => server.find(
                Severity::Unknown,
                "persistence can't be told: the user may not read settings (CONFIG GET)".to_owned(),
                "see for yourself that `appendonly yes` is set, or allow the user +config|get",
            ),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

struct Server {
    findings: Vec<Finding>,
    name: String,
}

impl Server {
    fn find(&mut self, severity: Severity, what: String, advice: &'static str) {
        self.findings.push(Finding { severity, server: self.name.clone(), what, advice });
    }

    fn judge_information(&mut self, information: &Answers) {
        let (name, version, floor) = match information.get("valkey_version") {
            Some(version) => ("Valkey", version, (7, 2)),
            None => ("Redis", information.get("redis_version").unwrap_or(""), (7, 0)),
        };
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < floor {
            self.find(
                Severity::Error,
                format!("{name} {version} is too old"),
                "install Redis 7.0 or Valkey 7.2, or a later one",
            );
        }
        // 0: as much as there is.
        let is_bounded = information.get("maxmemory").is_some_and(|most| most != "0");
        let policy = information.get("maxmemory_policy").unwrap_or("noeviction");
        if is_bounded && policy != "noeviction" {
            self.find(
                Severity::Error,
                format!("maxmemory-policy is {policy}: where memory runs out, jobs are thrown away"),
                "set `maxmemory-policy noeviction`, or give the queue a Redis of its own",
            );
        }
        if information.get("role").is_some_and(|role| role != "master") {
            self.find(
                Severity::Error,
                "it is a replica, which takes nothing that is written".to_owned(),
                "name the master in the URL, or its sentinels (redis+sentinel://)",
            );
        }
        if information.get("aof_last_write_status").is_some_and(|status| status != "ok") {
            self.find(
                Severity::Error,
                "the last write to the append-only file failed".to_owned(),
                "make room on its disk, and see its log",
            );
        }
    }

    fn judge_cluster(&mut self, cluster: &Answers) {
        if cluster.get("cluster_state") != Some("ok") {
            self.find(
                Severity::Error,
                "the cluster is not whole: slots are not served".to_owned(),
                "see `redis-cli --cluster check`",
            );
        }
    }

    fn judge_settings(&mut self, settings: &Answers) {
        let append_only = settings.get("appendonly") == Some("yes");
        let saves = settings.get("save").is_some_and(|save| !save.is_empty());
        if !append_only && !saves {
            self.find(
                Severity::Warning,
                "nothing is kept on disk: a restart loses every job".to_owned(),
                "set `appendonly yes`",
            );
        } else if !append_only {
            self.find(
                Severity::Warning,
                "only snapshots are kept on disk: a crash loses the jobs since the last one".to_owned(),
                "set `appendonly yes`",
            );
        } else if settings.get("appendfsync") == Some("no") {
            self.find(
                Severity::Warning,
                "appendfsync is no: a power failure loses what the system had not written yet".to_owned(),
                "set `appendfsync everysec` (at most a second is lost) or `always`",
            );
        }
    }
}

/// Names and values that a server has answered.
struct Answers(Vec<(String, String)>);

impl Answers {
    /// `name:value` a line.
    fn of_lines(answer: &Value) -> Self {
        let text = text(answer);
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// A name, its value, and so on.
    fn of_pairs(answer: &Value) -> Self {
        let Value::Array(parts) = answer else { return Self(Vec::new()) };
        let pairs = parts.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1])));
        Self(pairs.collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}
