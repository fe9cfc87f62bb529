//! Recordings that a crash has left behind: made whole and given their names when the next engine starts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::wav;
use crate::sys;

/// Folders below the directory of recordings that are looked into: names of recordings have year and month before them.
const DEPTH: usize = 4;
/// Bytes of the header of an Ogg page, without its table.
const PAGE_HEAD: usize = 27;

/// What became of one file: its name, or why it stays as it is.
pub type Mended = Result<PathBuf, String>;

/// Mends every file below the directory that nobody writes.
pub fn all(directory: &Path) -> Vec<Mended> {
    let mut found = Vec::new();
    look(directory, DEPTH, &mut found);
    found
        .iter()
        .filter_map(|part| one(part).transpose())
        .collect()
}

fn look(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    // A directory that is not there has nothing to mend; links are not followed.
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        if kind.is_dir() && depth > 0 {
            look(&path, depth - 1, found);
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "part") {
            found.push(path);
        }
    }
}

/// `None` for a file that is being written.
fn one(part: &Path) -> Result<Option<PathBuf>, String> {
    let name = part.with_extension("");
    let words = |error: io::Error| format!("{}: {error}", part.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(part)
        .map_err(words)?;
    if !sys::lock(&file) {
        return Ok(None);
    }
    if name.exists() {
        return Err(format!("{}: {} exists", part.display(), name.display()));
    }
    match name.extension().and_then(|ending| ending.to_str()) {
        Some("wav") => wav::mend(&mut file).map_err(words)?,
        Some("ogg" | "opus") => cut(&mut file).map_err(words)?,
        _ => return Err(format!("{} is no recording", part.display())),
    }
    fs::rename(part, &name).map_err(words)?;
    Ok(Some(name))
}

/// An Ogg file ends with its last whole page.
fn cut(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let (mut at, mut head) = (0u64, [0u8; PAGE_HEAD]);
    while at + PAGE_HEAD as u64 <= length {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let mut table = vec![0u8; usize::from(head[PAGE_HEAD - 1])];
        let whole = file.read_exact(&mut table).is_ok();
        let body: u64 = table.iter().map(|size| u64::from(*size)).sum();
        let next = at + (PAGE_HEAD + table.len()) as u64 + body;
        if !head.starts_with(b"OggS") || !whole || next > length {
            break;
        }
        at = next;
    }
    if at == 0 {
        return Err(io::Error::other("it holds no page of Ogg"));
    }
    file.set_len(at)
}
