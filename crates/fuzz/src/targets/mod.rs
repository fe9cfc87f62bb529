//! All targets, in the order of the packet path.

mod command_sequence;
mod dtls_to_leg;
mod extensions;
mod jitter_script;
mod opus_packet;
mod rtcp_compound;
mod rtp_header;
mod srtp_open;
mod stun_to_leg;
mod tcp_framing;
mod telephone_event;
mod video_to_leg;
mod wav_ogg_prompt;

use crate::Target;

macro_rules! targets {
    ($($name:ident),*) => {
        &[$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*]
    };
}

/// Every target.
pub const TARGETS: &[Target] = targets![
    rtp_header,
    extensions,
    rtcp_compound,
    srtp_open,
    stun_to_leg,
    dtls_to_leg,
    telephone_event,
    opus_packet,
    jitter_script,
    wav_ogg_prompt,
    tcp_framing,
    video_to_leg,
    command_sequence
];
