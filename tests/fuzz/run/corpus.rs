//! Corpus: inputs that the fuzzer has found, for the tests to replay.

use std::fs;
use std::path::Path;

/// Returns the inputs for this target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = fs::read_dir(folder).expect("a corpus");
    entries.map(|entry| fs::read(entry.expect("an input").path()).expect("an input")).collect()
}
