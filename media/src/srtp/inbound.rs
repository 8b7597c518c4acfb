//! Unprotecting what we receive.

use hmac::Mac;
use smallvec::SmallVec;

use super::cipher::{Cipher, Index, open};
use super::kdf::SessionKeys;
use super::{
    HALF, INDEX_BYTES, MAX_DATAGRAM, MasterKey, SrtpError, nearest, rtcp_ssrc, rtp_header_bytes, rtp_identity,
};
use crate::window::Window;

/// Streams under one key that are told apart: the caller's, and those before and after a transfer.
const STREAMS: usize = 4;
const ENCRYPTED: u32 = 1 << 31;
const RTCP_HEADER: usize = 8;

/// Unprotects the RTP and RTCP of one peer under one master key.
pub struct Unprotector {
    master: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    /// Only streams with an authentic packet are here, so that nobody can push one out.
    streams: SmallVec<[(u32, Window); STREAMS]>,
    reports: SmallVec<[(u32, Window); STREAMS]>,
    /// Roll-over counters that streams had under the key before this one.
    earlier: SmallVec<[(u32, u64); STREAMS]>,
}

/// Indices that a packet may have, the likeliest first.
type Candidates = SmallVec<[u64; 3]>;

impl Unprotector {
    /// No stream has begun yet.
    ///
    /// # Errors
    /// [`SrtpError::Length`] never happens with a [`MasterKey`] made by its constructor.
    pub fn new(master: MasterKey) -> Result<Self, SrtpError> {
        let rtp = Cipher::new(&SessionKeys::rtp(&master))?;
        let rtcp = Cipher::new(&SessionKeys::rtcp(&master))?;
        Ok(Self {
            master,
            rtp,
            rtcp,
            streams: SmallVec::new(),
            reports: SmallVec::new(),
            earlier: SmallVec::new(),
        })
    }

    /// Goes on with another key. RFC 3711 §3.3.1 keeps the roll-over counter across re-keying, many senders start
    /// again at zero: the first packet tells which.
    ///
    /// # Errors
    /// As [`Unprotector::new`].
    pub fn rekeyed(&self, master: MasterKey) -> Result<Self, SrtpError> {
        let earlier = self.streams.iter().filter_map(|(ssrc, window)| Some((*ssrc, window.newest()?)));
        Ok(Self { earlier: earlier.collect(), ..Self::new(master)? })
    }

    /// The key in use.
    #[must_use]
    pub fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Writes the plain RTP packet into `out` and gives its length.
    ///
    /// # Errors
    /// Any [`SrtpError`] but `Exhausted`; the state is as if the packet had not come.
    pub fn unprotect_rtp(
        &mut self,
        datagram: &[u8],
        out: &mut [u8; MAX_DATAGRAM],
    ) -> Result<usize, SrtpError> {
        let (sequence, ssrc) = rtp_identity(datagram).ok_or(SrtpError::Length)?;
        if datagram.len() > MAX_DATAGRAM {
            return Err(SrtpError::Length);
        }
        let known = self.streams.iter().position(|(known, _)| *known == ssrc);
        let window = known.and_then(|place| self.streams.get(place)).map(|(_, window)| *window);
        let candidates = match window.as_ref().and_then(Window::newest) {
            Some(newest) => Candidates::from_slice(&[nearest(newest, sequence).ok_or(SrtpError::Replayed)?]),
            None => self.first_candidates(ssrc, sequence),
        };
        let mut window = window.unwrap_or_default();
        let mut failure = SrtpError::Authentication;
        for index in candidates {
            if !window.is_new(index) {
                return Err(SrtpError::Replayed);
            }
            match self.open_rtp(datagram, Index { ssrc, packet: index }, out) {
                Ok(length) => {
                    window.insert(index);
                    remember(&mut self.streams, ssrc, window);
                    return Ok(length);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Writes the plain RTCP compound into `out` and gives its length.
    ///
    /// # Errors
    /// Any [`SrtpError`] but `Exhausted`; the state is as if the packet had not come.
    pub fn unprotect_rtcp(
        &mut self,
        datagram: &[u8],
        out: &mut [u8; MAX_DATAGRAM],
    ) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(datagram).ok_or(SrtpError::Length)?;
        let known = self.reports.iter().find(|(known, _)| *known == ssrc);
        let mut window = known.map(|(_, window)| *window).unwrap_or_default();
        let (length, index) = self.open_rtcp(datagram, ssrc, &window, out)?;
        window.insert(index);
        remember(&mut self.reports, ssrc, window);
        Ok(length)
    }

    /// RFC 3711 §3.3.1: a stream starts with a roll-over counter of zero. It may have turned before its first packet
    /// reached us, and after re-keying the old counter may go on.
    fn first_candidates(&self, ssrc: u32, sequence: u16) -> Candidates {
        let mut candidates = Candidates::new();
        let earlier = self.earlier.iter().find(|(known, _)| *known == ssrc);
        if let Some(kept) = earlier.and_then(|(_, newest)| nearest(*newest, sequence)) {
            candidates.push(kept);
        }
        for fresh in [u64::from(sequence), 1 << 16 | u64::from(sequence)] {
            let plausible = fresh < 1 << 16 || u64::from(sequence) < HALF;
            if plausible && !candidates.contains(&fresh) {
                candidates.push(fresh);
            }
        }
        candidates
    }

    fn open_rtp(
        &self,
        datagram: &[u8],
        index: Index,
        out: &mut [u8; MAX_DATAGRAM],
    ) -> Result<usize, SrtpError> {
        let suite = self.master.suite();
        let (tag_bytes, mki) = (suite.rtp_tag_bytes(), self.master.mki());
        match &self.rtp {
            Cipher::CounterMode { aes, salt, mac } => {
                let (rest, tag) = split_end(datagram, tag_bytes)?;
                let packet = without_mki(rest, mki)?;
                let header = rtp_header_bytes(packet).ok_or(SrtpError::Length)?;
                let [_, _, r0, r1, r2, r3, _, _] = index.packet.to_be_bytes();
                Cipher::mac(mac, packet, &[r0, r1, r2, r3])
                    .verify_truncated_left(tag)
                    .map_err(|_| SrtpError::Authentication)?;
                let plain = copy(packet, out)?;
                Cipher::counter_mode(aes, salt, index, plain.get_mut(header..).unwrap_or_default());
                Ok(packet.len())
            }
            Cipher::Gcm { key, salt } => {
                let sealed = without_mki(datagram, mki)?;
                let length = sealed.len().checked_sub(tag_bytes).ok_or(SrtpError::Length)?;
                let header = sealed.get(..length).and_then(rtp_header_bytes).ok_or(SrtpError::Length)?;
                let plain = copy(sealed, out)?;
                let (header, text) = plain.split_at_mut_checked(header).ok_or(SrtpError::Length)?;
                open(key, salt, index, header, text)?;
                Ok(length)
            }
        }
    }

    fn open_rtcp(
        &self,
        datagram: &[u8],
        ssrc: u32,
        window: &Window,
        out: &mut [u8; MAX_DATAGRAM],
    ) -> Result<(usize, u64), SrtpError> {
        let suite = self.master.suite();
        let (tag_bytes, mki) = (suite.rtcp_tag_bytes(), self.master.mki());
        match &self.rtcp {
            Cipher::CounterMode { aes, salt, mac } => {
                let (rest, tag) = split_end(datagram, tag_bytes)?;
                let signed = without_mki(rest, mki)?;
                let (packet, word) = split_end(signed, INDEX_BYTES)?;
                let (encrypted, number) = trailer(word)?;
                let index = Index { ssrc, packet: number };
                if !window.is_new(number) {
                    return Err(SrtpError::Replayed);
                }
                Cipher::mac(mac, signed, &[])
                    .verify_truncated_left(tag)
                    .map_err(|_| SrtpError::Authentication)?;
                let plain = copy(packet, out)?;
                let text = plain.get_mut(RTCP_HEADER..).ok_or(SrtpError::Length)?;
                if encrypted {
                    Cipher::counter_mode(aes, salt, index, text);
                }
                Ok((packet.len(), number))
            }
            Cipher::Gcm { key, salt } => {
                let (sealed, word) = split_end(without_mki(datagram, mki)?, INDEX_BYTES)?;
                let (encrypted, number) = trailer(word)?;
                let length = sealed.len().checked_sub(tag_bytes).filter(|length| *length >= RTCP_HEADER);
                let length = length.ok_or(SrtpError::Length)?;
                if !window.is_new(number) {
                    return Err(SrtpError::Replayed);
                }
                // RFC 7714 §9.2, §9.3: what isn't encrypted is associated data, the index word always is.
                let clear = if encrypted { RTCP_HEADER } else { length };
                let mut aad = [0; MAX_DATAGRAM];
                let both = sealed.iter().take(clear).chain(word);
                for (place, byte) in aad.iter_mut().zip(both) {
                    *place = *byte;
                }
                let aad = aad.get(..clear + INDEX_BYTES).ok_or(SrtpError::Length)?;
                let plain = copy(sealed, out)?;
                let text = plain.get_mut(clear..).ok_or(SrtpError::Length)?;
                open(key, salt, Index { ssrc, packet: number }, aad, text)?;
                Ok((length, number))
            }
        }
    }

    /// For published test vectors, which give the session keys.
    #[cfg(test)]
    pub(super) fn with_session_keys(mut self, keys: &SessionKeys) -> Self {
        (self.rtp, self.rtcp) = (Cipher::new(keys).unwrap(), Cipher::new(keys).unwrap());
        self
    }
}

impl std::fmt::Debug for Unprotector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unprotector").field("master", &self.master).finish_non_exhaustive()
    }
}

fn remember(list: &mut SmallVec<[(u32, Window); STREAMS]>, ssrc: u32, window: Window) {
    if let Some((_, known)) = list.iter_mut().find(|(known, _)| *known == ssrc) {
        *known = window;
        return;
    }
    if list.len() == STREAMS {
        list.remove(0);
    }
    list.push((ssrc, window));
}

fn split_end(bytes: &[u8], count: usize) -> Result<(&[u8], &[u8]), SrtpError> {
    let at = bytes.len().checked_sub(count).ok_or(SrtpError::Length)?;
    bytes.split_at_checked(at).ok_or(SrtpError::Length)
}

fn without_mki(bytes: &[u8], mki: Option<super::Mki>) -> Result<&[u8], SrtpError> {
    let Some(mki) = mki else { return Ok(bytes) };
    let (rest, found) = split_end(bytes, mki.length())?;
    if mki.matches(found) { Ok(rest) } else { Err(SrtpError::Authentication) }
}

fn trailer(word: &[u8]) -> Result<(bool, u64), SrtpError> {
    let word = u32::from_be_bytes(*word.first_chunk::<INDEX_BYTES>().ok_or(SrtpError::Length)?);
    Ok((word & ENCRYPTED != 0, u64::from(word & !ENCRYPTED)))
}

fn copy<'a>(bytes: &[u8], out: &'a mut [u8; MAX_DATAGRAM]) -> Result<&'a mut [u8], SrtpError> {
    let place = out.get_mut(..bytes.len()).ok_or(SrtpError::Length)?;
    place.copy_from_slice(bytes);
    Ok(place)
}
