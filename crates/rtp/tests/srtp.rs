//! SRTP between two of ours: replay, rollover, its loss and recovery.

use std::time::{Duration, Instant};

use offhook_rtp::header::{FIXED_LEN, Fields};
use offhook_rtp::keys::{BadKeyLength, MasterKeys};
use offhook_rtp::srtp::{MAX_OVERHEAD, MAX_STREAMS, SrtpError, SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;

const SSRC: u32 = 0x1122_3344;
const TICK: Duration = Duration::from_millis(20);

fn keys(suite: Suite, fill: u8) -> MasterKeys {
    MasterKeys::new(
        suite,
        &vec![fill; suite.key_len()],
        &vec![fill ^ 0xff; suite.salt_len()],
    )
    .unwrap()
}

fn pair(suite: Suite) -> (SrtpOut, SrtpIn) {
    (
        SrtpOut::new(&keys(suite, 7)).unwrap(),
        SrtpIn::new(&keys(suite, 7)).unwrap(),
    )
}

fn plain(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0xd5; FIXED_LEN + 160];
    let timestamp = u32::from(sequence) * 160;
    Fields {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp,
        ssrc,
    }
    .write(&mut packet)
    .unwrap();
    packet
}

fn seal(out: &mut SrtpOut, ssrc: u32, sequence: u16) -> Result<Vec<u8>, SrtpError> {
    let mut packet = plain(ssrc, sequence);
    let len = packet.len();
    packet.resize(len + MAX_OVERHEAD, 0);
    let sealed = out.seal(&mut packet, len)?;
    packet.truncate(sealed);
    Ok(packet)
}

fn open(into: &mut SrtpIn, sealed: &[u8], now: Instant) -> Result<Vec<u8>, SrtpError> {
    let mut packet = sealed.to_vec();
    let len = into.open(&mut packet, now)?;
    packet.truncate(len);
    Ok(packet)
}

#[test]
fn wraps_in_disorder_take_the_right_counter() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let now = Instant::now();
        let sealed: Vec<_> = [65534, 65535, 0, 1]
            .map(|seq| seal(&mut out, SSRC, seq).unwrap())
            .into();
        for at in [0, 2, 1, 3] {
            assert!(
                open(&mut into, &sealed[at], now).is_ok(),
                "{suite}: packet {at}"
            );
        }
        assert_eq!(into.roc(SSRC), Some(1));
        assert_eq!(out.index(SSRC), Some(65537));
    }
}

#[test]
fn replays_and_stragglers_are_refused_and_the_call_goes_on() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let now = Instant::now();
        let sealed: Vec<_> = (0..=129)
            .map(|seq| seal(&mut out, SSRC, seq).unwrap())
            .collect();
        assert!(open(&mut into, &sealed[128], now).is_ok());
        assert_eq!(open(&mut into, &sealed[128], now), Err(SrtpError::Replayed));
        assert_eq!(
            open(&mut into, &sealed[0], now),
            Err(SrtpError::TooOld),
            "{suite}: 128 behind"
        );
        assert!(
            open(&mut into, &sealed[1], now).is_ok(),
            "{suite}: 127 behind"
        );
        assert_eq!(open(&mut into, &sealed[1], now), Err(SrtpError::Replayed));
        assert!(open(&mut into, &sealed[129], now).is_ok());
        let counters = into.counters();
        assert_eq!(
            (
                counters.opened,
                counters.replayed,
                counters.too_old,
                counters.failed
            ),
            (3, 2, 1, 0)
        );
    }
}

#[test]
fn a_forged_packet_changes_nothing() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let now = Instant::now();
        for sequence in 0..4 {
            let sealed = seal(&mut out, SSRC, sequence).unwrap();
            // The forger claims a sequence number far ahead, and a stranger's SSRC.
            let mut ahead = sealed.clone();
            ahead[2] ^= 0x70;
            assert_eq!(open(&mut into, &ahead, now), Err(SrtpError::Auth));
            let mut stranger = sealed.clone();
            stranger[8] ^= 1;
            assert_eq!(open(&mut into, &stranger, now), Err(SrtpError::Auth));
            assert_eq!(
                open(&mut into, &sealed, now),
                Ok(plain(SSRC, sequence)),
                "{suite}"
            );
        }
        assert_eq!(into.counters().failed, 8);
        assert_eq!(into.roc(SSRC ^ 0x0100_0000), None);
    }
}

/// Opens packets 20 ms apart until one succeeds; returns how many failed before.
fn failures_until_opened(
    out: &mut SrtpOut,
    into: &mut SrtpIn,
    now: &mut Instant,
    mut sequence: u16,
    limit: usize,
) -> usize {
    for failed in 0..limit {
        *now += TICK;
        let sealed = seal(out, SSRC, sequence);
        if sealed.is_ok_and(|sealed| open(into, &sealed, *now).is_ok()) {
            return failed;
        }
        sequence = sequence.wrapping_add(1);
    }
    limit
}

/// 20 minutes of hold: 60 000 packets at 50 a second leave and none arrives. From 100 the receiver guesses one counter
/// too few; from 40 000 everything after seems too old.
#[test]
fn a_wrap_missed_during_hold_is_found_after_eight_failures() {
    for suite in Suite::ALL {
        for before in [&[65_535, 100][..], &[65_535, 20_000, 40_000]] {
            let last = u32::from(*before.last().unwrap());
            let (mut out, mut into) = pair(suite);
            let mut now = Instant::now();
            for sequence in before {
                open(&mut into, &seal(&mut out, SSRC, *sequence).unwrap(), now).unwrap();
            }
            for sequence in last + 1..last + 60_001 {
                seal(&mut out, SSRC, sequence as u16).unwrap();
            }
            now += Duration::from_secs(1200);
            let failed =
                failures_until_opened(&mut out, &mut into, &mut now, (last + 60_001) as u16, 100);
            assert_eq!(failed, 8, "{suite}, held at {last}");
            assert!(into.counters().roc_trials <= 2);
            assert_eq!(
                into.roc(SSRC).map(u64::from),
                out.index(SSRC).map(|index| index >> 16)
            );
        }
    }
}

#[test]
fn a_receiver_that_joins_after_a_wrap_finds_the_counter() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let mut now = Instant::now();
        seal(&mut out, SSRC, 65_535).unwrap();
        assert_eq!(
            failures_until_opened(&mut out, &mut into, &mut now, 0, 100),
            8,
            "{suite}"
        );
        assert_eq!(into.roc(SSRC), Some(1));
    }
}

#[test]
fn a_peer_that_resets_its_counter_is_followed_only_in_quiet() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let mut now = Instant::now();
        for sequence in [65_535, 0, 1] {
            open(&mut into, &seal(&mut out, SSRC, sequence).unwrap(), now).unwrap();
        }
        let mut restarted = SrtpOut::new(&keys(suite, 7)).unwrap();
        let failed = failures_until_opened(&mut restarted, &mut into, &mut now, 2, 200);
        assert!(
            (50..=101).contains(&failed),
            "{suite}: {failed} failures, one to two seconds"
        );
        assert_eq!(into.roc(SSRC), Some(0));
    }
}

/// While the stream runs, recorded packets of an earlier counter never come through, however many are thrown at us.
#[test]
fn recorded_packets_do_not_step_a_running_stream_back() {
    let (mut out, mut into) = pair(Suite::AesCm128HmacSha1_80);
    let mut now = Instant::now();
    let recorded: Vec<_> = (60_000..60_020)
        .map(|seq| seal(&mut out, SSRC, seq).unwrap())
        .collect();
    for sealed in &recorded {
        open(&mut into, sealed, now).unwrap();
    }
    for sequence in (60_020..=65_535).chain(0..1000) {
        open(&mut into, &seal(&mut out, SSRC, sequence).unwrap(), now).unwrap();
    }
    for sequence in 1000..1200 {
        now += TICK;
        for sealed in &recorded {
            assert!(open(&mut into, sealed, now).is_err());
        }
        assert!(open(&mut into, &seal(&mut out, SSRC, sequence).unwrap(), now).is_ok());
    }
    assert_eq!(into.roc(SSRC), Some(1));
}

#[test]
fn a_source_that_jumps_back_goes_forwards_under_the_next_counter() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let mut now = Instant::now();
        for sequence in 40_000..40_100 {
            now += TICK;
            open(&mut into, &seal(&mut out, SSRC, sequence).unwrap(), now).unwrap();
        }
        let before = out.index(SSRC).unwrap();
        assert_eq!(
            seal(&mut out, SSRC, 30_000),
            Err(SrtpError::TooOld),
            "a straggler is refused"
        );
        assert!(seal(&mut out, SSRC, 40_100).is_ok());
        // Three of the run are refused, then the receiver needs its eight failures.
        let failed = failures_until_opened(&mut out, &mut into, &mut now, 20_000, 100);
        assert_eq!(failed, 11, "{suite}");
        assert!(out.index(SSRC).unwrap() > before);
        assert_eq!(into.roc(SSRC), Some(1));
    }
}

#[test]
fn nothing_is_sealed_twice() {
    let (mut out, _) = pair(Suite::AeadAes128Gcm);
    for sequence in [10, 12, 11] {
        assert!(seal(&mut out, SSRC, sequence).is_ok());
    }
    for sequence in [10, 11, 12] {
        assert_eq!(seal(&mut out, SSRC, sequence), Err(SrtpError::Replayed));
    }
    assert_eq!(
        seal(&mut out, SSRC, 65_535),
        Err(SrtpError::TooOld),
        "before the first index there is none"
    );
}

#[test]
fn ssrc_flapping_keeps_each_counter() {
    let (mut out, mut into) = pair(Suite::AeadAes256Gcm);
    let now = Instant::now();
    let streams: Vec<u32> = (0..MAX_STREAMS as u32).collect();
    for sequence in [65_534, 65_535, 0, 1] {
        for ssrc in &streams {
            open(&mut into, &seal(&mut out, *ssrc, sequence).unwrap(), now).unwrap();
        }
    }
    assert!(streams.iter().all(|ssrc| into.roc(*ssrc) == Some(1)));
    // A ninth takes the place of the one that was silent longest, and that one is never sealed for again.
    open(&mut into, &seal(&mut out, 99, 5).unwrap(), now).unwrap();
    assert_eq!((into.roc(0), into.roc(99)), (None, Some(0)));
    assert_eq!(seal(&mut out, 0, 2), Err(SrtpError::Exhausted));
}

#[test]
fn rekeying_keeps_the_counter_and_refuses_the_old_key() {
    for (from, to) in [
        (Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_80),
        (Suite::AeadAes128Gcm, Suite::Aes256CmHmacSha1_32),
    ] {
        let (mut out, mut into) = pair(from);
        let now = Instant::now();
        for sequence in [65_535, 0] {
            open(&mut into, &seal(&mut out, SSRC, sequence).unwrap(), now).unwrap();
        }
        let late = seal(&mut out, SSRC, 1).unwrap();
        out.rekey(&keys(to, 8)).unwrap();
        into.rekey(&keys(to, 8)).unwrap();
        assert_eq!(open(&mut into, &late, now), Err(SrtpError::Auth));
        assert!(open(&mut into, &seal(&mut out, SSRC, 2).unwrap(), now).is_ok());
        assert_eq!(into.roc(SSRC), Some(1));
    }
}

#[test]
fn srtcp_round_trip_replay_and_tag_lengths() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let report = [0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 202, 0, 1, 5, 6, 7, 8];
        let mut sealed = Vec::new();
        for _ in 0..130 {
            let mut buffer = [0; 64];
            buffer[..16].copy_from_slice(&report);
            let len = out.seal_rtcp(&mut buffer, 16).unwrap();
            assert_eq!(
                len,
                16 + 4 + if suite.is_aead() { 16 } else { 10 },
                "{suite}: never the short tag"
            );
            assert_ne!(&buffer[8..16], &report[8..], "{suite}: encrypted");
            sealed.push(buffer[..len].to_vec());
        }
        let mut open = |at: usize| -> Result<Vec<u8>, SrtpError> {
            let mut packet: Vec<u8> = sealed[at].clone();
            let len = into.open_rtcp(&mut packet)?;
            packet.truncate(len);
            Ok(packet)
        };
        assert_eq!(open(129).unwrap(), report, "{suite}");
        assert_eq!(open(129), Err(SrtpError::Replayed));
        assert_eq!(open(1), Err(SrtpError::TooOld));
        assert_eq!(open(2).unwrap(), report);
        assert_eq!(
            (into.counters().rtcp_opened, into.counters().rtcp_refused),
            (2, 2)
        );
    }
}

#[test]
fn short_packets_and_short_buffers_are_errors() {
    for suite in Suite::ALL {
        let (mut out, mut into) = pair(suite);
        let sealed = seal(&mut out, SSRC, 1).unwrap();
        for len in 0..FIXED_LEN + suite.rtp_tag_len() {
            assert_eq!(
                into.open(&mut sealed[..len].to_vec(), Instant::now()),
                Err(SrtpError::TooShort)
            );
        }
        let mut exact = plain(SSRC, 2);
        let len = exact.len();
        assert_eq!(out.seal(&mut exact, len), Err(SrtpError::NoRoom));
        assert_eq!(out.seal(&mut exact, len + 1), Err(SrtpError::NoRoom));
        assert_eq!(out.seal_rtcp(&mut exact, len), Err(SrtpError::NoRoom));
        assert_eq!(out.seal_rtcp(&mut exact, 7), Err(SrtpError::TooShort));
    }
}

#[test]
fn keys_are_checked_split_and_redacted() {
    for suite in Suite::ALL {
        let (k, s) = (suite.key_len(), suite.salt_len());
        let material: Vec<u8> = (0..2 * (k + s)).map(|byte| byte as u8).collect();
        let (client, server) = MasterKeys::from_exporter(suite, &material).unwrap();
        let swapped = MasterKeys::new(suite, &material[k..2 * k], &material[2 * k + s..]).unwrap();
        let mut out = SrtpOut::new(&server).unwrap();
        let sealed = seal(&mut out, SSRC, 1).unwrap();
        let now = Instant::now();
        assert!(open(&mut SrtpIn::new(&swapped).unwrap(), &sealed, now).is_ok());
        assert!(open(&mut SrtpIn::new(&client).unwrap(), &sealed, now).is_err());
        assert_eq!(
            format!("{client:?}"),
            format!("MasterKeys({suite}, redacted)")
        );
        assert_eq!(
            MasterKeys::from_exporter(suite, &material[1..]).err(),
            Some(BadKeyLength)
        );
        assert!(MasterKeys::from_inline(suite, &material[..k + s]).is_ok());
        assert_eq!(
            MasterKeys::from_inline(suite, &material[..k + s + 1]).err(),
            Some(BadKeyLength)
        );
        assert_eq!(suite.name().parse(), Ok(suite));
    }
}

/// MEDIA.md section 3: 128 packets for sound, 1 024 for video; each opens once.
#[test]
fn a_transport_with_video_remembers_a_thousand_packets() {
    for suite in Suite::ALL {
        for (wide, behind, verdict) in [
            (false, 127, Ok(())),
            (false, 128, Err(SrtpError::TooOld)),
            (true, 1_023, Ok(())),
            (true, 1_024, Err(SrtpError::TooOld)),
        ] {
            let (mut out, mut into) = pair(suite);
            if wide {
                out.widen();
                into.widen();
            }
            let now = Instant::now();
            // Sealed in order by a second sealer, so that only the opener's memory is asked.
            let first = seal(&mut out, SSRC, 60_000).unwrap();
            open(&mut into, &first, now).unwrap();
            let late = seal(&mut out, SSRC, 60_001).unwrap();
            for step in 1..=behind {
                let sealed = seal(&mut out, SSRC, 60_001u16.wrapping_add(step)).unwrap();
                open(&mut into, &sealed, now).unwrap();
            }
            let opened = open(&mut into, &late, now).map(drop);
            assert_eq!(opened, verdict, "{wide} {behind}");
            if verdict.is_ok() {
                assert_eq!(open(&mut into, &late, now), Err(SrtpError::Replayed));
            }
        }
    }
}

#[test]
fn a_late_packet_of_video_is_sealed_once_within_a_thousand() {
    let (mut out, _) = pair(Suite::ALL[0]);
    out.widen();
    seal(&mut out, SSRC, 1_000).unwrap();
    seal(&mut out, SSRC, 2_500).unwrap();
    assert!(seal(&mut out, SSRC, 2_500 - 1_023).is_ok());
    assert_eq!(
        seal(&mut out, SSRC, 2_500 - 1_023).unwrap_err(),
        SrtpError::Replayed
    );
    assert_eq!(
        seal(&mut out, SSRC, 2_500 - 1_024).unwrap_err(),
        SrtpError::TooOld
    );
}
