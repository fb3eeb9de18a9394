//! Presswork's own handbook, carried in the binary: the book that the demo and the benchmarks work on when they are
//! given none. Its files stand in `jobs/handbook/`.

use std::{fs, io, path::Path};

/// A file of the handbook: its path from the folder's root, and its content.
pub type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../handbook/", $path)))),*]
    };
}

/// All of its files, chapters in reading order.
pub const FILES: &[File] = files![
    "00-preface.md",
    "01-what-presswork-is.md",
    "02-first-job.md",
    "03-words.md",
    "04-life-of-a-job.md",
    "05-fairness-and-limits.md",
    "06-retries.md",
    "07-importing.md",
    "08-exporting.md",
    "08-writing-with-models.md",
    "09-artifacts.md",
    "10-progress.md",
    "11-running.md",
    "12-your-own-kind.md",
    "13-troubleshooting.md",
    "14-glossary.md",
    "images/cover.png",
    "images/fairness.png",
    "images/house.jpg",
    "images/pipeline.png",
    "images/state-machine.png",
];

/// Writes all of it below `folder`. Blocks.
///
/// # Errors
/// Where a folder or file can't be made.
pub fn write(folder: &Path) -> io::Result<()> {
    for (name, content) in FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_folder_is_left_out() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("handbook");
        for (folder, endings) in [("", &["md"][..]), ("images/", &["png", "jpg"])] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = format!("{folder}{}", entry.unwrap().file_name().to_string_lossy());
                let wanted = name.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending));
                assert!(!wanted || FILES.iter().any(|(path, _)| *path == name), "{name}");
            }
        }
    }
}
