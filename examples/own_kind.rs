//! A program with a job kind of its own. Run a worker in one terminal and give it work from another:
//!
//! ```sh
//! cargo run -p presswork --example own_kind -- up
//! cargo run -p presswork --example own_kind -- enqueue count-words --payload '{"text":"to be or not to be"}' --wait
//! ```

use std::process::ExitCode;

use presswork::{
    Cli,
    domain::{Failure, KindName, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

/// Counts the words of a text.
#[derive(Serialize, Deserialize)]
struct CountWords {
    text: String,
}

impl Kind for CountWords {
    const NAME: KindName = KindName::literal("count-words");
    const RETRY: RetryPolicy = RetryPolicy::attempts(3);
    type Output = usize;

    fn check(&self) -> Result<(), String> {
        if self.text.is_empty() { Err("there is no text to count in".to_owned()) } else { Ok(()) }
    }

    async fn run(self, context: Context) -> Result<usize, Failure> {
        let words = self.text.split_whitespace().count();
        context.progress(1, 1, "counted");
        Ok(words)
    }
}

fn main() -> ExitCode {
    Cli::new("own_kind", env!("CARGO_PKG_VERSION")).register::<CountWords>().run()
}
