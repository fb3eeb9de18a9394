//! A program with a job kind of its own, as the handbook's chapter 12 tells it. Run a worker in one terminal and give it
//! work from another:
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

#[derive(Serialize, Deserialize)]
struct CountWords {
    text: String,
}

impl Kind for CountWords {
    const NAME: KindName = KindName::literal("count-words");
    const RETRY: RetryPolicy = RetryPolicy::attempts(3);
    type Output = usize;
    async fn run(self, _ctx: Context) -> Result<usize, Failure> {
        Ok(self.text.split_whitespace().count())
    }
}

pub(crate) fn main() -> ExitCode {
    Cli::new("my-app", env!("CARGO_PKG_VERSION")).register::<CountWords>().run()
}
