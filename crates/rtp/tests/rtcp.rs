//! RTCP compounds: ours read by another implementation, others' read by us.

use offhook_rtp::rtcp::{
    Compound, CompoundBuilder, Packet, ReportBlock, RtcpError, SenderInfo, is_rtcp, ntp_middle,
};
use proptest::collection::vec;
use proptest::prelude::*;

const INFO: SenderInfo = SenderInfo {
    ssrc: 0x0102_0304,
    ntp: 0x1122_3344_5566_7788,
    rtp: 160,
    packets: 50,
    octets: 8000,
};
const BLOCK: ReportBlock = ReportBlock {
    ssrc: 9,
    fraction_lost: 64,
    cumulative_lost: -5,
    extended_highest: 0x0001_0002,
    jitter: 33,
    lsr: 0x3344_5566,
    dlsr: 65_536,
};

fn compound(build: impl FnOnce(&mut CompoundBuilder<'_>) -> Result<(), RtcpError>) -> Vec<u8> {
    let mut buffer = [0xee; 1500];
    let mut builder = CompoundBuilder::new(&mut buffer);
    build(&mut builder).unwrap();
    let len = builder.finish();
    buffer[..len].to_vec()
}

#[test]
fn a_report_of_ours_is_read_by_rtcp_types() {
    let bytes = compound(|builder| {
        builder.sender_report(&INFO, &[BLOCK])?;
        builder.cname(INFO.ssrc, "offhook@example")?;
        builder.goodbye(&[INFO.ssrc])
    });
    let packets: Vec<_> = rtcp_types::Compound::parse(&bytes)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let [
        rtcp_types::Packet::Sr(report),
        rtcp_types::Packet::Sdes(sdes),
        rtcp_types::Packet::Bye(bye),
    ] = &packets[..]
    else {
        panic!("{packets:?}");
    };
    assert_eq!(
        (
            report.ssrc(),
            report.ntp_timestamp(),
            report.rtp_timestamp()
        ),
        (INFO.ssrc, INFO.ntp, 160)
    );
    assert_eq!((report.packet_count(), report.octet_count()), (50, 8000));
    let block = report.report_blocks().next().unwrap();
    assert_eq!(
        (
            block.ssrc(),
            block.fraction_lost(),
            block.interarrival_jitter()
        ),
        (9, 64, 33)
    );
    assert_eq!(block.cumulative_lost(), 0xff_fffb, "24 bits of -5");
    let (highest, lsr, dlsr) = (
        block.extended_sequence_number(),
        block.last_sender_report_timestamp(),
        block.delay_since_last_sender_report_timestamp(),
    );
    assert_eq!((highest, lsr, dlsr), (0x0001_0002, 0x3344_5566, 65_536));
    let chunk = sdes.chunks().next().unwrap();
    let item = chunk.items().next().unwrap();
    assert_eq!(
        (chunk.ssrc(), item.type_(), item.value()),
        (INFO.ssrc, 1, b"offhook@example".as_slice())
    );
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [INFO.ssrc]);
}

#[test]
fn a_compound_is_read_back() {
    let bytes = compound(|builder| {
        builder.sender_report(&INFO, &[BLOCK, ReportBlock { ssrc: 10, ..BLOCK }])?;
        builder.receiver_report(7, &[BLOCK])?;
        builder.cname(7, "")?;
        builder.pli(7, 8)?;
        builder.fir(7, 8, 3)?;
        builder.nack(7, 8, &[(100, 1), (200, 0x8000)])?;
        builder.goodbye(&[7, 8])
    });
    let packets: Vec<_> = Compound::parse(&bytes).unwrap().packets().collect();
    let [
        Packet::SenderReport(info, first),
        Packet::ReceiverReport(7, second),
        Packet::Other(202, 1),
        Packet::Pli {
            sender: 7,
            media: 8,
        },
        Packet::Fir { sender: 7, entries },
        Packet::Nack {
            sender: 7,
            media: 8,
            lost,
        },
        Packet::Goodbye(ended),
    ] = &packets[..]
    else {
        panic!("{packets:?}");
    };
    assert_eq!(*info, INFO);
    assert_eq!(
        first.clone().map(|block| block.ssrc).collect::<Vec<_>>(),
        [9, 10]
    );
    assert_eq!(second.clone().collect::<Vec<_>>(), [BLOCK]);
    assert_eq!(entries.clone().collect::<Vec<_>>(), [(8, 3)]);
    assert_eq!(lost.clone().collect::<Vec<_>>(), [(100, 1), (200, 0x8000)]);
    assert_eq!(ended.clone().collect::<Vec<_>>(), [7, 8]);
}

#[test]
fn what_does_not_fit_leaves_the_compound_as_it_was() {
    let mut buffer = [0; 8 + 16];
    let mut builder = CompoundBuilder::new(&mut buffer);
    builder.receiver_report(1, &[]).unwrap();
    assert_eq!(builder.receiver_report(1, &[BLOCK]), Err(RtcpError::Full));
    assert_eq!(builder.goodbye(&[0; 32]), Err(RtcpError::Full));
    assert_eq!(builder.cname(1, &"x".repeat(256)), Err(RtcpError::Full));
    builder.cname(1, "abc").unwrap();
    assert_eq!(builder.finish(), 8 + 16);
    assert_eq!(Compound::parse(&buffer).unwrap().packets().count(), 2);
}

#[test]
fn wrong_lengths_versions_and_padding_are_malformed() {
    let good = compound(|builder| {
        builder.receiver_report(7, &[BLOCK])?;
        builder.goodbye(&[7])
    });
    assert!(Compound::parse(&good).is_ok());
    assert!(Compound::parse(&[]).is_err());
    for len in 1..good.len() {
        // The first packet alone, 32 bytes, is a whole compound.
        assert_eq!(
            Compound::parse(&good[..len]).is_ok(),
            len == 32,
            "{len} bytes"
        );
    }
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Compound::parse(&bytes).is_ok()
    };
    assert!(!change(0, 0x41), "version 1");
    assert!(!change(0, 0x82), "two blocks announced, one there");
    assert!(!change(0, 0xa1), "padding before the end");
    assert!(!change(32, 0xa1), "padding of 7 bytes");
    assert!(!change(35, 2), "longer than the datagram");
}

#[test]
fn padding_at_the_end_is_not_content() {
    let mut bytes = compound(|builder| builder.goodbye(&[7]));
    bytes.extend([0, 0, 0, 4]);
    bytes[0] |= 0x20;
    bytes[3] += 1;
    let packets: Vec<_> = Compound::parse(&bytes).unwrap().packets().collect();
    assert!(matches!(&packets[..], [Packet::Goodbye(ended)] if ended.clone().eq([7])));
}

/// The example of RFC 3550 6.4.1, figure 2.
#[test]
fn round_trip_of_the_rfc_example() {
    let block = ReportBlock {
        lsr: 0xb705_2000,
        dlsr: 0x0005_4000,
        ..BLOCK
    };
    assert_eq!(block.round_trip(0xb710_8000), Some(0x0006_2000), "6.125 s");
    assert_eq!(ReportBlock { lsr: 0, ..block }.round_trip(5), None);
    assert_eq!(block.round_trip(0xb705_2000), None, "negative");
    assert_eq!(ntp_middle(0xb44d_b705_2000_0000), 0xb705_2000);
}

#[test]
fn rtcp_is_told_from_rtp() {
    assert!(is_rtcp(&[0x80, 200]));
    assert!(is_rtcp(&[0x80, 206]));
    assert!(!is_rtcp(&[0x80, 0x80 | 96]));
    assert!(!is_rtcp(&[0x80]));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Compound::parse(&bytes);
    }

    /// Bytes that look like RTCP reach the inner parsers.
    #[test]
    fn near_rtcp_never_panics(packets in vec((any::<u8>(), 199..208_u8, vec(any::<u32>(), 0..12)), 1..6)) {
        let mut bytes = Vec::new();
        for (first, kind, words) in &packets {
            bytes.extend([first & 0x3f | 0x80, *kind, 0, words.len() as u8]);
            words.iter().for_each(|word| bytes.extend(word.to_be_bytes()));
        }
        if let Ok(compound) = Compound::parse(&bytes) {
            prop_assert_eq!(compound.packets().count(), packets.len());
            let printed: usize = compound.packets().map(|packet| format!("{packet:?}").len()).sum();
            prop_assert!(printed > 0);
        }
    }

    #[test]
    fn report_blocks_survive(
        ssrc: u32, fraction_lost: u8, cumulative_lost in -0x80_0000..0x80_0000_i32,
        extended_highest: u32, jitter: u32, lsr: u32, dlsr: u32, count in 0..32_usize,
    ) {
        let block = ReportBlock { ssrc, fraction_lost, cumulative_lost, extended_highest, jitter, lsr, dlsr };
        let bytes = compound(|builder| builder.receiver_report(1, &vec![block; count]));
        let packet = Compound::parse(&bytes).unwrap().packets().next();
        let Some(Packet::ReceiverReport(1, blocks)) = packet else { panic!("{packet:?}") };
        prop_assert_eq!(blocks.collect::<Vec<_>>(), vec![block; count]);
    }
}

#[test]
fn a_bit_rate_is_read_as_it_was_written_to_18_bits() {
    for (bits, read) in [
        (1_500_000, 1_500_000),
        (0, 0),
        (262_143, 262_143),
        (262_145, 262_144),
        (u64::MAX, 0x3_ffff << 46),
    ] {
        let bytes = compound(|builder| builder.remb(1, bits, &[7, 8]));
        let Some(Packet::Remb(remb)) = Compound::parse(&bytes).unwrap().packets().next() else {
            panic!("{bits}")
        };
        assert_eq!((remb.sender, remb.bits), (1, read), "{bits}");
        assert_eq!(remb.sources.collect::<Vec<_>>(), [7, 8]);
    }
}

#[test]
fn application_feedback_that_is_no_bit_rate_is_something_else() {
    let mut bytes = compound(|builder| builder.remb(1, 1_000, &[7]));
    bytes[12] = b'X';
    let found = Compound::parse(&bytes).unwrap().packets().next();
    assert!(matches!(found, Some(Packet::Other(206, 15))), "{found:?}");
    // More sources announced than there are.
    let mut bytes = compound(|builder| builder.remb(1, 1_000, &[7]));
    bytes[16] = 9;
    let found = Compound::parse(&bytes).unwrap().packets().next();
    assert!(matches!(found, Some(Packet::Other(206, 15))), "{found:?}");
    // The largest exponent shifts nothing away unseen.
    let mut bytes = compound(|builder| builder.remb(1, u64::MAX, &[7]));
    bytes[17] |= 0xfc;
    let Some(Packet::Remb(remb)) = Compound::parse(&bytes).unwrap().packets().next() else {
        panic!("a bit rate")
    };
    assert_eq!(remb.bits, u64::MAX);
}
