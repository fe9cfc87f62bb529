//! Where `unsafe` lives: two files of what is shipped, so that a reader of the others need not look for it.

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 4] = ["rtp", "dsp", "media", "engine"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn unsafe_code_lives_in_two_files() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for room in ROOMS {
        sources(&crates.join(room).join("src"), &mut files);
    }
    assert!(files.len() > 80, "{} files", files.len());
    let text = |path: &Path| fs::read_to_string(path).expect("text");
    let mut allowed: Vec<String> = files
        .iter()
        .filter(|path| text(path).contains("allow(unsafe_code"))
        .map(|path| {
            path.strip_prefix(&crates)
                .expect("below")
                .display()
                .to_string()
        })
        .collect();
    allowed.sort();
    assert_eq!(allowed, ["dsp/src/opus.rs", "engine/src/sys.rs"]);
}
