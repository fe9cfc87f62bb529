//! Datagrams of a socket of every address: told where they came to, sent from where they are to.

use super::*;

const HERE: [u8; 4] = [127, 0, 0, 1];
const HERE_TOO: [u8; 4] = [127, 0, 0, 2];

fn bound(address: impl Into<IpAddr>) -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(address.into(), 0)).expect("a free port")
}

/// Receives what is sure to come: it may be on its way.
fn received(batch: &mut ReceiveBatch, socket: &UdpSocket) {
    let mut poller = Poller::new().expect("epoll");
    poller.add(socket.as_raw_fd(), 0).expect("watched");
    poller.wait(None, &mut Vec::new());
    assert_eq!(batch.receive(socket.as_raw_fd()), 1);
}

fn echo(ours: &UdpSocket, client: &UdpSocket, video: bool) -> IpAddr {
    client.send(b"a check").expect("sent");
    let mut batch = ReceiveBatch::new();
    received(&mut batch, ours);
    let local = batch.local(0);
    let (destination, buffer, length) = batch.datagram(0).expect("a datagram");
    let datagram = Datagram {
        local,
        destination,
        data: &buffer[..length],
        video,
    };
    let (sent, error) = send_batch(ours.as_raw_fd(), &[datagram]);
    assert!(sent == 1 && error.is_none(), "{error:?}");
    // Connected: from any other address nothing would come in.
    let mut answer = [0; 16];
    assert_eq!(client.recv(&mut answer).expect("an answer"), 7);
    local.expect("told")
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let ours = bound(Ipv4Addr::UNSPECIFIED);
    tell_locals(&ours);
    let port = ours.local_addr().expect("bound").port();
    for address in [HERE, HERE_TOO] {
        for video in [false, true] {
            let client = bound(HERE);
            client
                .connect((Ipv4Addr::from(address), port))
                .expect("connected");
            assert_eq!(echo(&ours, &client, video), IpAddr::from(address));
        }
    }
}

#[test]
fn over_ipv6_too_an_answer_comes_from_where_was_asked() {
    // A machine without it has no socket that could be asked.
    let Ok(client) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return;
    };
    let ours = bound(Ipv6Addr::UNSPECIFIED);
    tell_locals(&ours);
    let port = ours.local_addr().expect("bound").port();
    client
        .connect((Ipv6Addr::LOCALHOST, port))
        .expect("connected");
    for video in [false, true] {
        assert_eq!(echo(&ours, &client, video), Ipv6Addr::LOCALHOST);
    }
}

#[test]
fn a_batch_leaves_from_several_addresses() {
    let ours = bound(Ipv4Addr::UNSPECIFIED);
    let client = bound(HERE);
    let destination = client.local_addr().expect("bound");
    let from = |address: [u8; 4], video| Datagram {
        local: Some(address.into()),
        destination,
        data: b"media",
        video,
    };
    let all = [
        from(HERE, false),
        from(HERE_TOO, true),
        from(HERE_TOO, false),
    ];
    assert_eq!(send_batch(ours.as_raw_fd(), &all).0, 3);
    for address in [HERE, HERE_TOO, HERE_TOO] {
        let (_, source) = client.recv_from(&mut [0; 16]).expect("sent");
        assert_eq!(source.ip(), IpAddr::from(address));
    }
}

#[test]
fn an_address_that_is_not_ours_is_told_as_an_error() {
    let (ours, client) = (bound(Ipv4Addr::UNSPECIFIED), bound(HERE));
    let datagram = Datagram {
        local: Some([192, 0, 2, 1].into()),
        destination: client.local_addr().expect("bound"),
        data: b"media",
        video: false,
    };
    let (sent, error) = send_batch(ours.as_raw_fd(), &[datagram]);
    assert_eq!((sent, error.is_some()), (0, true));
}
