//! SRTP of a session: its keys, and what happens when they change.

use std::time::{Duration, Instant};

use crate::sdp::Keys;
use crate::srtp::{MAX_DATAGRAM, Protector, SrtpError, Unprotector};

/// Packets under the key before the last change are still on the way for this long.
const OVERLAP: Duration = Duration::from_secs(2);

/// Protection of both directions, and room for one plain packet.
#[derive(Debug)]
pub(super) struct Security {
    protector: Protector,
    unprotector: Unprotector,
    previous: Option<(Unprotector, Instant)>,
    plain: Box<[u8; MAX_DATAGRAM]>,
}

/// What a change of keys means for the stream that we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rekeyed {
    /// It goes on.
    Unchanged,
    /// It must begin anew, so that nobody has to guess its roll-over counter.
    NewStream,
}

impl Security {
    /// Starts with agreed keys; `None` never happens with keys that SDP agreed.
    pub fn new(keys: &Keys) -> Option<Self> {
        Some(Self {
            protector: Protector::new(keys.send.clone()).ok()?,
            unprotector: Unprotector::new(keys.receive.clone()).ok()?,
            previous: None,
            plain: Box::new([0; MAX_DATAGRAM]),
        })
    }

    /// Goes on with the keys of a new agreement; the same keys change nothing.
    pub fn rekey(&mut self, keys: &Keys, now: Instant) -> Rekeyed {
        if *self.unprotector.master() != keys.receive
            && let Ok(next) = self.unprotector.rekeyed(keys.receive.clone())
        {
            let previous = std::mem::replace(&mut self.unprotector, next);
            self.previous = Some((previous, now + OVERLAP));
        }
        if *self.protector.master() == keys.send {
            return Rekeyed::Unchanged;
        }
        match Protector::new(keys.send.clone()) {
            Ok(next) => {
                self.protector = next;
                Rekeyed::NewStream
            }
            Err(_) => Rekeyed::Unchanged,
        }
    }

    /// Protects the packet in `buffer[..length]`; its new length, 0 if it can't be sent.
    pub fn protect(&mut self, buffer: &mut [u8], length: usize) -> usize {
        self.protector.protect_rtp(buffer, length).unwrap_or(0)
    }

    /// Protects a compound in `buffer[..length]`; its new length, 0 if it can't be sent.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> usize {
        self.protector.protect_rtcp(buffer, length).unwrap_or(0)
    }

    /// The plain packet.
    pub fn unprotect(&mut self, datagram: &[u8], now: Instant) -> Result<&[u8], SrtpError> {
        let length =
            self.with_either(now, |unprotector, plain| unprotector.unprotect_rtp(datagram, plain))?;
        self.plain.get(..length).ok_or(SrtpError::Length)
    }

    /// The plain compound.
    pub fn unprotect_rtcp(&mut self, datagram: &[u8], now: Instant) -> Result<&[u8], SrtpError> {
        let length =
            self.with_either(now, |unprotector, plain| unprotector.unprotect_rtcp(datagram, plain))?;
        self.plain.get(..length).ok_or(SrtpError::Length)
    }

    /// Tries the present key, then, shortly after a change, the one before.
    fn with_either(
        &mut self,
        now: Instant,
        mut unprotect: impl FnMut(&mut Unprotector, &mut [u8; MAX_DATAGRAM]) -> Result<usize, SrtpError>,
    ) -> Result<usize, SrtpError> {
        let result = unprotect(&mut self.unprotector, &mut self.plain);
        if self.previous.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.previous = None;
        }
        match (&mut self.previous, result) {
            (Some((previous, _)), Err(SrtpError::Authentication)) => unprotect(previous, &mut self.plain),
            (_, result) => result,
        }
    }
}
