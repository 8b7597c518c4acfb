//! How the calls of a worker sound, counted while they run.

use std::sync::atomic::{AtomicU64, Ordering};

use media::session::SessionStats;

/// What of quality is counted: over all calls so far, and over those that run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quality {
    /// RTP packets that never came.
    pub lost: u64,
    /// RTP packets that came too late or too many to be heard, or twice.
    pub discarded: u64,
    /// Speech made up for what was missing, in milliseconds.
    pub concealed_ms: u64,
    /// Datagrams from sources that may not speak, or haven't proved that they may.
    pub refused: u64,
    /// SRTP packets that failed authentication, or were seen before.
    pub unauthenticated: u64,
    /// Jitter of the running calls, in microseconds, added up.
    pub jitter_us: u64,
    /// Round trips of the running calls that know one, in microseconds, added up, and how many these are.
    pub round_trip_us: u64,
    /// See `round_trip_us`.
    pub round_trips: u64,
    /// Running calls by [`GRADES`].
    pub grades: [u64; GRADES.len()],
}

/// Grades of the estimated score (ITU-T G.107 Annex B), best first, and the least score of each.
pub const GRADES: [(&str, f32); 4] = [("good", 4.0), ("fair", 3.6), ("poor", 3.1), ("bad", 0.0)];

const FIELDS: usize = 8 + GRADES.len();

impl Quality {
    /// What one call adds.
    pub(super) fn of(stats: &SessionStats) -> Self {
        let mut grades = [0; GRADES.len()];
        let grade = stats.mos.and_then(|mos| GRADES.iter().position(|(_, least)| mos >= *least));
        if let Some(place) = grade.and_then(|grade| grades.get_mut(grade)) {
            *place = 1;
        }
        Self {
            lost: stats.lost,
            discarded: stats.discarded + stats.duplicate,
            concealed_ms: stats.concealed_ms,
            refused: stats.injected + stats.unproven,
            unauthenticated: stats.unauthenticated + stats.replayed,
            jitter_us: micros(stats.jitter_ms),
            round_trip_us: stats.round_trip_ms.map_or(0, micros),
            round_trips: stats.round_trip_ms.is_some().into(),
            grades,
        }
    }

    /// The same for a call that has ended: what was counted stays.
    pub(super) fn ended(self) -> Self {
        Self { jitter_us: 0, round_trip_us: 0, round_trips: 0, grades: [0; GRADES.len()], ..self }
    }

    /// Puts what a call adds now in the place of what it added before.
    pub(super) fn replace(&mut self, before: Self, now: Self) {
        let fields = self.fields().into_iter().zip(before.fields()).zip(now.fields());
        let mut sums = [0; FIELDS];
        for (sum, ((field, before), now)) in sums.iter_mut().zip(fields) {
            // A count of a call may fall, as loss does when a late packet comes.
            *sum = field.saturating_add(now).saturating_sub(before);
        }
        *self = Self::from_fields(sums);
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.replace(Self::default(), other);
        self
    }

    fn fields(self) -> [u64; FIELDS] {
        let [good, fair, poor, bad] = self.grades;
        [
            self.lost,
            self.discarded,
            self.concealed_ms,
            self.refused,
            self.unauthenticated,
            self.jitter_us,
            self.round_trip_us,
            self.round_trips,
            good,
            fair,
            poor,
            bad,
        ]
    }

    fn from_fields(fields: [u64; FIELDS]) -> Self {
        let [lost, discarded, concealed_ms, refused, unauthenticated, jitter_us, rest @ ..] = fields;
        let [round_trip_us, round_trips, grades @ ..] = rest;
        Self {
            lost,
            discarded,
            concealed_ms,
            refused,
            unauthenticated,
            jitter_us,
            round_trip_us,
            round_trips,
            grades,
        }
    }
}

/// A float to integer cast saturates, and makes nothing of what is no number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn micros(ms: f32) -> u64 {
    (ms * 1_000.0) as u64
}

/// A worker's figures, for others to read.
#[derive(Debug, Default)]
pub(super) struct Shared([AtomicU64; FIELDS]);

impl Shared {
    pub fn store(&self, quality: Quality) {
        for (place, field) in self.0.iter().zip(quality.fields()) {
            place.store(field, Ordering::Relaxed);
        }
    }

    pub fn read(&self) -> Quality {
        Quality::from_fields(std::array::from_fn(|place| {
            self.0.get(place).map_or(0, |field| field.load(Ordering::Relaxed))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_and_levels_go_with_their_call() {
        let stats = SessionStats {
            lost: 3,
            jitter_ms: 2.5,
            round_trip_ms: Some(40.0),
            mos: Some(3.7),
            ..SessionStats::default()
        };
        let (mut sum, first) = (Quality::default(), Quality::of(&stats));
        sum.replace(Quality::default(), first);
        assert_eq!(
            (sum.lost, sum.jitter_us, sum.round_trip_us, sum.grades),
            (3, 2_500, 40_000, [0, 1, 0, 0])
        );
        let later = Quality::of(&SessionStats { lost: 2, mos: Some(2.0), ..stats });
        sum.replace(first, later);
        assert_eq!((sum.lost, sum.grades), (2, [0, 0, 0, 1]));
        sum.replace(later, later.ended());
        assert_eq!(sum, Quality { lost: 2, ..Quality::default() });
        let shared = Shared::default();
        shared.store(later);
        assert_eq!(shared.read(), later);
        assert_eq!(later.and(later).lost, 4);
    }
}
