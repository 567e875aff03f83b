//! The fuzz targets' kept corpus and their seeds, replayed without libFuzzer.
//!
//! What fuzzing finds is kept in `tests/fuzz/corpus` and `tests/fuzz/found`, and so
//! stays found wherever the tests run. With `SEED_CORPUS=DIR` in the environment the
//! seeds of each target are written to `DIR/TARGET`: `cargo xtask fuzz` begins there.

#[path = "../../tests/fuzz/src/lib.rs"]
mod fuzz;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files by their names; none where there is no such folder.
fn files(folder: &Path, extension: Option<&str>) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if extension.is_none_or(|wanted| path.extension().is_some_and(|found| found == wanted)) {
            let content = fs::read(&path).unwrap();
            files.insert(path, content);
        }
    }
    files
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let recordings = files(&root().join("tracer/tests/golden"), Some("rec"));
    let recordings: Vec<_> = recordings.values().map(Vec::as_slice).collect();
    fuzz::seeds::of(target, &recordings)
}

/// Runs a target on an input that panics are to name.
fn replay(target: &str, run: fn(&[u8]), input: &str, bytes: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| run(bytes)) {
        eprintln!("target {target}, input {input}: {}", bytes.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn seeds_and_kept_inputs_do_no_harm() {
    for (target, run) in fuzz::TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has seeds");
        for (i, seed) in seeds.iter().enumerate() {
            replay(target, *run, &format!("seed {i}"), seed);
        }
        let kept = files(&root().join("tests/fuzz/corpus").join(target), None);
        assert!(!kept.is_empty(), "{target} has a corpus");
        let found = files(&root().join("tests/fuzz/found").join(target), None);
        for (path, bytes) in kept.iter().chain(&found) {
            replay(target, *run, &path.display().to_string(), bytes);
        }
    }
}

#[test]
fn golden_records_need_no_repair() {
    for record in seeds("record") {
        let parsed = tracer::record::parse(&record).unwrap();
        let repaired = fuzz::repair::repair(&record);
        assert!(repaired.has_others || repaired.bytes.len() == record.len(), "{parsed:?}");
        // Of sections that it does not know it keeps the bytes, not what they depend on.
        if !repaired.has_others {
            tracer::record::parse(&repaired.bytes).unwrap();
        }
    }
}

#[test]
fn seeds_are_written_where_asked_for() {
    let Some(folder) = std::env::var_os("SEED_CORPUS").map(PathBuf::from) else { return };
    for (target, _) in fuzz::TARGETS {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).unwrap();
        for (i, seed) in seeds(target).iter().enumerate() {
            fs::write(folder.join(format!("seed-{i}")), seed).unwrap();
        }
    }
}
