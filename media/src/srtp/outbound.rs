//! Protecting what we send.

use hmac::Mac;

use super::cipher::{Cipher, Index, seal};
use super::kdf::SessionKeys;
use super::{INDEX_BYTES, MasterKey, Mki, SrtpError, nearest, rtcp_ssrc, rtp_header_bytes, rtp_identity};

/// RFC 3711 §9.2: 2³¹ RTCP packets with one key (and 2⁴⁸ RTP packets).
const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;
/// The E flag: this packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Protects one RTP stream and its RTCP.
pub struct Protector {
    master: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    /// The highest index used.
    newest: Option<u64>,
    rtcp_index: u32,
}

impl Protector {
    /// A stream that starts now, with a roll-over counter of zero.
    ///
    /// # Errors
    /// [`SrtpError::Length`] never happens with a [`MasterKey`] made by its constructor.
    pub fn new(master: MasterKey) -> Result<Self, SrtpError> {
        let rtp = Cipher::new(&SessionKeys::rtp(&master))?;
        let rtcp = Cipher::new(&SessionKeys::rtcp(&master))?;
        Ok(Self { master, rtp, rtcp, newest: None, rtcp_index: 0 })
    }

    /// The key in use.
    #[must_use]
    pub fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Protects the packet in `buffer[..length]` in place and gives its new length, which is at most
    /// [`super::MAX_RTP_OVERHEAD`] more. No sequence number may come twice with another content.
    ///
    /// # Errors
    /// [`SrtpError::Length`] if it is no RTP packet or the buffer has no room; [`SrtpError::Exhausted`].
    pub fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..length).ok_or(SrtpError::Length)?;
        let header = rtp_header_bytes(packet).ok_or(SrtpError::Length)?;
        let (sequence, ssrc) = rtp_identity(packet).ok_or(SrtpError::Length)?;
        // What is relayed for another leg may be out of order.
        let number = match self.newest {
            None => u64::from(sequence),
            Some(newest) => nearest(newest, sequence).ok_or(SrtpError::Exhausted)?,
        };
        self.newest = self.newest.max(Some(number));
        let index = Index { ssrc, packet: number };
        let [_, _, r0, r1, r2, r3, _, _] = number.to_be_bytes();
        let mki = self.master.mki();
        match &self.rtp {
            Cipher::CounterMode { aes, salt, mac } => {
                let text = buffer.get_mut(header..length).ok_or(SrtpError::Length)?;
                Cipher::counter_mode(aes, salt, index, text);
                let packet = buffer.get(..length).ok_or(SrtpError::Length)?;
                let tag = Cipher::mac(mac, packet, &[r0, r1, r2, r3]).finalize().into_bytes();
                let end = append_mki(buffer, length, mki)?;
                append(buffer, end, tag.get(..self.master.suite().rtp_tag_bytes()).unwrap_or_default())
            }
            Cipher::Gcm { key, salt } => {
                let (header, rest) = buffer.split_at_mut(header);
                let body = rest.get_mut(..length - header.len()).ok_or(SrtpError::Length)?;
                let tag = seal(key, salt, index, header, body)?;
                let end = append(buffer, length, tag.as_ref())?;
                append_mki(buffer, end, mki)
            }
        }
    }

    /// Protects the compound in `buffer[..length]` in place and gives its new length, at most
    /// [`super::MAX_RTCP_OVERHEAD`] more.
    ///
    /// # Errors
    /// [`SrtpError::Length`] if it is no RTCP packet or the buffer has no room; [`SrtpError::Exhausted`].
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        const HEADER: usize = 8;
        let packet = buffer.get(..length).ok_or(SrtpError::Length)?;
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Length)?;
        if self.rtcp_index == MAX_RTCP_INDEX {
            return Err(SrtpError::Exhausted);
        }
        self.rtcp_index += 1;
        let index = Index { ssrc, packet: u64::from(self.rtcp_index) };
        let trailer: [u8; INDEX_BYTES] = (ENCRYPTED | self.rtcp_index).to_be_bytes();
        let mki = self.master.mki();
        match &self.rtcp {
            Cipher::CounterMode { aes, salt, mac } => {
                let text = buffer.get_mut(HEADER..length).ok_or(SrtpError::Length)?;
                Cipher::counter_mode(aes, salt, index, text);
                let end = append(buffer, length, &trailer)?;
                let packet = buffer.get(..end).ok_or(SrtpError::Length)?;
                let tag = Cipher::mac(mac, packet, &[]).finalize().into_bytes();
                let end = append_mki(buffer, end, mki)?;
                append(buffer, end, tag.get(..self.master.suite().rtcp_tag_bytes()).unwrap_or_default())
            }
            Cipher::Gcm { key, salt } => {
                let mut aad = [0; HEADER + INDEX_BYTES];
                for (place, byte) in aad.iter_mut().zip(buffer.iter().take(HEADER).chain(&trailer)) {
                    *place = *byte;
                }
                let text = buffer.get_mut(HEADER..length).ok_or(SrtpError::Length)?;
                let tag = seal(key, salt, index, &aad, text)?;
                let end = append(buffer, length, tag.as_ref())?;
                let end = append(buffer, end, &trailer)?;
                append_mki(buffer, end, mki)
            }
        }
    }

    /// For published test vectors, which start in the middle of a stream.
    #[cfg(test)]
    pub(super) fn at(mut self, newest: Option<u64>, rtcp_index: u32) -> Self {
        (self.newest, self.rtcp_index) = (newest, rtcp_index);
        self
    }

    /// For published test vectors, which give the session keys.
    #[cfg(test)]
    pub(super) fn with_session_keys(mut self, keys: &SessionKeys) -> Self {
        (self.rtp, self.rtcp) = (Cipher::new(keys).unwrap(), Cipher::new(keys).unwrap());
        self
    }
}

impl std::fmt::Debug for Protector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protector").field("master", &self.master).finish_non_exhaustive()
    }
}

fn append(buffer: &mut [u8], at: usize, bytes: &[u8]) -> Result<usize, SrtpError> {
    let end = at + bytes.len();
    buffer.get_mut(at..end).ok_or(SrtpError::Length)?.copy_from_slice(bytes);
    Ok(end)
}

fn append_mki(buffer: &mut [u8], at: usize, mki: Option<Mki>) -> Result<usize, SrtpError> {
    let Some(mki) = mki else { return Ok(at) };
    mki.write(buffer.get_mut(at..).unwrap_or_default()).ok_or(SrtpError::Length)?;
    Ok(at + mki.length())
}
