//! RTCP (RFC 3550 §6), as far as a telephone call needs it: sender and receiver reports and BYE out, a bounded and
//! panic-free walk over compound packets in.

/// One reception report block (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream it is about.
    pub ssrc: u32,
    /// Loss since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Loss since the start; at most 23 bits.
    pub cumulative_lost: u32,
    /// Extended highest sequence number received.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
}

/// Sender information of an SR (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time, 32.32 fixed point.
    pub ntp: u64,
    /// The same moment in RTP timestamp units.
    pub timestamp: u32,
    /// Packets sent, modulo 2³².
    pub packets: u32,
    /// Payload bytes sent, modulo 2³².
    pub octets: u32,
}

/// One packet inside a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// Sender report: its SSRC, its sender information, its first report block.
    SenderReport(u32, SenderInfo, Option<ReportBlock>),
    /// Receiver report: its SSRC and its first report block.
    ReceiverReport(u32, Option<ReportBlock>),
    /// BYE of the first SSRC listed, if any is.
    Bye(Option<u32>),
    /// Anything else: packet type and body.
    Other(u8, &'a [u8]),
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const BYE: u8 = 203;
const SENDER_INFO_BYTES: usize = 20;
const BLOCK_BYTES: usize = 24;

/// Room for any packet written here.
pub const MAX_BYTES: usize = 8 + SENDER_INFO_BYTES + BLOCK_BYTES;

/// Walks the packets of a compound; stops silently at the first whose length doesn't fit.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = RtcpPacket<'_>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let ([flags, kind, l0, l1], tail) = rest.split_first_chunk::<4>()?;
        if flags >> 6 != 2 {
            return None;
        }
        let (body, next) = tail.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1])) * 4)?;
        rest = next;
        Some(read(*kind, flags & 0x1F, body))
    })
}

fn read(kind: u8, count: u8, body: &[u8]) -> RtcpPacket<'_> {
    let mut reader = Reader(body);
    let parsed = match kind {
        SENDER_REPORT => reader.word().zip(reader.sender_info()).map(|(ssrc, info)| {
            RtcpPacket::SenderReport(ssrc, info, if count > 0 { reader.block() } else { None })
        }),
        RECEIVER_REPORT => reader
            .word()
            .map(|ssrc| RtcpPacket::ReceiverReport(ssrc, if count > 0 { reader.block() } else { None })),
        BYE => Some(RtcpPacket::Bye(if count > 0 { reader.word() } else { None })),
        _ => None,
    };
    parsed.unwrap_or(RtcpPacket::Other(kind, body))
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn sender_info(&mut self) -> Option<SenderInfo> {
        let (high, low) = (self.word()?, self.word()?);
        let ntp = u64::from(high) << 32 | u64::from(low);
        Some(SenderInfo { ntp, timestamp: self.word()?, packets: self.word()?, octets: self.word()? })
    }

    fn block(&mut self) -> Option<ReportBlock> {
        let ssrc = self.word()?;
        let loss = self.word()?;
        let [fraction_lost, ..] = loss.to_be_bytes();
        let (highest_sequence, jitter) = (self.word()?, self.word()?);
        // Last SR and delay since last SR: not used.
        let _ = (self.word()?, self.word()?);
        Some(ReportBlock { ssrc, fraction_lost, cumulative_lost: loss & 0xFF_FFFF, highest_sequence, jitter })
    }
}

/// Writes an SR (with `info`) or an RR (without) into `out`; returns the length, `None` if there is no room.
pub fn write_report(
    out: &mut [u8],
    ssrc: u32,
    info: Option<SenderInfo>,
    block: Option<ReportBlock>,
) -> Option<usize> {
    let kind = if info.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    let length = 8 + info.map_or(0, |_| SENDER_INFO_BYTES) + block.map_or(0, |_| BLOCK_BYTES);
    let mut writer = Writer::new(out, kind, u8::from(block.is_some()), length)?;
    writer.word(ssrc)?;
    if let Some(info) = info {
        let [n0, n1, n2, n3, n4, n5, n6, n7] = info.ntp.to_be_bytes();
        writer.word(u32::from_be_bytes([n0, n1, n2, n3]))?;
        writer.word(u32::from_be_bytes([n4, n5, n6, n7]))?;
        writer.word(info.timestamp)?;
        writer.word(info.packets)?;
        writer.word(info.octets)?;
    }
    if let Some(block) = block {
        writer.word(block.ssrc)?;
        writer.word(u32::from(block.fraction_lost) << 24 | block.cumulative_lost & 0xFF_FFFF)?;
        writer.word(block.highest_sequence)?;
        writer.word(block.jitter)?;
        writer.word(0)?;
        writer.word(0)?;
    }
    Some(length)
}

/// Writes a BYE into `out`; returns the length, `None` if there is no room.
pub fn write_bye(out: &mut [u8], ssrc: u32) -> Option<usize> {
    let mut writer = Writer::new(out, BYE, 1, 8)?;
    writer.word(ssrc)?;
    Some(8)
}

struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    fn new(out: &'a mut [u8], kind: u8, count: u8, length: usize) -> Option<Self> {
        let mut writer = Self(out.get_mut(..length)?);
        let words = u16::try_from(length / 4 - 1).ok()?;
        writer.word(u32::from_be_bytes([0x80 | count, kind, 0, 0]) | u32::from(words))?;
        Some(writer)
    }

    fn word(&mut self, word: u32) -> Option<()> {
        let (place, rest) = std::mem::take(&mut self.0).split_first_chunk_mut::<4>()?;
        *place = word.to_be_bytes();
        self.0 = rest;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 7,
        fraction_lost: 12,
        cumulative_lost: 345,
        highest_sequence: 70_000,
        jitter: 81,
    };
    const INFO: SenderInfo =
        SenderInfo { ntp: 0x1234_5678_9ABC_DEF0, timestamp: 160, packets: 3, octets: 480 };

    #[test]
    fn a_compound_of_report_and_bye_is_read_back() {
        let mut out = [0; MAX_BYTES + 8];
        let report = write_report(&mut out, 9, Some(INFO), Some(BLOCK)).unwrap();
        let bye = write_bye(&mut out[report..], 9).unwrap();
        let read: Vec<_> = packets(&out[..report + bye]).collect();
        assert_eq!(read, [RtcpPacket::SenderReport(9, INFO, Some(BLOCK)), RtcpPacket::Bye(Some(9))]);
    }

    #[test]
    fn a_receiver_report_without_block_is_eight_bytes() {
        let mut out = [0; MAX_BYTES];
        assert_eq!(write_report(&mut out, 1, None, None), Some(8));
        assert_eq!(out[..8], [0x80, 201, 0, 1, 0, 0, 0, 1]);
        assert_eq!(write_report(&mut out[..7], 1, None, None), None);
    }

    #[test]
    fn a_report_that_claims_a_block_it_lacks_has_none() {
        let read: Vec<_> = packets(&[0x81, 201, 0, 1, 0, 0, 0, 5]).collect();
        assert_eq!(read, [RtcpPacket::ReceiverReport(5, None)]);
        assert_eq!(packets(&[0x81, 201, 0xFF, 0xFF, 0, 0, 0, 5]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(packets(&bytes).count() <= bytes.len() / 4 + 1);
        }
    }
}
