//! The whole story of `make demo`, with each binary killed at a random moment of it: the same end, nothing lost,
//! nothing done twice.

use anyhow::Result;
use e2e::demo::{self, Telling};
use e2e::isolated;

#[tokio::test(flavor = "multi_thread")]
async fn the_story_ends_the_same_when_each_binary_is_killed() -> Result<()> {
    if !isolated::test("the_story_ends_the_same_when_each_binary_is_killed")? {
        return Ok(());
    }
    let telling = Telling {
        profile: "debug",
        keep: false,
        kills: true,
    };
    Box::pin(demo::run(telling)).await
}
