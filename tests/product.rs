//! The product as its users meet it: the binary `presswork`, real manuscripts, processes that are killed, disks that
//! are full. Validators and books come from `tests/run`.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "product/api.rs"]
mod api;
#[path = "product/bad_input.rs"]
mod bad_input;
#[path = "product/bench.rs"]
mod bench;
#[path = "product/canary/mod.rs"]
mod canary;
#[path = "product/chains.rs"]
mod chains;
#[path = "product/clouds.rs"]
mod clouds;
#[path = "product/crash.rs"]
mod crash;
#[path = "product/demo.rs"]
mod demo;
#[path = "product/disk.rs"]
mod disk;
#[path = "product/docx.rs"]
mod docx;
#[path = "product/door.rs"]
mod door;
#[path = "product/fleet.rs"]
mod fleet;
#[path = "product/foreign.rs"]
mod foreign;
#[path = "product/generate/mod.rs"]
mod generate;
#[path = "product/import.rs"]
mod import;
#[path = "product/kills/mod.rs"]
mod kills;
#[path = "product/models.rs"]
mod models;
#[path = "product/money.rs"]
mod money;
#[path = "product/naughty.rs"]
mod naughty;
#[path = "product/parts.rs"]
mod parts;
#[path = "product/pdf.rs"]
mod pdf;
#[path = "product/processes.rs"]
mod processes;
#[path = "product/producers.rs"]
mod producers;
#[path = "product/production.rs"]
mod production;
#[path = "product/served.rs"]
mod served;
#[path = "servers/mod.rs"]
mod servers;
#[path = "product/storage.rs"]
mod storage;
#[path = "product/things.rs"]
mod things;
#[path = "product/world.rs"]
mod world;
