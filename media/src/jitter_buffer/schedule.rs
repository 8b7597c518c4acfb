//! What is heard next.

use super::{JitterBuffer, Position, STEP, SURPLUS, Step};
use crate::jitter_buffer::{LONGEST_LOSS, STARVED};

impl JitterBuffer {
    /// What is heard next, at `heard_at`: now, or as much later as the reader has samples waiting. The step counts as
    /// read.
    pub fn next(&mut self, heard_at: u64) -> Step<'_> {
        let Some(mut position) = self.position else { return Step::Quiet { units: STEP } };
        let Some(index) = self.earliest() else {
            self.starve();
            return if position.quiet {
                Step::Quiet { units: STEP }
            } else {
                Step::Conceal { units: STEP, next: None }
            };
        };
        let (timestamp, sequence) =
            self.slots.get(index).map_or((0, 0), |slot| (slot.timestamp, slot.sequence));
        if position.owed > 0 {
            self.settle(&mut position, timestamp, heard_at);
            self.position = Some(position);
            // What is first may have changed.
            return self.next(heard_at);
        }
        if timestamp > position.head {
            let came = |last| self.came.has_all_between(last, sequence);
            let lost = !position.quiet && position.last.is_some_and(|last| !came(last));
            return if lost { self.lose(position, index) } else { self.pause(position, timestamp, heard_at) };
        }
        self.occupied &= !(1 << index);
        let skip = position.head - timestamp;
        position.last = Some(position.last.map_or(sequence, |last| last.max(sequence)));
        position.fitted = false;
        let Some(slot) = self.slots.get(index) else { return Step::Quiet { units: STEP } };
        position.quiet = slot.codec.is_none();
        position.head = position.head.max(slot.end());
        self.position = Some(position);
        match slot.codec {
            None => Step::Noise { payload: &slot.payload },
            Some(codec) => Step::Packet { codec, payload: &slot.payload, skip },
        }
    }

    /// Nothing is there: time stands still.
    fn starve(&mut self) {
        if let Some(position) = &mut self.position {
            self.stats.underruns += u64::from(position.owed == 0 && !position.quiet);
            position.owed = position.owed.saturating_add(STEP);
        }
    }

    /// Packets are there again. What was filled in meanwhile stands for what was lost or not sent; what is left of it
    /// is delay. After a long silence the delay is set anew.
    fn settle(&mut self, position: &mut Position, timestamp: u64, heard_at: u64) {
        let owed = std::mem::take(&mut position.owed);
        if owed < STARVED && !position.quiet {
            position.head = position.head.saturating_add(owed).min(timestamp).max(position.head);
            return;
        }
        let target = i64::try_from(self.estimator.target()).unwrap_or(0);
        let most = target + i64::try_from(SURPLUS).unwrap_or(0);
        let mut lateness = self.estimator.lateness(timestamp, heard_at).unwrap_or(0);
        let newest = self.held().map(|slot| slot.timestamp).max().unwrap_or(timestamp);
        if lateness > most && self.estimator.lateness(newest, heard_at).is_some_and(|newest| newest <= most) {
            // The network held everything back and let it go at once: what is too old isn't said again.
            position.head = timestamp + u64::try_from(lateness - target).unwrap_or(0);
            let head = position.head;
            self.stats.overflow += u64::from(self.drop_where(|slot| slot.length > 0 && slot.end() <= head));
        } else {
            if lateness > most {
                // The sender's clock stood still while it was silent.
                self.estimator.rebase();
                self.estimator.arrived(timestamp, heard_at);
                lateness = 0;
            }
            position.head = timestamp.saturating_sub(u64::try_from(target - lateness.max(0)).unwrap_or(0));
        }
        position.quiet = true;
        position.fitted = true;
    }

    /// Something was lost before the next packet, which isn't due yet.
    fn lose(&mut self, mut position: Position, index: usize) -> Step<'_> {
        let Some(slot) = self.slots.get(index) else { return Step::Quiet { units: STEP } };
        let gap = slot.timestamp - position.head;
        let units = if gap <= LONGEST_LOSS { gap } else { STEP };
        position.head += units;
        self.position = Some(position);
        let next = slot.codec.filter(|_| units == gap).map(|codec| (codec, slot.payload.as_slice()));
        Step::Conceal { units, next }
    }

    /// Nothing was sent before the next packet, which isn't due yet.
    fn pause(&mut self, mut position: Position, timestamp: u64, heard_at: u64) -> Step<'_> {
        let gap = timestamp - position.head;
        let mut units = gap.min(STEP);
        if !std::mem::replace(&mut position.fitted, true) {
            // A pause is where the delay is changed without anyone noticing.
            let lateness = self.estimator.lateness(position.head, heard_at).unwrap_or(0);
            let surplus = lateness - i64::try_from(self.estimator.target()).unwrap_or(0);
            let shorter = u64::try_from(surplus).unwrap_or(0).min(gap);
            let longer = u64::try_from(-surplus).unwrap_or(0).min(self.estimator.target());
            position.head = (position.head + shorter).saturating_sub(longer);
            units = (gap - shorter + longer).min(STEP);
        }
        position.head += units;
        self.position = Some(position);
        // The whole pause may have been left out.
        if units == 0 { self.next(heard_at) } else { Step::Quiet { units } }
    }
}
