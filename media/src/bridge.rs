//! Two call legs that hear each other.
//!
//! With the same codec on both sides packets are relayed as they came: their payload isn't looked at, losses stay losses
//! for the far jitter buffer to mend, and nothing is added to the delay. With different codecs each leg is decoded
//! through its own jitter buffer and spoken into the other. Keys travel as telephone-event where both legs have it in
//! the same clock; otherwise they are events of the session, for the owner to pass on.
//!
//! The owner of two bridged sessions receives and ticks them as any others, and calls [`Bridge::relay`] after it gave a
//! session what arrived, and [`Bridge::carry`] after each tick.

use crate::session::Session;

/// How audio gets across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Packets, untouched but for their header.
    Relay,
    /// Samples.
    Transcode,
}

/// A bridge between two sessions. It holds neither: they are given with each call, always in the same order or turned
/// around together.
#[derive(Debug)]
pub struct Bridge {
    mode: Mode,
}

impl Bridge {
    /// Connects two sessions.
    #[must_use]
    pub fn new(a: &mut Session, b: &mut Session) -> Self {
        let mut bridge = Self { mode: Mode::Transcode };
        bridge.renegotiated(a, b);
        bridge
    }

    /// How audio gets across now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// To be called after a re-INVITE of either leg: the codecs may be other ones.
    pub fn renegotiated(&mut self, a: &mut Session, b: &mut Session) {
        self.mode = if a.agreement().codec == b.agreement().codec { Mode::Relay } else { Mode::Transcode };
        for session in [a, b] {
            session.set_relayed(self.mode == Mode::Relay);
        }
    }

    /// The next packet that `from` received, written for `to`'s peer: send `out[..n]` to its destination. To be called
    /// until it gives `None`.
    pub fn relay(&self, from: &mut Session, to: &mut Session, out: &mut [u8]) -> Option<usize> {
        if self.mode != Mode::Relay {
            return None;
        }
        loop {
            let packet = from.next_relayed()?;
            let length = to.write_relayed(packet, out);
            from.drop_relayed();
            if length > 0 {
                return Some(length);
            }
        }
    }

    /// Speaks what `from` was heard to say in its last tick into `to`.
    pub fn carry(&self, from: &Session, to: &mut Session) {
        if self.mode != Mode::Transcode {
            return;
        }
        match from.wide_frame().filter(|_| to.agreement().codec.rate_hz() == crate::codec::WIDE_HZ) {
            Some(wide) => to.speak(wide, crate::codec::WIDE_HZ),
            None => to.speak(from.frame(), crate::codec::NARROW_HZ),
        }
    }

    /// Lets both go: each plays what its own owner gives it again.
    pub fn release(self, a: &mut Session, b: &mut Session) {
        for session in [a, b] {
            session.set_relayed(false);
            session.stop_speaking();
        }
    }
}

#[cfg(test)]
mod tests;
