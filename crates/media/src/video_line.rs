//! The video line of a leg comes, changes and goes. In a BUNDLE it shares the leg's transport; on a port leg another leg,
//! which nobody sees, lends it ports and keys of its own.

use crate::commands::{Refusal, bad_description};
use crate::describe::check_remote;
use crate::description::{LegOffer, LegRemote, PathKind, VideoLocal, VideoOffer, VideoRemote};
use crate::engine::Engine;
use crate::ids::LegId;
use crate::io::Now;
use crate::leg::{Leg, Path};
use crate::video::{MAX_CODECS, Video, compile};

/// Whether a video line can be opened beside the sound of this offer.
pub(crate) fn check_offer(offer: &LegOffer) -> Result<(), Refusal> {
    let Some(video) = &offer.video else {
        return Ok(());
    };
    if video.codecs.len() > MAX_CODECS {
        return Err(bad_description("a video line has at most 16 formats"));
    }
    let numbers = || {
        let both = video
            .codecs
            .iter()
            .flat_map(|one| [one.payload_type, one.rtx]);
        both.filter(|number| *number != 0)
    };
    let sound = |number: u8| offer.audio.iter().any(|one| one.payload_type == number);
    if offer.path == PathKind::WebRtc && numbers().any(sound) {
        return Err(bad_description(
            "a payload type of a bundle belongs to one line",
        ));
    }
    Ok(())
}

/// Our half of the leg that lends its transport: the same kind of leg, without sound.
fn lent(offer: &LegOffer) -> LegOffer {
    LegOffer {
        audio: Vec::new(),
        video: None,
        detect_digits: false,
        ..offer.clone()
    }
}

/// The peer's half of the leg that lends its transport.
fn lent_remote(remote: &LegRemote, video: &VideoRemote) -> LegRemote {
    LegRemote {
        audio: Vec::new(),
        address: video.address.clone(),
        port: video.port,
        rtcp_port: video.rtcp_port,
        fingerprints: remote.fingerprints.clone(),
        crypto: video.crypto.clone(),
        direction: video.direction,
        ..LegRemote::default()
    }
}

impl Engine {
    /// Opens the video line that a leg's offer has and the leg has not.
    pub(crate) fn open_video(&mut self, id: LegId) -> Result<(), Refusal> {
        let wanted = self.legs.get(id).map(|leg| (leg.call, leg.offer.clone()));
        let Some((call, offer)) = wanted else {
            return Ok(());
        };
        let Some(video) = offer.video.clone() else {
            return Ok(());
        };
        let carrier = match offer.path {
            PathKind::WebRtc => None,
            PathKind::Port => {
                let carrier = self.build_leg(call, lent(&offer))?;
                if let Some(leg) = self.legs.get_mut(carrier) {
                    leg.lent_to = Some(id);
                    leg.rx.expect_video(&video.codecs);
                }
                Some(carrier)
            }
        };
        let random = &mut self.random;
        if let Some(leg) = self.legs.get_mut(id) {
            if carrier.is_none() {
                leg.rx.expect_video(&video.codecs);
            }
            let video = Video::new(*video, carrier, &mut |out| random.fill(out));
            leg.video = Some(Box::new(video));
            leg.widen_windows();
        }
        Ok(())
    }

    /// Our half of the line changes with the leg's. A line that is gone from it keeps its ports and is silent.
    pub(crate) fn update_video(&mut self, id: LegId, now: Now) -> Result<(), Refusal> {
        let Some(leg) = self.legs.get_mut(id) else {
            return Ok(());
        };
        let offer = leg.offer.clone();
        let Some(video) = leg.video.as_mut() else {
            return self.open_video(id);
        };
        let ours = offer.video.as_deref().cloned().unwrap_or_default();
        let carrier = video.carrier;
        video.renegotiate(ours.clone());
        match carrier {
            None => leg.rx.expect_video(&ours.codecs),
            Some(carrier) => {
                self.update(carrier, lent(&offer), false, now)?;
                if let Some(leg) = self.legs.get_mut(carrier) {
                    leg.rx.expect_video(&ours.codecs);
                }
            }
        }
        Ok(())
    }

    /// Whether the peer's half of the line can be used.
    pub(crate) fn check_video(&self, id: LegId, remote: &LegRemote) -> Result<(), Refusal> {
        let carrier = self
            .legs
            .get(id)
            .and_then(|leg| leg.video.as_ref()?.carrier);
        let carrier = carrier.and_then(|carrier| self.legs.get(carrier));
        match (carrier, &remote.video) {
            (Some(carrier), Some(video)) => {
                check_remote(carrier, &lent_remote(remote, video)).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The leg whose ports carry the video of this one, while the peer has a half of the line.
    pub(crate) fn lender_of(&self, leg: &Leg) -> Option<&Leg> {
        let video = leg.video.as_ref().filter(|video| video.remote.is_some())?;
        self.legs.get(video.carrier?)
    }

    /// The peer's half of the line; `check_video` has found it usable.
    pub(crate) fn complete_video(&mut self, id: LegId, remote: &LegRemote, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(video) = leg.video.as_mut() else {
            return;
        };
        video.set_remote(remote.video.as_deref().cloned());
        let carrier = video.carrier;
        if let (Some(carrier), Some(video)) = (carrier, &remote.video) {
            // It was checked; what is left are ports of this engine as a destination, which stay refused.
            let _ = self.complete(carrier, lent_remote(remote, video), now);
        }
    }

    /// Makes what the video of a direction needs before its first packet.
    pub(crate) fn compile_video(&mut self, sink: LegId) {
        let Some(source) = self.source_of(sink) else {
            return self.compile_video_of(sink, &VideoOffer::default());
        };
        let link = self.legs.get(sink).and_then(|leg| leg.link.as_ref());
        let told = link.filter(|link| link.fed_by(source));
        let here = self.legs.get(source).and_then(|leg| leg.video.as_ref());
        let offer = here
            .map(|video| &video.offer)
            .or(told.and_then(|link| link.known.video.as_ref()));
        let offer = offer.cloned().unwrap_or_default();
        self.compile_video_of(sink, &offer);
    }

    fn compile_video_of(&mut self, sink: LegId, offer: &VideoOffer) {
        let video = self.legs.get_mut(sink).and_then(|leg| leg.video.as_mut());
        if let Some(video) = video {
            compile(offer, video);
        }
    }

    /// What is announced of a leg's video line.
    pub(crate) fn video_local(&self, leg: &Leg) -> Option<VideoLocal> {
        let video = leg.video.as_ref()?;
        let mut local = VideoLocal {
            ssrc: video.tx.ssrc,
            rtx_ssrc: video.tx.repair_ssrc,
            candidates: Vec::new(),
            rtcp_port: 0,
            crypto: Vec::new(),
        };
        let carrier = video.carrier.and_then(|carrier| self.legs.get(carrier));
        if let Some(carrier) = carrier {
            if let Path::Port(port) = &carrier.path {
                let address = port.pair.address;
                local.candidates = vec![(address.ip().to_string(), address.port())];
                local.rtcp_port = port.pair.rtcp_port;
            }
            let keys = carrier.keys.described.as_ref();
            local.crypto = keys.map(|keys| keys.ours()).unwrap_or_default();
        }
        Some(local)
    }
}
