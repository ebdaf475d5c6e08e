//! What a change of the files comes to.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use super::*;

fn load(path: &Path) -> Reload {
    let args = NodeArgs { config: Some(path.to_owned()), ..NodeArgs::default() };
    Reload::load(&args).unwrap().1
}

fn counts(reload: &Reload) -> (u64, u64, i64) {
    let counts = &reload.counts;
    (counts.reloads.get(), counts.failures.get(), counts.successful.get())
}

#[cfg(feature = "agent")]
#[test]
fn what_can_change_does_and_what_cannot_is_named() {
    let place = tempfile_dir();
    let file = place.join("weir.yaml");
    fs::write(&file, "data: /a\nagent: { tail: [x], cluster: east }\n").unwrap();
    let mut reload = load(&file);
    reload.succeeded();
    let applied = RefCell::new(Vec::new());
    let apply = |config: &Config| {
        applied.borrow_mut().push((
            config.agent.tail.clone(),
            config.agent.cluster.clone(),
            config.data.clone(),
        ));
        Ok(())
    };
    let change = |text: &str, reload: &mut Reload| {
        fs::write(&file, text).unwrap();
        reload.look(Texts::read(&file).unwrap(), false, &apply);
    };
    change("data: /a\nagent: { tail: [x], cluster: east }\n", &mut reload);
    assert_eq!((counts(&reload), applied.borrow().len()), ((0, 0, 1), 0), "nothing is new");

    let text = "data: /b\nagent:\n  tail: [x, y]\n  cluster: west\n  limits: {pod: {lines_per_second: 5}}\n";
    change(text, &mut reload);
    let tail = vec!["x".to_owned(), "y".to_owned()];
    assert_eq!(*applied.borrow(), [(tail.clone(), Some("east".to_owned()), "/a".into())]);
    assert_eq!(counts(&reload), (1, 0, 1));
    let still =
        Difference::between(&reload.running, &Config::of(&reload.seen, &reload.args).unwrap()).unwrap();
    assert_eq!(still.fixed, ["agent.cluster", "data"], "they wait for a restart");
    assert!(still.live.is_empty());

    change("agent: { tial: [z] }\n", &mut reload);
    assert_eq!((counts(&reload), applied.borrow().len()), ((2, 1, 0), 1));
    assert_eq!(reload.running.agent.tail, tail);
    change("agent: { tail: ['[']}\n", &mut reload);
    assert_eq!(counts(&reload), (3, 2, 0));
    change("agent: { tail: [z] }\n", &mut reload);
    assert_eq!((counts(&reload), applied.borrow().len()), ((4, 2, 1), 2));
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_file_that_is_gone_for_a_while_is_told_once() {
    let place = tempfile_dir();
    let file = place.join("weir.yaml");
    fs::write(&file, "data: /a\n").unwrap();
    let mut reload = load(&file);
    for _ in 0..3 {
        reload.unreadable("gone".to_owned());
    }
    assert_eq!(counts(&reload), (0, 1, 0));
    reload.look(Texts::read(&file).unwrap(), false, &|_| Ok(()));
    assert_eq!(counts(&reload), (0, 1, 1), "it is back as it was");
    fs::remove_dir_all(place).unwrap();
}

fn tempfile_dir() -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let place = std::env::temp_dir().join(format!("weir-reload-{}-{n}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    place
}
