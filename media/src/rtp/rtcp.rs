//! RTCP (RFC 3550 §6), as far as a telephone call needs it: sender and receiver reports, CNAME and BYE out, a bounded
//! and panic-free walk over compound packets in.

/// One reception report block (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The stream it is about.
    pub ssrc: u32,
    /// Loss since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Loss since the start, in 24 bits; below zero when packets were doubled.
    pub cumulative_lost: i32,
    /// Extended highest sequence number received.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR received; zero without one.
    pub last_report: u32,
    /// Time since then, in 1/65536 s.
    pub since_last_report: u32,
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
    /// Sender report: its SSRC, its sender information, its report blocks.
    SenderReport(u32, SenderInfo, Blocks<'a>),
    /// Receiver report: its SSRC and its report blocks.
    ReceiverReport(u32, Blocks<'a>),
    /// Source description: SSRC and CNAME of its first chunk.
    SourceDescription(u32, &'a [u8]),
    /// BYE of the first SSRC listed, if any is.
    Bye(Option<u32>),
    /// Anything else: packet type and body.
    Other(u8, &'a [u8]),
}

/// The report blocks of a packet, at most 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'a> {
    count: u8,
    bytes: &'a [u8],
}

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        self.count = self.count.checked_sub(1)?;
        let mut reader = Reader(self.bytes);
        let block = reader.block()?;
        self.bytes = reader.0;
        Some(block)
    }
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const CNAME: u8 = 1;
const SENDER_INFO_BYTES: usize = 20;
const BLOCK_BYTES: usize = 24;
/// A canonical name of ours: 96 random bits in base64 (RFC 7022 §4.2).
pub const CNAME_BYTES: usize = 16;
/// Header, SSRC, item, and zeros to the next word.
const SDES_BYTES: usize = 8 + 2 + CNAME_BYTES + 2;
const BYE_BYTES: usize = 8;

/// Room for the longest compound written here: SR with one block, SDES, BYE.
pub const MAX_BYTES: usize = 8 + SENDER_INFO_BYTES + BLOCK_BYTES + SDES_BYTES + BYE_BYTES;

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

/// Whether a compound begins as it must: with a report (RFC 3550 A.2).
#[must_use]
pub fn is_compound(bytes: &[u8]) -> bool {
    matches!(bytes, [flags, SENDER_REPORT | RECEIVER_REPORT, _, _, _, _, _, _, ..] if flags >> 6 == 2)
}

fn read(kind: u8, count: u8, body: &[u8]) -> RtcpPacket<'_> {
    let mut reader = Reader(body);
    let parsed = match kind {
        SENDER_REPORT => reader
            .word()
            .zip(reader.sender_info())
            .map(|(ssrc, info)| RtcpPacket::SenderReport(ssrc, info, Blocks { count, bytes: reader.0 })),
        RECEIVER_REPORT => {
            reader.word().map(|ssrc| RtcpPacket::ReceiverReport(ssrc, Blocks { count, bytes: reader.0 }))
        }
        SOURCE_DESCRIPTION if count > 0 => {
            reader.word().zip(cname(reader.0)).map(|(ssrc, name)| RtcpPacket::SourceDescription(ssrc, name))
        }
        BYE => Some(RtcpPacket::Bye(if count > 0 { reader.word() } else { None })),
        _ => None,
    };
    parsed.unwrap_or(RtcpPacket::Other(kind, body))
}

/// The CNAME among the items of a chunk.
fn cname(mut items: &[u8]) -> Option<&[u8]> {
    while let [kind, length, rest @ ..] = items {
        let (text, next) = rest.split_at_checked(usize::from(*length))?;
        match *kind {
            CNAME => return Some(text),
            0 => return None,
            _ => items = next,
        }
    }
    None
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
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            // Sign-extended from 24 bits.
            cumulative_lost: (loss << 8).cast_signed() >> 8,
            highest_sequence: self.word()?,
            jitter: self.word()?,
            last_report: self.word()?,
            since_last_report: self.word()?,
        })
    }
}

/// Writes a compound: SR (with `info`) or RR (without), the CNAME, and BYE if it is the last. Gives its length, `None` if
/// there is no room.
pub fn write_compound(
    out: &mut [u8],
    ssrc: u32,
    info: Option<SenderInfo>,
    block: Option<ReportBlock>,
    cname: &[u8; CNAME_BYTES],
    bye: bool,
) -> Option<usize> {
    let report = write_report(out, ssrc, info, block)?;
    let described = report + write_cname(out.get_mut(report..)?, ssrc, cname)?;
    if !bye {
        return Some(described);
    }
    let mut writer = Writer::new(out.get_mut(described..)?, BYE, 1, BYE_BYTES)?;
    writer.word(ssrc)?;
    Some(described + BYE_BYTES)
}

fn write_report(
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
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF).cast_unsigned();
        writer.word(u32::from(block.fraction_lost) << 24 | lost & 0xFF_FFFF)?;
        writer.word(block.highest_sequence)?;
        writer.word(block.jitter)?;
        writer.word(block.last_report)?;
        writer.word(block.since_last_report)?;
    }
    Some(length)
}

/// RFC 3550 §6.5: one chunk with one item, ended by at least one zero.
fn write_cname(out: &mut [u8], ssrc: u32, cname: &[u8; CNAME_BYTES]) -> Option<usize> {
    let mut writer = Writer::new(out, SOURCE_DESCRIPTION, 1, SDES_BYTES)?;
    writer.word(ssrc)?;
    let item = std::mem::take(&mut writer.0).get_mut(..SDES_BYTES - 8)?;
    let (head, rest) = item.split_first_chunk_mut::<2>()?;
    *head = [CNAME, u8::try_from(CNAME_BYTES).ok()?];
    let (text, end) = rest.split_first_chunk_mut::<CNAME_BYTES>()?;
    *text = *cname;
    end.fill(0);
    Some(SDES_BYTES)
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
        cumulative_lost: -345,
        highest_sequence: 70_000,
        jitter: 81,
        last_report: 5,
        since_last_report: 6,
    };
    const INFO: SenderInfo =
        SenderInfo { ntp: 0x1234_5678_9ABC_DEF0, timestamp: 160, packets: 3, octets: 480 };
    const NAME: &[u8; CNAME_BYTES] = b"abcdefghijklmnop";

    #[test]
    fn a_compound_is_read_back_packet_by_packet() {
        let mut out = [0xFF; MAX_BYTES];
        let length = write_compound(&mut out, 9, Some(INFO), Some(BLOCK), NAME, true).unwrap();
        assert_eq!((length, length % 4), (MAX_BYTES, 0));
        assert!(is_compound(&out));
        let mut read = packets(&out);
        let Some(RtcpPacket::SenderReport(9, INFO, mut blocks)) = read.next() else {
            panic!("a sender report")
        };
        assert_eq!((blocks.next(), blocks.next()), (Some(BLOCK), None));
        assert_eq!(read.next(), Some(RtcpPacket::SourceDescription(9, NAME)));
        assert_eq!(read.next(), Some(RtcpPacket::Bye(Some(9))));
        assert_eq!(read.next(), None);
        drop(read);
        assert_eq!(write_compound(&mut out[..MAX_BYTES - 1], 9, Some(INFO), Some(BLOCK), NAME, true), None);
    }

    #[test]
    fn without_anything_to_report_it_is_a_receiver_report() {
        let mut out = [0; MAX_BYTES];
        assert_eq!(write_compound(&mut out, 1, None, None, NAME, false), Some(8 + SDES_BYTES));
        assert_eq!(out[..8], [0x80, 201, 0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn every_block_is_read_and_a_missing_one_is_not() {
        let mut out = [0; MAX_BYTES];
        write_report(&mut out, 1, None, Some(BLOCK)).unwrap();
        let twice = [&[0x82, 201, 0, 13][..], &out[4..32], &out[8..32]].concat();
        let Some(RtcpPacket::ReceiverReport(1, blocks)) = packets(&twice).next() else { panic!("a report") };
        assert_eq!(blocks.collect::<Vec<_>>(), [BLOCK, BLOCK]);
        let read: Vec<_> = packets(&[0x9F, 201, 0, 1, 0, 0, 0, 5]).collect();
        assert!(matches!(read[..], [RtcpPacket::ReceiverReport(5, blocks)] if blocks.count() == 0));
        assert_eq!(packets(&[0x81, 201, 0xFF, 0xFF, 0, 0, 0, 5]).count(), 0);
    }

    #[test]
    fn a_name_among_other_items_is_found() {
        let body = [0x81, 202, 0, 4, 0, 0, 0, 5, 2, 3, b'x', b'y', b'z', 1, 3, b'a', b'b', b'c', 0, 0];
        assert_eq!(packets(&body).next(), Some(RtcpPacket::SourceDescription(5, b"abc")));
        let cut = [0x81, 202, 0, 2, 0, 0, 0, 5, 1, 200, b'x', b'y'];
        assert!(matches!(packets(&cut).next(), Some(RtcpPacket::Other(202, _))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut walked = 0;
            for packet in packets(&bytes) {
                walked += 1;
                if let RtcpPacket::SenderReport(_, _, blocks) | RtcpPacket::ReceiverReport(_, blocks) = packet {
                    prop_assert!(blocks.count() <= 12);
                }
            }
            prop_assert!(walked <= bytes.len() / 4 + 1);
        }
    }
}
