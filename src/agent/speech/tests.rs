//! The service, with small programs in the synthesiser's place.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// A program that counts its runs in `runs`, then does `then` with a WAV file at hand in `tone`.
fn program(directory: &TempDir, then: &str) -> PathBuf {
    let tone: Vec<i16> = (0..8_000_i16).map(|n| if n % 8 < 4 { 6_000 } else { -6_000 }).collect();
    std::fs::write(directory.path().join("tone"), wav::write_alaw(&tone)).unwrap();
    let file = directory.path().join("espeak-ng");
    let script = format!("#!/bin/sh\ncd {}\necho run >> runs\n{then}\n", directory.path().display());
    let written = directory.path().join("script");
    std::fs::write(&written, script).unwrap();
    std::fs::set_permissions(&written, std::fs::Permissions::from_mode(0o755)).unwrap();
    // A file that this process has open for writing when another test forks can't be run for a
    // moment (ETXTBSY), so another process writes it.
    let copied = std::process::Command::new("cp").arg("-p").arg(&written).arg(&file).status();
    assert!(copied.unwrap().success());
    file
}

fn speech(espeak: Option<PathBuf>, limit: Duration) -> Speech {
    Speech::new(SpeechConfig { espeak, limit, shipped: false, ..SpeechConfig::detect() })
}

fn runs(directory: &Path) -> usize {
    std::fs::read_to_string(directory.join("runs")).map_or(0, |runs| runs.lines().count())
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn calls_that_want_the_same_text_share_one_rendering() {
    let directory = TempDir::new().unwrap();
    let speech = speech(Some(program(&directory, "cat > text; cat tone")), LONG);
    let wanted = (0..20).map(|_| speech.speak("fr-FR", "Bonjour à tous."));
    for audio in futures_util::future::join_all(wanted).await {
        assert!(audio.unwrap().len() > 8_000);
    }
    assert_eq!(runs(directory.path()), 1);
    assert!(speech.cached("fr", "Bonjour à tous.").is_some());
    speech.speak("fr-FR", "Bonjour à tous.").await.unwrap();
    assert_eq!(runs(directory.path()), 1);
    assert!(held(&speech.inner.flights).is_empty());
}

#[tokio::test]
async fn the_text_goes_in_by_standard_input_only() {
    let directory = TempDir::new().unwrap();
    let speech = speech(Some(program(&directory, r#"echo "$*" > arguments; cat > text; cat tone"#)), LONG);
    speech.speak("en-US", "$(reboot) -f --version; Dr. No").await.unwrap();
    let read = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("arguments").trim(), "-v en-us -s 150 -b 1 -z --stdin --stdout");
    assert_eq!(read("text"), "$(reboot) -f --version; doctor No");
}

#[tokio::test]
async fn a_synthesiser_that_hangs_is_stopped() {
    let directory = TempDir::new().unwrap();
    let limit = Duration::from_millis(200);
    let speech = speech(Some(program(&directory, "echo $$ > pid; exec sleep 600")), limit);
    let error = speech.speak("fr", "Bonjour.").await.unwrap_err();
    assert_eq!(error, SpeechError::TimedOut { after: limit });
    let pid = std::fs::read_to_string(directory.path().join("pid")).unwrap();
    let running = Path::new("/proc").join(pid.trim());
    while running.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_failure_is_told_and_not_kept() {
    let directory = TempDir::new().unwrap();
    let speech = speech(Some(program(&directory, "exit 3")), LONG);
    for _ in 0..2 {
        let error = speech.speak("fr", "Bonjour.").await.unwrap_err();
        assert_eq!(error, SpeechError::Failed { status: Some(3) });
    }
    assert_eq!(runs(directory.path()), 2);
    assert!(held(&speech.inner.flights).is_empty());
}

#[tokio::test]
async fn output_that_is_no_audio_is_refused() {
    let directory = TempDir::new().unwrap();
    let speech = speech(Some(program(&directory, "echo oops")), LONG);
    let error = speech.speak("fr", "Bonjour.").await.unwrap_err();
    assert_eq!(error, SpeechError::Unreadable(WavError::NotWav));
}

#[tokio::test]
async fn a_program_that_is_missing_is_told_by_the_operating_systems_word() {
    let speech = speech(Some(PathBuf::from("/nonexistent/espeak-ng")), LONG);
    let error = speech.speak("fr", "Bonjour.").await.unwrap_err();
    assert_eq!(error, SpeechError::NotStarted { cause: std::io::ErrorKind::NotFound });
}

#[tokio::test]
async fn without_a_synthesiser_the_error_says_what_to_install() {
    let speech = speech(None, LONG);
    let error = speech.speak("fr", "Bonjour.").await.unwrap_err();
    assert!(error.to_string().contains("apt-get install espeak-ng"));
    assert!(!speech.synthesises());
}

#[tokio::test]
async fn texts_with_nothing_to_say_or_too_much_never_reach_the_synthesiser() {
    let directory = TempDir::new().unwrap();
    let speech = speech(Some(program(&directory, "cat tone")), LONG);
    assert_eq!(speech.speak("fr", " .\n…").await.unwrap_err(), SpeechError::Nothing);
    let long = "ab ".repeat(1_000);
    assert_eq!(speech.speak("fr", &long).await.unwrap_err(), SpeechError::TooLong { chars: 3_000 });
    assert_eq!(runs(directory.path()), 0);
}

#[tokio::test]
async fn a_rendering_that_nobody_waits_for_is_given_up() {
    let directory = TempDir::new().unwrap();
    let speech = speech(Some(program(&directory, "cat > text; cat tone")), LONG);
    drop(speech.speak("fr", "Bonjour."));
    speech.speak("fr", "Bonjour.").await.unwrap();
    assert_eq!(runs(directory.path()), 1);
}

#[tokio::test]
async fn a_real_synthesiser_gives_telephone_speech() {
    let Some(program) = SpeechConfig::detect().espeak else { return };
    let speech = speech(Some(program), LONG);
    let audio = speech.speak("fr-FR", "Bonjour, ceci est un essai.").await.unwrap();
    let ms = audio.len() / media::SAMPLES_PER_MS;
    assert!((1_000..4_000).contains(&ms), "{ms} ms");
    let level = shape::active_dbfs(&audio).unwrap();
    assert!((-24.0..=-16.0).contains(&level), "{level} dBFS");
}
