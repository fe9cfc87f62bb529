//! Names of files below directories that the command line gave: nothing outside of them is opened.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Plain names separated by `/`: no absolute path, no `..`, no `.`, no NUL.
fn plain(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let all = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (all && !name.is_empty() && !name.contains('\0')).then(|| path.to_path_buf())
}

/// The file of that name in the first directory that has it; links may not lead out. The error is a sentence.
pub fn find(directories: &[PathBuf], name: &str, endings: &[&str]) -> Result<PathBuf, String> {
    let plain =
        plain(name).ok_or_else(|| format!("{name:?} is no name below a directory of sounds"))?;
    for directory in directories {
        let Ok(root) = directory.canonicalize() else {
            continue;
        };
        for candidate in candidates(&root.join(&plain), endings) {
            let Ok(found) = candidate.canonicalize() else {
                continue;
            };
            if !found.starts_with(&root) {
                return Err(format!("{name:?} leads out of the directory of sounds"));
            }
            if found.is_file() {
                return Ok(found);
            }
        }
    }
    Err(format!("there is no sound {name:?}"))
}

/// The name as it stands, or with one of the endings.
fn candidates(path: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let ends = |ending: &&str| path.extension() == Some(std::ffi::OsStr::new(*ending));
    if endings.iter().any(ends) {
        return vec![path.to_path_buf()];
    }
    let with = |ending: &&str| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        PathBuf::from(name)
    };
    endings.iter().map(with).collect()
}

/// Where a new file of that name goes; its directories are made. The error is a sentence.
pub fn place(directory: &Path, name: &str) -> Result<PathBuf, String> {
    let plain = plain(name)
        .ok_or_else(|| format!("{name:?} is no name below a directory of recordings"))?;
    let path = directory.join(plain);
    let parent = path.parent().unwrap_or(directory);
    make(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
    let inside = |root: PathBuf| parent.canonicalize().map(|real| real.starts_with(root));
    match directory.canonicalize().and_then(inside) {
        Ok(true) => Ok(path),
        Ok(false) => Err(format!("{name:?} leads out of the directory of recordings")),
        Err(error) => Err(format!("{}: {error}", directory.display())),
    }
}

/// Makes directories, their owner's only. The process's mask is for files: it would leave directories that nobody may enter.
fn make(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    directory.parent().map_or(Ok(()), make)?;
    std::fs::create_dir(directory)?;
    std::fs::set_permissions(directory, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("offhook-names-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("sounds/en")).expect("a directory");
        path
    }

    #[test]
    fn a_name_is_found_in_the_first_directory_that_has_it_with_or_without_its_ending() {
        let top = scratch("found");
        let own = top.join("own");
        std::fs::create_dir_all(own.join("en")).expect("a directory");
        std::fs::write(top.join("sounds/en/one.opus"), "theirs").expect("written");
        std::fs::write(top.join("sounds/en/two.opus"), "theirs").expect("written");
        std::fs::write(own.join("en/one.wav"), "ours").expect("written");
        let both = [own, top.join("sounds")];
        let read = |name: &str| {
            std::fs::read_to_string(find(&both, name, &["wav", "opus"])?).map_err(|e| e.to_string())
        };
        assert_eq!(read("en/one").as_deref(), Ok("ours"));
        assert_eq!(read("en/one.opus").as_deref(), Ok("theirs"));
        assert_eq!(read("en/two").as_deref(), Ok("theirs"));
        let missing = read("en/three").expect_err("it is not there");
        assert!(missing.contains("en/three"), "{missing}");
        let _ = std::fs::remove_dir_all(top);
    }

    #[test]
    fn nothing_outside_is_opened_or_written() {
        let top = scratch("outside");
        std::fs::write(top.join("secret.wav"), "secret").expect("written");
        std::os::unix::fs::symlink(top.join("secret.wav"), top.join("sounds/link.wav"))
            .expect("a link");
        std::os::unix::fs::symlink(&top, top.join("sounds/up")).expect("a link");
        let roots = [top.join("sounds")];
        let absolute = top.join("secret.wav").display().to_string();
        for name in [
            "../secret.wav",
            "en/../../secret.wav",
            &absolute,
            "link.wav",
            "up/secret.wav",
            "",
            "a\0b.wav",
        ] {
            assert!(find(&roots, name, &["wav"]).is_err(), "{name}");
            if name != "link.wav" {
                assert!(place(&roots[0], name).is_err(), "{name}");
            }
        }
        assert!(place(&roots[0], "2026/11/call.wav").is_ok());
        let _ = std::fs::remove_dir_all(top);
    }
}
