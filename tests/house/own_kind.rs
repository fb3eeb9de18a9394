//! The handbook's shorter pieces of Rust (chapter 12) where they compile; `documents.rs` finds them here. What stands
//! in one piece there stands in one piece here.

use std::time::Duration;

use presswork::{
    domain::{Failure, KindName, Reason, State},
    testing::{Fault, Inline, Moment, TestEngine},
    worker::{Context, Kind, Registry},
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

#[derive(Serialize, Deserialize)]
struct CountWords {
    text: String,
}

impl Kind for CountWords {
    const NAME: KindName = KindName::literal("count-words");
    type Output = usize;
    async fn run(self, _ctx: Context) -> Result<usize, Failure> {
        Ok(self.text.split_whitespace().count())
    }
}

#[tokio::test]
async fn a_kind_of_ones_own_is_tested_as_the_handbook_says() {
    let ran = Inline::new(CountWords { text: "four words, no more".into() }).run().await.unwrap();
    assert_eq!(ran.result.unwrap(), 4);

    let world = TestEngine::new(Registry::new().register::<CountWords>());
    world.inject(Fault::Crash(Moment::Ended));
    let job = world.enqueue(&CountWords { text: "four words, no more".into() }).await;
    world.drain().await;
    assert_eq!(world.job(job).await.state, State::Completed);
}
