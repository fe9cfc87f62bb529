//! Invariant: any bytes are malformed, or every packet of the compound can be read to its end; what is built is read again.

use offhook_rtp::rtcp::{
    Compound, CompoundBuilder, MAX_PACKETS, Packet, ReportBlock, SenderInfo, is_rtcp,
};

use crate::bytes::Bytes;

pub(crate) fn run(data: &[u8]) {
    let _ = is_rtcp(data);
    read(data);
    built(&mut Bytes(data));
}

fn read(data: &[u8]) {
    let Ok(compound) = Compound::parse(data) else {
        return;
    };
    let mut count = 0;
    let most = data.len();
    for packet in compound.packets() {
        count += 1;
        // Nothing has more entries than bytes.
        let entries = match packet {
            Packet::SenderReport(_, blocks) | Packet::ReceiverReport(_, blocks) => blocks.count(),
            Packet::Goodbye(sources) => sources.count(),
            Packet::Fir { entries, .. } => entries.count(),
            Packet::Nack { lost, .. } => lost.count(),
            Packet::Remb(remb) => remb.sources.count(),
            Packet::Pli { .. } | Packet::Other(..) => 0,
        };
        assert!(entries <= most);
    }
    assert!((1..=MAX_PACKETS).contains(&count));
}

fn built(script: &mut Bytes<'_>) {
    let mut buffer = vec![0; usize::from(script.u8()) * 4];
    let mut compound = CompoundBuilder::new(&mut buffer);
    let mut expected = 0;
    while !script.is_empty() {
        let block = ReportBlock {
            ssrc: script.u32(),
            fraction_lost: script.u8(),
            cumulative_lost: 0,
            extended_highest: script.u32(),
            jitter: 1,
            lsr: 2,
            dlsr: 3,
        };
        let blocks = vec![block; usize::from(script.u8() % 40)];
        let info = SenderInfo {
            ssrc: block.ssrc,
            ntp: 5,
            rtp: 6,
            packets: 7,
            octets: 8,
        };
        let text = "x".repeat(usize::from(script.u8()));
        let done = match script.u8() % 8 {
            0 => compound.sender_report(&info, &blocks),
            1 => compound.receiver_report(block.ssrc, &blocks),
            2 => compound.cname(block.ssrc, &text),
            3 => compound.goodbye(&vec![block.ssrc; blocks.len()]),
            4 => compound.pli(1, block.ssrc),
            5 => compound.fir(1, block.ssrc, 9),
            6 => compound.nack(
                1,
                block.ssrc,
                &vec![(script.u16(), script.u16()); blocks.len()],
            ),
            _ => compound.remb(
                1,
                u64::from(block.extended_highest) << 20,
                &vec![block.ssrc; blocks.len()],
            ),
        };
        expected += usize::from(done.is_ok());
    }
    let len = compound.finish();
    if (1..=MAX_PACKETS).contains(&expected) {
        let read = Compound::parse(&buffer[..len]).expect("what we build is well formed");
        assert_eq!(read.packets().count(), expected);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut buffer = [0; 256];
    let mut compound = CompoundBuilder::new(&mut buffer);
    let _ = compound.receiver_report(7, &[]);
    let _ = compound.cname(7, "name");
    let _ = compound.nack(7, 8, &[(3, 5)]);
    let _ = compound.fir(7, 8, 1);
    let _ = compound.remb(7, 1_000_000, &[8, 9]);
    let _ = compound.pli(7, 8);
    let _ = compound.goodbye(&[7]);
    let len = compound.finish();
    vec![
        buffer[..len].to_vec(),
        vec![0x81, 201, 0, 7, 0, 0, 0, 1],
        (0..200).collect(),
    ]
}
