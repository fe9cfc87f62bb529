//! Writing a compound.

use super::{
    BLOCK_LEN, FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, GOODBYE, HEADER_LEN,
    MAX_REPORT_BLOCKS, PAYLOAD_FEEDBACK, RECEIVER_REPORT, REMB, REMB_MANTISSA_BITS, ReportBlock,
    RtcpError, SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo, TRANSPORT_FEEDBACK,
};
use crate::wire::put;

const SDES_CNAME: u8 = 1;

/// Appends RTCP packets to a buffer. A packet that does not fit leaves the compound as it was.
#[derive(Debug)]
pub struct CompoundBuilder<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> CompoundBuilder<'a> {
    /// An empty compound. Leave room for the SRTCP trailer: pass a shorter slice.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Adds an SR.
    ///
    /// # Errors
    /// `Full`; the same for every packet.
    pub fn sender_report(
        &mut self,
        info: &SenderInfo,
        blocks: &[ReportBlock],
    ) -> Result<(), RtcpError> {
        self.packet(SENDER_REPORT, blocks.len(), |out| {
            out.u32(info.ssrc)?;
            out.bytes(&info.ntp.to_be_bytes())?;
            out.u32(info.rtp)?;
            out.u32(info.packets)?;
            out.u32(info.octets)?;
            blocks
                .iter()
                .try_for_each(|block| out.bytes(&block_bytes(block)))
        })
    }

    /// Adds an RR.
    ///
    /// # Errors
    /// `Full`.
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[ReportBlock]) -> Result<(), RtcpError> {
        self.packet(RECEIVER_REPORT, blocks.len(), |out| {
            out.u32(ssrc)?;
            blocks
                .iter()
                .try_for_each(|block| out.bytes(&block_bytes(block)))
        })
    }

    /// Adds an SDES with the CNAME of one source, at most 255 bytes.
    ///
    /// # Errors
    /// `Full`.
    pub fn cname(&mut self, ssrc: u32, cname: &str) -> Result<(), RtcpError> {
        let name_len = u8::try_from(cname.len()).map_err(|_| RtcpError::Full)?;
        self.packet(SOURCE_DESCRIPTION, 1, |out| {
            out.u32(ssrc)?;
            out.bytes(&[SDES_CNAME, name_len])?;
            out.bytes(cname.as_bytes())?;
            // RFC 3550 6.5: at least one zero ends the chunk, at a 32-bit boundary.
            out.bytes(&[0])?;
            out.pad()
        })
    }

    /// Adds a BYE for at most 31 sources.
    ///
    /// # Errors
    /// `Full`.
    pub fn goodbye(&mut self, sources: &[u32]) -> Result<(), RtcpError> {
        self.packet(GOODBYE, sources.len(), |out| {
            sources.iter().try_for_each(|ssrc| out.u32(*ssrc))
        })
    }

    /// Adds a PLI (RFC 4585 6.3.1).
    ///
    /// # Errors
    /// `Full`.
    pub fn pli(&mut self, sender: u32, media: u32) -> Result<(), RtcpError> {
        self.packet(PAYLOAD_FEEDBACK, usize::from(FORMAT_PLI), |out| {
            out.u32(sender)?;
            out.u32(media)
        })
    }

    /// Adds a FIR for one source (RFC 5104 4.3.1); `sequence` grows with each new request.
    ///
    /// # Errors
    /// `Full`.
    pub fn fir(&mut self, sender: u32, media: u32, sequence: u8) -> Result<(), RtcpError> {
        self.packet(PAYLOAD_FEEDBACK, usize::from(FORMAT_FIR), |out| {
            out.u32(sender)?;
            out.u32(0)?;
            out.u32(media)?;
            out.bytes(&[sequence, 0, 0, 0])
        })
    }

    /// Adds a generic NACK of (first lost, bit mask of the 16 after it) pairs (RFC 4585 6.2.1).
    ///
    /// # Errors
    /// `Full`.
    pub fn nack(&mut self, sender: u32, media: u32, lost: &[(u16, u16)]) -> Result<(), RtcpError> {
        self.packet(TRANSPORT_FEEDBACK, usize::from(FORMAT_NACK), |out| {
            out.u32(sender)?;
            out.u32(media)?;
            lost.iter().try_for_each(|(first, mask)| {
                out.bytes(&first.to_be_bytes())?;
                out.bytes(&mask.to_be_bytes())
            })
        })
    }

    /// Adds a REMB of `bits` a second for these sources, rounded down to 18 significant bits.
    ///
    /// # Errors
    /// `Full`.
    pub fn remb(&mut self, sender: u32, bits: u64, sources: &[u32]) -> Result<(), RtcpError> {
        let count = u8::try_from(sources.len()).map_err(|_| RtcpError::Full)?;
        let exponent = (u64::BITS - bits.leading_zeros()).saturating_sub(REMB_MANTISSA_BITS);
        let mantissa = u32::try_from(bits >> exponent).unwrap_or_default();
        let word = u32::from(count) << 24 | exponent << REMB_MANTISSA_BITS | mantissa;
        self.packet(PAYLOAD_FEEDBACK, usize::from(FORMAT_APPLICATION), |out| {
            out.u32(sender)?;
            out.u32(0)?;
            out.bytes(&REMB)?;
            out.u32(word)?;
            sources.iter().try_for_each(|ssrc| out.u32(*ssrc))
        })
    }

    /// The compound's length in bytes.
    #[must_use]
    pub fn finish(self) -> usize {
        self.len
    }

    fn packet(
        &mut self,
        kind: u8,
        count: usize,
        body: impl FnOnce(&mut Out<'_>) -> Option<()>,
    ) -> Result<(), RtcpError> {
        let count = u8::try_from(count)
            .ok()
            .filter(|count| usize::from(*count) <= MAX_REPORT_BLOCKS);
        let count = count.ok_or(RtcpError::Full)?;
        let buffer = self.buffer.get_mut(self.len..).ok_or(RtcpError::Full)?;
        let mut out = Out {
            buffer,
            len: HEADER_LEN,
        };
        body(&mut out).ok_or(RtcpError::Full)?;
        let len = out.len;
        let words = u16::try_from(len / 4 - 1).map_err(|_| RtcpError::Full)?;
        let [high, low] = words.to_be_bytes();
        put(buffer, 0, &[0x80 | count, kind, high, low]).ok_or(RtcpError::Full)?;
        self.len += len;
        Ok(())
    }
}

struct Out<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        put(self.buffer, self.len, bytes)?;
        self.len += bytes.len();
        Some(())
    }

    fn u32(&mut self, value: u32) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    fn pad(&mut self) -> Option<()> {
        while self.len % 4 != 0 {
            self.bytes(&[0])?;
        }
        Some(())
    }
}

fn block_bytes(block: &ReportBlock) -> [u8; BLOCK_LEN] {
    let [s0, s1, s2, s3] = block.ssrc.to_be_bytes();
    let [_, l0, l1, l2] = block
        .cumulative_lost
        .clamp(-0x80_0000, 0x7f_ffff)
        .to_be_bytes();
    let [h0, h1, h2, h3] = block.extended_highest.to_be_bytes();
    let [j0, j1, j2, j3] = block.jitter.to_be_bytes();
    let [r0, r1, r2, r3] = block.lsr.to_be_bytes();
    let [d0, d1, d2, d3] = block.dlsr.to_be_bytes();
    [
        s0,
        s1,
        s2,
        s3,
        block.fraction_lost,
        l0,
        l1,
        l2,
        h0,
        h1,
        h2,
        h3,
        j0,
        j1,
        j2,
        j3,
        r0,
        r1,
        r2,
        r3,
        d0,
        d1,
        d2,
        d3,
    ]
}
