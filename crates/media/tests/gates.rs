//! What passes a leg that is to be secured and has no keys yet: nothing, either way.

mod common;

use common::webrtc::{Peer, both, webrtc_offer};
use common::*;
use offhook_media::SocketId;
use offhook_media::command::Command;

#[test]
fn trap_15_media_without_keys_is_dropped_and_not_queued() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both()), port_offer(both())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    // Both sides wait for the other's hello: the path is up and there are no keys.
    peer.describe(&legs[0], false);
    world.complete(legs[0].leg, peer.remote(both()));
    let browser = peer.addresses[0];
    world.peers.push(peer);
    let mut phone = phone(&legs[1], 0);
    world.complete(phone.leg, port_remote(both(), phone.address));
    world.bridge(legs[0].leg, phone.leg);
    world.advance_ms(200);
    let leg = legs[0].leg;
    world.command(|n| Command::SendDigits {
        n,
        leg,
        digits: "1".to_owned(),
        each_ms: 100,
    });
    phone.speak_for(&mut world, 4_000);
    assert_eq!(world.facts(leg).gate, "no_keys");
    assert!(world.rtp_to(browser).is_empty() && world.rtcp_to(browser).is_empty());
    // Nor is anything from it taken in the clear.
    let mut forger = phone.clone();
    forger.ssrc = 5;
    let packet = forger.packet(&voice(1));
    world.datagram(SocketId(1), browser, &packet);
    assert!(world.rtp_to(phone.address).is_empty());
}
