//! Bad input gets its mark or its error, and nothing beside it is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::json;

use crate::harness::{Node, Role, Scratch, append, eventually};

#[test]
fn hostile_lines_get_their_mark_and_their_neighbours_are_whole() {
    let scratch = Scratch::new("hostile");
    let file = scratch.input("a.log");
    let long = "y".repeat(4 << 20);
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    append(&file, "before\n");
    append(&file, format!("{long}\n"));
    append(&file, b"bad \xff\xfe utf8\n");
    append(&file, b"nul \0 byte\n");
    append(&file, format!("{deep}\n"));
    append(&file, "after\n");
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_INGEST_FLUSH_INTERVAL", "300ms");
    });
    node.wait_for_rows(6);
    let rows = node.rows(
        "SELECT length(body), flags & 1 > 0, flags & 64 > 0, body_raw IS NOT NULL, source_end - source_start \
         FROM logs ORDER BY source_start",
    );
    let limit = 768 * 1024;
    assert_eq!(rows[0][..2], [json!(6), json!(false)]);
    assert_eq!(rows[1][..2], [json!(limit), json!(true)], "truncated with a mark");
    assert_eq!(rows[2][2..4], [json!(true), json!(true)], "lossy text, exact bytes kept");
    assert_eq!(rows[3][..2], [json!(10), json!(false)]);
    assert_eq!(rows[4][1], json!(deep.len() > limit));
    assert_eq!(rows[5][..2], [json!(5), json!(false)]);
    // The cut-off rest, its line ending included, is counted with the commit
    // that stores the row.
    let gaps = eventually("the loss is named", || {
        match node.try_rows("SELECT reason, \"end\" - start FROM weir.gaps ORDER BY start") {
            Ok(rows) if !rows.is_empty() => Ok(rows),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(gaps[0], [json!("line_too_long"), json!((4 << 20) - limit + 1)]);
    let raw = node.rows("SELECT encode(body_raw, 'hex') FROM logs WHERE flags & 64 > 0");
    assert_eq!(raw, [[json!("62616420fffe2075746638")]]);
}

#[test]
fn a_file_that_shrinks_is_a_new_source_and_the_rest_goes_on() {
    let scratch = Scratch::new("shrink");
    let file = scratch.input("a.log");
    append(&file, "one\ntwo\nthree\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(3);
    fs::OpenOptions::new().write(true).open(&file).expect("opens").set_len(0).expect("shrinks");
    append(&file, "new\n");
    node.wait_for_rows(4);
    let rows = node.rows("SELECT body, source_start FROM logs ORDER BY observed_timestamp, source_start");
    assert_eq!(rows[3], [json!("new"), json!(0)]);
    assert_eq!(node.number("SELECT count(DISTINCT source_id) FROM logs"), 2);
}

#[test]
fn a_directory_without_permission_disturbs_nothing_else() {
    let scratch = Scratch::new("permission");
    // Root may read everything: run the node as nobody.
    fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o777)).expect("opened up");
    fs::create_dir(scratch.path("closed")).expect("a directory");
    append(&scratch.path("closed/x.log"), "secret\n");
    fs::set_permissions(scratch.path("closed"), fs::Permissions::from_mode(0o000)).expect("closed");
    append(&scratch.input("a.log"), "readable\n");
    let glob = format!("{}/*.log", scratch.path("closed").display());
    // Nobody may not run what lies in somebody's home.
    let program = scratch.path("weir");
    fs::copy(env!("CARGO_BIN_EXE_weir"), &program).expect("a copy of the program");
    let node = Node::start_program(&program, &scratch, Role::All, |command| {
        command.arg("--tail").arg(&glob);
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
    });
    node.wait_for_rows(1);
    assert_eq!(node.rows("SELECT body FROM logs"), [[json!("readable")]]);
    let telemetry = fs::read_to_string(scratch.path("all.stderr")).expect("telemetry");
    assert!(telemetry.contains("closed"), "the directory is named: {telemetry}");
    fs::set_permissions(scratch.path("closed"), fs::Permissions::from_mode(0o777)).expect("opened");
    node.wait_for_rows(2);
}

/// A file system of its own that is small enough to fill.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(scratch: &Scratch, bytes: usize) -> Self {
        let path = scratch.data();
        fs::create_dir(&path).expect("a mount point");
        let size = format!("size={bytes}");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "weir-test"]).arg(&path).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "this test mounts a small tmpfs and needs the right to do so (root)"
        );
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_holds_everything_back_and_loses_nothing() {
    let scratch = Scratch::new("full");
    let disk = SmallDisk::mount(&scratch, 48 << 20);
    let file = scratch.input("a.log");
    append(&file, "first\n");
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_INGEST_FLUSH_INTERVAL", "500ms").env("WEIR_LOG_SEGMENT_BYTES", "1MiB");
    });
    node.wait_for_rows(1);
    // Take all the space that is left, then write on.
    let ballast = disk.0.join("ballast");
    let _ = fs::write(&ballast, vec![1u8; 48 << 20]);
    let lines: String = (0..20_000).map(|n| format!("line {n} {}\n", n * 7919)).collect();
    append(&file, &lines);
    eventually("the full disk is noticed", || {
        let telemetry = fs::read_to_string(scratch.path("all.stderr")).map_err(|error| error.to_string())?;
        if telemetry.contains("full") || telemetry.contains("No space") { Ok(()) } else { Err(telemetry) }
    });
    fs::remove_file(&ballast).expect("space is made");
    node.wait_for_rows(20_001);
    assert_eq!(node.number("SELECT count(*) FROM logs"), 20_001);
    assert_eq!(node.number("SELECT count(DISTINCT body) FROM logs"), 20_001);
    drop(node);
    drop(disk);
}
