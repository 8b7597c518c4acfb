//! The sentences that ship as audio. They are A-law, and a call in A-law carries A-law, so what a
//! caller hears can be compared byte by byte.

use super::root;

/// The bytes at the edges that aren't compared: fades, and where a packet began.
const EDGE: usize = 800;

/// The middle of the sentence whose file begins with `name`, such as
/// `en-us/sorry-the-call-could-not`.
pub fn sentence(name: &str) -> Vec<u8> {
    let (directory, start) = name.split_once('/').unwrap();
    let directory = root().join("config/audio").join(directory);
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(start))
        .collect();
    assert_eq!(files.len(), 1, "{name} should name one file: {files:?}");
    let file = std::fs::read(files.remove(0)).unwrap();
    let at = file.windows(4).position(|window| window == b"data").unwrap() + 8;
    file[at + EDGE..file.len() - EDGE].to_vec()
}
