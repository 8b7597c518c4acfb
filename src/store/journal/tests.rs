use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Condvar;

use tempfile::TempDir;

use super::disk::SegmentFile;
use super::*;
use crate::store::CallWrite;
use crate::store::conformance::{at, call};

fn options(directory: &TempDir) -> JournalOptions {
    JournalOptions::new(directory.path().join("journal"))
}

/// Events of that many calls, in the order in which they are appended.
fn events(count: i64) -> Vec<CallEvent> {
    (0..count).map(|n| call("one", n).started(at(n))).collect()
}

/// All that the journal in a directory holds from earlier processes.
fn left_in(directory: &TempDir) -> (Vec<CallWrite>, Vec<Damage>) {
    let (_journal, mut tail) = Journal::open(options(directory)).unwrap();
    let (mut records, mut damages) = (Vec::new(), Vec::new());
    while !tail.reached_own() {
        let batch = tail.read(7).unwrap();
        records.extend(batch.events.iter().map(|event| CallWrite::from_json(&event.json).unwrap()));
        damages.extend(batch.damages);
    }
    (records, damages)
}

fn ids(events: &[CallEvent]) -> Vec<String> {
    events.iter().map(|event| event.record().call_id.to_string()).collect()
}

fn ids_of(records: &[CallWrite]) -> Vec<String> {
    records.iter().map(|record| record.call_id().to_string()).collect()
}

/// Runs a command without the superuser's rights.
pub(crate) fn as_nobody(command: &mut Command) -> Output {
    let superuser = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if superuser {
        // Copied to where anybody may run it.
        let place = TempDir::new().unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let copy = place.path().join("test");
        std::fs::copy(command.get_program(), &copy).unwrap();
        let mut copied = Command::new(&copy);
        copied.args(command.get_args());
        copied.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        return copied.uid(65534).gid(65534).current_dir("/").output().unwrap();
    }
    command.output().unwrap()
}

#[tokio::test]
async fn what_was_answered_comes_back_in_order() {
    let directory = TempDir::new().unwrap();
    let events = events(100);
    let (journal, _tail) = Journal::open(options(&directory)).unwrap();
    for event in &events {
        journal.append(event).unwrap().await.unwrap();
    }
    journal.append_synced(&events[0]).unwrap().await.unwrap();
    journal.close().await;
    assert!(matches!(journal.append(&events[0]), Err(JournalError::Closed)));
    drop(journal);
    let (found, damages) = left_in(&directory);
    assert_eq!(ids_of(&found)[..100], ids(&events));
    assert_eq!((found.len(), damages), (101, vec![]));
}

#[tokio::test]
async fn closing_writes_what_nobody_waited_for() {
    let directory = TempDir::new().unwrap();
    let (journal, _tail) = Journal::open(options(&directory)).unwrap();
    let answers: Vec<Written> = events(500).iter().map(|event| journal.append(event).unwrap()).collect();
    journal.close().await;
    drop((journal, answers));
    assert_eq!(left_in(&directory).0.len(), 500);
}

#[tokio::test]
async fn the_reader_follows_the_writer_through_the_segments() {
    let directory = TempDir::new().unwrap();
    let (journal, mut tail) =
        Journal::open(JournalOptions { segment_bytes: 4096, ..options(&directory) }).unwrap();
    let events = events(60);
    let mut found = Vec::new();
    for event in &events {
        journal.append(event).unwrap().await.unwrap();
        assert!(tail.more().await);
        while !tail.caught_up() {
            found.extend(tail.read(2).unwrap().events);
        }
    }
    let found: Vec<CallWrite> =
        found.iter().map(|event| CallWrite::from_json(&event.json).unwrap()).collect();
    assert_eq!(ids_of(&found), ids(&events));
    assert!(tail.position().segment > 3, "{:?}", tail.position());
    JournalTail::remove_before(tail.directory(), tail.position().segment).unwrap();
    assert_eq!(segment::list(tail.directory()).unwrap(), [tail.position().segment]);
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_loses_the_last_event_only_and_is_reported() {
    let whole = TempDir::new().unwrap();
    let (journal, tail) = Journal::open(options(&whole)).unwrap();
    let events = events(3);
    for event in &events {
        journal.append(event).unwrap().await.unwrap();
    }
    let bytes = std::fs::read(segment::path(tail.directory(), 1)).unwrap();
    let last = bytes.len() - encode(&events[2]).unwrap().len();
    for cut in (last + 1)..bytes.len() {
        let torn = TempDir::new_in(whole.path()).unwrap();
        std::fs::create_dir(torn.path().join("journal")).unwrap();
        std::fs::write(segment::path(&torn.path().join("journal"), 1), &bytes[..cut]).unwrap();
        let (found, damages) = left_in(&torn);
        assert_eq!(ids_of(&found), ids(&events[..2]), "cut at {cut}");
        let damage = Damage { segment: 1, offset: last as u64, bytes: (cut - last) as u64, torn: true };
        assert_eq!(damages, [damage]);
    }
}

#[test]
fn a_damaged_header_is_reported_and_the_events_behind_it_are_kept() {
    let directory = TempDir::new().unwrap();
    let place = directory.path().join("journal");
    std::fs::create_dir(&place).unwrap();
    let frame = encode(&events(1)[0]).unwrap();
    std::fs::write(segment::path(&place, 3), [&[0; frame::HEADER_BYTES], frame.as_slice()].concat()).unwrap();
    std::fs::write(segment::path(&place, 4), b"OFF").unwrap();
    std::fs::write(segment::path(&place, 5), b"").unwrap();
    let (found, damages) = left_in(&directory);
    assert_eq!(found.len(), 1);
    let places: Vec<(u64, u64)> = damages.iter().map(|damage| (damage.segment, damage.bytes)).collect();
    assert_eq!(places, [(3, 32), (4, 3)]);
}

#[test]
fn one_directory_is_open_in_one_process_at_a_time() {
    let directory = TempDir::new().unwrap();
    let (journal, _tail) = Journal::open(options(&directory)).unwrap();
    let second = Journal::open(options(&directory)).map(drop);
    assert!(matches!(second, Err(JournalError::InUse { .. })), "{second:?}");
    drop(journal);
}

#[test]
fn a_checkpoint_of_another_journal_does_not_count() {
    let directory = TempDir::new().unwrap();
    let (_journal, mut tail) = Journal::open(options(&directory)).unwrap();
    let place = Position { segment: 0, offset: 99 };
    tail.resume(tail.journal(), place);
    assert_eq!(tail.position(), place);
    tail.resume(tail.journal() ^ 1, place);
    assert_eq!(tail.position().offset, 0);
    tail.resume(tail.journal(), Position { segment: 1000, offset: 99 });
    assert_eq!(tail.position().segment, 0);
}

#[tokio::test]
async fn a_record_beyond_the_bound_goes_in_abridged() {
    let directory = TempDir::new().unwrap();
    let (journal, mut tail) = Journal::open(options(&directory)).unwrap();
    let mut record = call("one", 0);
    record.summary = Some("x".repeat(frame::MAX_PAYLOAD_BYTES));
    journal.append(&record.started(at(0))).unwrap().await.unwrap();
    while !tail.reached_own() {
        tail.read(1).unwrap();
    }
    let read: CallRecord = serde_json::from_slice(&tail.read(1).unwrap().events[0].json).unwrap();
    assert!(read.abridged && read.summary.is_none());
    assert_eq!(read.call_id, record.call_id);
}

/// A disk that does as it is told.
#[derive(Default)]
struct MoodyDisk {
    mood: Arc<Mood>,
}

#[derive(Default)]
struct Mood {
    full: AtomicBool,
    frozen: Mutex<bool>,
    thawed: Condvar,
}

struct MoodyFile {
    file: Arc<dyn SegmentFile>,
    mood: Arc<Mood>,
}

impl Disk for MoodyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(MoodyFile { file: RealDisk.create(path)?, mood: Arc::clone(&self.mood) }))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }
}

impl SegmentFile for MoodyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let frozen = self.mood.frozen.lock().unwrap();
        drop(self.mood.thawed.wait_while(frozen, |frozen| *frozen).unwrap());
        if self.mood.full.load(Ordering::SeqCst) {
            // As a disk does that fills up: a part goes through.
            return match bytes.len() {
                0..=7 => Err(io::ErrorKind::StorageFull.into()),
                _ => self.file.write_at(&bytes[..7], offset),
            }
            .and_then(|_| Err(io::ErrorKind::StorageFull.into()));
        }
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.mood.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.sync()
    }
}

#[tokio::test]
async fn on_a_full_disk_events_are_held_and_written_when_there_is_room() {
    let directory = TempDir::new().unwrap();
    let disk = MoodyDisk::default();
    let mood = Arc::clone(&disk.mood);
    let (journal, _tail) = Journal::open_on(Arc::new(disk), options(&directory)).unwrap();
    let events = events(4);
    journal.append(&events[0]).unwrap().await.unwrap();
    mood.full.store(true, Ordering::SeqCst);
    for event in &events[1..3] {
        let held = journal.append(event).unwrap().await;
        assert!(matches!(held, Err(JournalError::Held { .. })), "{held:?}");
    }
    let health = journal.health();
    assert!(
        health.waiting_bytes > 0 && health.refusal.is_some() && health.stalled_for.is_some(),
        "{health:?}"
    );
    mood.full.store(false, Ordering::SeqCst);
    // Answered once the retry has gone through, whatever is held until then.
    while journal.append(&events[3]).unwrap().await.is_err() {}
    assert_eq!(journal.health().stalled_for, None);
    journal.close().await;
    assert_eq!(journal.health().waiting_bytes, 0);
    drop(journal);
    let (found, damages) = left_in(&directory);
    assert_eq!(ids_of(&found)[..3], ids(&events[..3]));
    assert_eq!((ids_of(&found)[3].as_str(), damages.len()), (ids(&events)[3].as_str(), 0));
}

#[tokio::test]
async fn a_frozen_disk_fills_the_queue_and_then_events_are_refused_at_once() {
    let directory = TempDir::new().unwrap();
    let disk = MoodyDisk::default();
    let mood = Arc::clone(&disk.mood);
    let bounded = JournalOptions { queue_bytes: 20_000, ..options(&directory) };
    let (journal, _tail) = Journal::open_on(Arc::new(disk), bounded).unwrap();
    *mood.frozen.lock().unwrap() = true;
    let mut taken = Vec::new();
    let refused = loop {
        match journal.append(&call("one", 0).started(at(0))) {
            Ok(written) => taken.push(written),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::Full), "{refused:?}");
    assert!(taken.len() > 5 && journal.health().waiting_bytes <= 20_000);
    *mood.frozen.lock().unwrap() = false;
    mood.thawed.notify_all();
    let count = taken.len();
    for written in taken {
        written.await.unwrap();
    }
    journal.close().await;
    drop(journal);
    assert_eq!(left_in(&directory).0.len(), count);
}

#[test]
fn what_was_answered_survives_kill_9() {
    let directory = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::journal::tests::child_writes", "--ignored", "--nocapture"])
        .env("STORE_TEST_DIRECTORY", directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
    let answered: Vec<String> = lines
        .map(Result::unwrap)
        .filter_map(|line| line.strip_prefix("answered ").map(str::to_owned))
        .take(300)
        .collect();
    // SIGKILL: nothing of the child runs any more.
    child.kill().unwrap();
    child.wait().unwrap();
    let (found, damages) = left_in(&directory);
    let found = ids_of(&found);
    assert_eq!((answered.len(), damages), (300, vec![]));
    for id in answered {
        assert_eq!(found.iter().filter(|known| **known == id).count(), 1, "{id}");
    }
}

#[tokio::test]
#[ignore = "run by another test in a process of its own"]
async fn child_writes() {
    let Some(directory) = std::env::var_os("STORE_TEST_DIRECTORY") else { return };
    let (journal, _tail) = Journal::open(JournalOptions::new(Path::new(&directory).join("journal"))).unwrap();
    loop {
        let event = call("one", 0).started(at(0));
        journal.append(&event).unwrap().await.unwrap();
        println!("answered {}", event.record().call_id);
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    let directory = TempDir::new().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let output = as_nobody(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::journal::tests::child_opens", "--ignored", "--nocapture"])
            .env("STORE_TEST_DIRECTORY", directory.path()),
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("can't write the call journal in") && said.contains("--data"), "{said}");
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn child_opens() {
    let Some(directory) = std::env::var_os("STORE_TEST_DIRECTORY") else { return };
    let opened = Journal::open(JournalOptions::new(Path::new(&directory).join("journal")));
    println!("{}", opened.map(drop).unwrap_err());
}
