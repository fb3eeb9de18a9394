//! A full disk and a data directory that may not be written: a clear error, exit code 3, no corruption.

use std::{fs, process::Command};

use crate::world::{World, long_book, text};

/// Runs a script in a mount namespace of its own, with a small disk mounted at the data directory: no root needed,
/// and gone with the script.
fn on_a_small_disk(world: &World, script: &str) -> std::process::Output {
    fs::create_dir_all(world.data()).unwrap();
    let mount = "mount -t tmpfs -o size=\"$SIZE\",mode=0700 small \"$PRESSWORK_DATA_DIR\" || exit 99\n";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &format!("{mount}{script}")]);
    command.env("PRESSWORK_DATA_DIR", world.data()).env("PRESSWORK", env!("CARGO_BIN_EXE_presswork"));
    command.current_dir(world.path("")).env("SIZE", "12m");
    let output = command.output().unwrap();
    assert_ne!(output.status.code(), Some(99), "no small disk can be mounted here: {}", text(&output));
    output
}

#[test]
fn a_full_disk_is_told_and_corrupts_nothing() {
    let world = World::new();
    world.file("small.md", "# One\n\nWords.\n");
    world.file("long.md", long_book(9 << 20));
    // A good book goes in; a file takes the rest of the disk; then nothing can be accepted; room again, all is well.
    let script = r#"
        "$PRESSWORK" demo small.md --json >before.json || exit 10
        dd if=/dev/zero of="$PRESSWORK_DATA_DIR/filler" bs=4k 2>/dev/null
        "$PRESSWORK" enqueue import long.md --project long --json 2>error.json && exit 11
        echo "code $?"
        "$PRESSWORK" demo small.md --json >during.json 2>during-error.json && exit 13
        rm "$PRESSWORK_DATA_DIR/filler"
        "$PRESSWORK" demo small.md --json >after.json || exit 12
        # It may well say that there is little space; what it must say is that the file is sound.
        "$PRESSWORK" doctor --json >doctor.json || true
    "#;
    let output = on_a_small_disk(&world, script);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("code 3"), "{}", text(&output));
    let doctor: serde_json::Value =
        serde_json::from_slice(&fs::read(world.path("doctor.json")).unwrap()).unwrap();
    let mut checks = doctor["checks"].as_array().unwrap().iter();
    assert!(checks.any(|check| check["name"] == "integrity" && check["health"] == "ok"), "{doctor}");
    let error = fs::read_to_string(world.path("error.json")).unwrap().to_lowercase();
    assert!(error.contains("space") || error.contains("disk") || error.contains("full"), "{error}");
}

#[test]
fn a_data_directory_that_may_not_be_written_is_told() {
    let world = World::new();
    world.file("small.md", "# One\n\nWords.\n");
    let script = r#"
        "$PRESSWORK" demo small.md --json >before.json || exit 10
        mount -o remount,ro "$PRESSWORK_DATA_DIR" || exit 99
        "$PRESSWORK" demo small.md --json 2>error.json
        echo "code $?"
        mount -o remount,rw "$PRESSWORK_DATA_DIR" || exit 99
        "$PRESSWORK" demo small.md --json >after.json || exit 12
    "#;
    let output = on_a_small_disk(&world, script);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("code 3"), "{}", text(&output));
    let error = fs::read_to_string(world.path("error.json")).unwrap();
    assert!(error.contains("data") && !error.contains("panicked"), "{error}");
}
