//! Writes the shipped catalogue: a WAV file per sentence, and the Rust list that puts them into
//! the binary. Run by hand when the demo tenants or the standard sentences change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::espeak::Espeak;
use super::voice::Voice;
use super::{SpeechConfig, SpeechError, wav};

/// The list's file name in the catalogue's directory.
const LIST: &str = "catalogue.rs";
const SLUG_CHARS: usize = 40;

/// A text and the locale it is spoken in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sentence {
    /// BCP 47 tag.
    pub locale: String,
    /// What is said.
    pub text: String,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rendered {
    /// Audio files, one per voice and text.
    pub files: usize,
    /// Their size together.
    pub bytes: usize,
    /// Audio files of an earlier run that nothing says any more, now removed.
    pub removed: usize,
}

/// Why the catalogue couldn't be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A sentence can't be spoken.
    #[error("\"{text}\": {cause}")]
    Speech {
        /// The sentence.
        text: String,
        /// Why.
        cause: SpeechError,
    },
    /// A file can't be written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
}

/// Renders every sentence into `directory` and removes the audio files there that none needs.
/// Takes about 50 ms a sentence.
///
/// # Errors
/// When there is no synthesiser, when it can't speak a sentence, or when a file can't be written.
/// Files written before the error stay; the list is written last.
pub async fn render(
    sentences: impl IntoIterator<Item = Sentence>,
    directory: &Path,
    config: &SpeechConfig,
) -> Result<Rendered, RenderError> {
    let wanted: BTreeSet<(Voice, String)> =
        sentences.into_iter().map(|sentence| (Voice::for_locale(&sentence.locale), sentence.text)).collect();
    let espeak = config.espeak.clone().map(|program| Espeak::new(program, 1, config.limit));
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    for (voice, text) in wanted {
        let failed = |cause| RenderError::Speech { text: text.clone(), cause };
        let espeak = espeak.as_ref().ok_or(SpeechError::NotInstalled).map_err(failed)?;
        let samples = espeak.render(voice, &text).await.map_err(failed)?;
        let file = wav::write_alaw(&samples);
        let name = file_name(voice, &text);
        bytes += file.len();
        write(&directory.join(&name), &file)?;
        files.insert(name, (voice, text));
    }
    let removed = remove_others(directory, &files)?;
    write(&directory.join(LIST), list(&files).as_bytes())?;
    Ok(Rendered { files: files.len(), bytes, removed })
}

/// By its name a person finds the sentence; the checksum keeps long ones apart.
fn file_name(voice: Voice, text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase).map(unaccented) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() >= SLUG_CHARS {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    format!("{}/{slug}-{:08x}.wav", voice.name(), crc32fast::hash(text.as_bytes()))
}

fn unaccented(c: char) -> char {
    match c {
        'à' | 'â' | 'ä' | 'á' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'î' | 'ï' | 'í' => 'i',
        'ô' | 'ö' | 'ó' => 'o',
        'ù' | 'û' | 'ü' | 'ú' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        c => c,
    }
}

fn list(files: &BTreeMap<String, (Voice, String)>) -> String {
    let mut out = String::from(
        "// Written by `offhook speech render`: voice, text, and the audio file beside this one.\n&[\n",
    );
    for (name, (voice, text)) in files {
        // Writing to a String can't fail.
        let _ = writeln!(out, "    ({:?}, {text:?}, include_bytes!({name:?})),", voice.name());
    }
    out.push_str("]\n");
    out
}

fn remove_others(directory: &Path, files: &BTreeMap<String, (Voice, String)>) -> Result<usize, RenderError> {
    let mut removed = 0;
    for voice_dir in entries(directory)?.into_iter().filter(|path| path.is_dir()) {
        for path in entries(&voice_dir)? {
            let name = path.strip_prefix(directory).ok().and_then(Path::to_str);
            let is_audio = path.extension().is_some_and(|extension| extension == "wav");
            if is_audio && !name.is_some_and(|name| files.contains_key(name)) {
                std::fs::remove_file(&path).map_err(|cause| RenderError::File { path, cause })?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, RenderError> {
    let failed = |cause| RenderError::File { path: directory.to_owned(), cause };
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().map_err(failed)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RenderError> {
    let failed = |cause| RenderError::File { path: path.to_owned(), cause };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_sentence() {
        let name = file_name(Voice::for_locale("fr-FR"), "Pour réécouter ces choix, tapez étoile.");
        assert!(name.starts_with("fr-fr/pour-reecouter-ces-choix-tapez-etoile-"), "{name}");
        assert!(name.ends_with(".wav"));
        let long = "x".repeat(500);
        assert!(file_name(Voice::for_locale("en"), &long).len() < 80);
    }

    #[test]
    fn the_list_is_rust_with_the_text_as_it_is_said() {
        let text = "Say \"café\".".to_owned();
        let files = BTreeMap::from([("en-us/x.wav".to_owned(), (Voice::for_locale("en"), text))]);
        assert!(list(&files).contains(r#"("en-us", "Say \"café\".", include_bytes!("en-us/x.wav")),"#));
    }

    #[tokio::test]
    async fn without_a_synthesiser_the_error_says_what_to_install() {
        let directory = tempfile::tempdir().unwrap();
        let config = SpeechConfig { espeak: None, ..SpeechConfig::detect() };
        let sentence = Sentence { locale: "fr".into(), text: "Bonjour.".into() };
        let error = render([sentence], directory.path(), &config).await.unwrap_err();
        assert!(error.to_string().contains("apt-get install espeak-ng"), "{error}");
    }
}
