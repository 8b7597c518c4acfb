//! The caller's voice on its way from the media path to an agent that listens: G.711 frames of
//! 20 ms in a ring that both ends use without a lock and without memory being taken per frame.
//!
//! The media worker pushes and never waits; what doesn't fit is dropped and counted, since real
//! time can't wait. The reader says from how many frames on it wants to be woken: under load it
//! is cheaper to be woken for three frames once than three times for one. With many readers even
//! that is much, since waking a task of another thread takes a system call: then they leave it to a
//! [`Beat`] on their own thread, which looks at all rings a hundred times a second.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
pub use media::codec::Law;
use tokio::sync::Notify;

/// Samples, and codewords, of a frame: 20 ms.
pub const FRAME: usize = 160;
/// Frames that the ring holds: 320 ms.
pub const FRAMES: usize = 16;
/// A frame in words of eight codewords.
const WORDS: usize = FRAME / 8;

/// The media path's end.
#[derive(Debug)]
pub struct CallerAudioFeed {
    ring: Arc<Ring>,
}

/// The agent's end.
#[derive(Debug)]
pub struct CallerAudio {
    ring: Arc<Ring>,
}

#[derive(Debug)]
struct Ring {
    law: Law,
    words: Box<[AtomicU64]>,
    /// Frames pushed and frames taken since the start; the feed writes the first only, the
    /// reader the second only.
    pushed: AtomicUsize,
    taken: AtomicUsize,
    dropped: AtomicU64,
    wake_at: AtomicUsize,
    /// A beat wakes the reader, not the feed.
    on_beat: AtomicBool,
    /// The reader is gone.
    left: AtomicBool,
    waker: AtomicWaker,
}

/// Wakes the readers that leave it to it.
#[derive(Debug, Default)]
pub struct Beat {
    rings: Mutex<Vec<Arc<Ring>>>,
    wanted: Notify,
}

/// Half a frame: what leaving it to a beat costs at most.
const BEAT: Duration = Duration::from_millis(10);

/// A ring for one call, in the law that the agent wants.
#[must_use]
pub fn channel(law: Law) -> (CallerAudioFeed, CallerAudio) {
    let ring = Arc::new(Ring {
        law,
        words: (0..FRAMES * WORDS).map(|_| AtomicU64::new(0)).collect(),
        pushed: AtomicUsize::new(0),
        taken: AtomicUsize::new(0),
        dropped: AtomicU64::new(0),
        wake_at: AtomicUsize::new(1),
        on_beat: AtomicBool::new(false),
        left: AtomicBool::new(false),
        waker: AtomicWaker::new(),
    });
    (CallerAudioFeed { ring: Arc::clone(&ring) }, CallerAudio { ring })
}

impl CallerAudioFeed {
    /// Hands on a frame; drops it when the reader is 320 ms behind.
    pub fn push(&mut self, samples: &[i16; FRAME]) {
        let ring = &*self.ring;
        let pushed = ring.pushed.load(Ordering::Relaxed);
        let waiting = pushed.wrapping_sub(ring.taken.load(Ordering::Acquire));
        if waiting >= FRAMES {
            ring.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut frame = [0; FRAME];
        ring.law.encode_into(samples, &mut frame);
        let (words, _) = frame.as_chunks::<8>();
        for (slot, word) in ring.slot(pushed).iter().zip(words) {
            slot.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        ring.pushed.store(pushed.wrapping_add(1), Ordering::Release);
        if waiting + 1 >= ring.wake_at.load(Ordering::Relaxed) && !ring.on_beat.load(Ordering::Relaxed) {
            ring.waker.wake();
        }
    }
}

impl CallerAudio {
    /// The law of the codewords.
    #[must_use]
    pub fn law(&self) -> Law {
        self.ring.law
    }

    /// From how many frames on the reader is woken; at least one, at most half the ring.
    pub fn wake_at(&self, frames: usize) {
        self.ring.wake_at.store(frames.clamp(1, FRAMES / 2), Ordering::Relaxed);
    }

    /// Frames that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.pushed.load(Ordering::Acquire).wrapping_sub(self.ring.taken.load(Ordering::Relaxed))
    }

    /// Ready when as many frames wait as [`CallerAudio::wake_at`] says.
    pub fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        let wanted = self.ring.wake_at.load(Ordering::Relaxed);
        if self.waiting() >= wanted {
            return Poll::Ready(());
        }
        self.ring.waker.register(context.waker());
        // One may have come between the look and the registration.
        if self.waiting() >= wanted { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes the oldest frame.
    pub fn take(&mut self, out: &mut [u8; FRAME]) -> bool {
        if self.waiting() == 0 {
            return false;
        }
        let taken = self.ring.taken.load(Ordering::Relaxed);
        let (words, _) = out.as_chunks_mut::<8>();
        for (slot, word) in self.ring.slot(taken).iter().zip(words) {
            *word = slot.load(Ordering::Relaxed).to_ne_bytes();
        }
        self.ring.taken.store(taken.wrapping_add(1), Ordering::Release);
        true
    }

    /// Drops what waits: it is of a time in which nobody listened.
    pub fn skip(&mut self) {
        self.ring.taken.store(self.ring.pushed.load(Ordering::Acquire), Ordering::Release);
    }

    /// Frames that were dropped because the reader was behind.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.ring.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for CallerAudio {
    fn drop(&mut self) {
        self.ring.left.store(true, Ordering::Relaxed);
    }
}

impl Beat {
    /// Leaves it to the beat to wake this reader, or to the feed again.
    pub fn wakes(&self, audio: &CallerAudio, yes: bool) {
        if audio.ring.on_beat.swap(yes, Ordering::Relaxed) == yes || !yes {
            return;
        }
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        if !rings.iter().any(|known| Arc::ptr_eq(known, &audio.ring)) {
            rings.push(Arc::clone(&audio.ring));
        }
        self.wanted.notify_one();
    }

    /// Beats for as long as the task runs; rests while nobody leaves anything to it.
    pub async fn run(&self) {
        loop {
            if self.beat() == 0 {
                self.wanted.notified().await;
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Wakes whoever has enough frames. Returns how many readers leave it to the beat.
    fn beat(&self) -> usize {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.retain(|ring| ring.on_beat.load(Ordering::Relaxed) && !ring.left.load(Ordering::Relaxed));
        for ring in rings.iter() {
            let waiting =
                ring.pushed.load(Ordering::Acquire).wrapping_sub(ring.taken.load(Ordering::Relaxed));
            if waiting >= ring.wake_at.load(Ordering::Relaxed) {
                ring.waker.wake();
            }
        }
        rings.len()
    }
}

impl Ring {
    fn slot(&self, frame: usize) -> &[AtomicU64] {
        let from = frame % FRAMES * WORDS;
        self.words.get(from..from + WORDS).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A frame of one level that both laws have exactly.
    fn level(at: i16) -> [i16; FRAME] {
        [Law::A.decode(Law::A.encode(at)); FRAME]
    }

    #[test]
    fn frames_come_out_in_order_and_exactly() {
        let (mut feed, mut audio) = channel(Law::A);
        let mut out = [0; FRAME];
        for round in 0..3 * FRAMES as i16 {
            let frame = level(round * 300 - 8_000);
            feed.push(&frame);
            assert!(audio.take(&mut out));
            let mut samples = [0; FRAME];
            Law::A.decode_into(&out, &mut samples);
            assert_eq!(samples, frame);
        }
        assert!(!audio.take(&mut out));
    }

    #[test]
    fn what_doesnt_fit_is_dropped_and_counted_and_the_oldest_stays() {
        let (mut feed, mut audio) = channel(Law::Mu);
        for _ in 0..FRAMES + 3 {
            feed.push(&[0; FRAME]);
        }
        assert_eq!((audio.waiting(), audio.dropped()), (FRAMES, 3));
        audio.skip();
        assert_eq!(audio.waiting(), 0);
    }

    #[test]
    fn a_reader_that_leaves_it_to_the_beat_is_woken_by_it_alone() {
        let (mut feed, audio) = channel(Law::Mu);
        let beat = Beat::default();
        beat.wakes(&audio, true);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        assert_eq!(audio.poll_ready(&Context::from_waker(&waker)), Poll::Pending);
        assert_eq!(beat.beat(), 1);
        feed.push(&[0; FRAME]);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        beat.beat();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        beat.wakes(&audio, false);
        assert_eq!(beat.beat(), 0);
        beat.wakes(&audio, true);
        drop(audio);
        assert_eq!(beat.beat(), 0);
    }

    #[test]
    fn the_reader_is_woken_for_as_many_frames_as_it_wants_at_once() {
        let (mut feed, mut audio) = channel(Law::Mu);
        audio.wake_at(3);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        assert_eq!(audio.poll_ready(&context), Poll::Pending);
        feed.push(&[0; FRAME]);
        feed.push(&[0; FRAME]);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        feed.push(&[0; FRAME]);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(audio.poll_ready(&context), Poll::Ready(()));
        let mut out = [0; FRAME];
        while audio.take(&mut out) {}
        assert_eq!(audio.poll_ready(&context), Poll::Pending);
    }
}
