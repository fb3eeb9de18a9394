//! The handbook's shorter pieces of Rust (chapter 12) where they compile; `documents.rs` finds them here. What stands
//! in one piece there stands in one piece here.

use std::time::Duration;

use presswork::{
    domain::{Failure, KindName, Reason},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Translate {
    text: String,
}

impl Kind for Translate {
    const NAME: KindName = KindName::literal("translate");
    const TIMEOUT: Duration = Duration::from_secs(6 * 3600);
    const VERSION: u16 = 2;
    type Output = ();

    fn check(&self) -> Result<(), String> {
        if self.text.is_empty() { Err("there is no text to count in".to_owned()) } else { Ok(()) }
    }

    async fn run(self, ctx: Context) -> Result<(), Failure> {
        let chapters = self.text.lines().count() as u64;
        let begin: u64 = ctx.checkpoint().unwrap_or(0);
        for number in begin..chapters {
            translate(number).await?;
            ctx.save(&(number + 1)).await?;
            ctx.progress(number + 1, chapters, "translating");
        }
        Ok(())
    }
}

async fn translate(number: u64) -> Result<(), Failure> {
    let wait = Duration::from_secs(number);
    if number > 1_000 {
        return Err(Failure::Retry { reason: Reason::new("the printer is warming up"), after: Some(wait) });
    }
    Ok(())
}

#[test]
fn a_kind_refuses_what_it_can_not_use() {
    let check = |text: &str| Translate { text: text.to_owned() }.check();
    assert!(check("").is_err() && check("to be").is_ok());
}
