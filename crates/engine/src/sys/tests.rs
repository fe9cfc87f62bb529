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

fn option(socket: &UdpSocket, level: i32, name: i32) -> i32 {
    let mut value = 0i32;
    let mut size = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: `size` writable bytes.
    let done = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_raw_fd(), level, name, value, &mut size)
    };
    assert_eq!(done, 0, "option {name}");
    value
}

/// Expedited forwarding and AF41 (RFC 4594 sections 4.1 and 4.4), as octets of the header.
const AUDIO: i32 = 46 << 2;
const VIDEO: i32 = 34 << 2;

#[test]
fn a_media_socket_has_room_and_is_marked_and_a_phones_is_told_of_errors() {
    for (room, errors) in [(128 << 10, true), (64 << 10, false)] {
        let socket = bound(HERE);
        prepare(&socket, room, errors);
        assert!(option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF) >= room);
        assert_eq!(option(&socket, libc::IPPROTO_IP, libc::IP_TOS), AUDIO);
        let told = option(&socket, libc::IPPROTO_IP, libc::IP_RECVERR);
        assert_eq!(told, i32::from(errors));
        // A machine without IPv6 has no such socket.
        let Ok(socket) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
            continue;
        };
        prepare(&socket, room, errors);
        assert_eq!(
            option(&socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            AUDIO
        );
        let told = option(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
        assert_eq!(told, i32::from(errors));
    }
}

/// The mark of the next datagram.
fn mark(socket: &UdpSocket) -> i32 {
    let (mut data, mut control) = ([0u8; 64], [0u64; 8]);
    // SAFETY: all-zero is valid; every pointer is to a live buffer of the length given; the kernel writes whole messages.
    unsafe {
        let mut part = libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: data.len(),
        };
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = mem::size_of_val(&control);
        assert!(libc::recvmsg(socket.as_raw_fd(), &mut header, 0) > 0);
        let message = libc::CMSG_FIRSTHDR(&header);
        assert!(!message.is_null());
        assert_eq!((*message).cmsg_type, libc::IP_TOS);
        i32::from(*libc::CMSG_DATA(message))
    }
}

#[test]
fn sound_leaves_as_expedited_and_a_picture_as_assured() {
    let (ours, client) = (bound(HERE), bound(HERE));
    prepare(&ours, 64 << 10, false);
    set_option(&client, libc::IPPROTO_IP, libc::IP_RECVTOS, 1);
    let destination = client.local_addr().expect("bound");
    let one = |video| Datagram {
        local: None,
        destination,
        data: b"media",
        video,
    };
    let sent = send_batch(ours.as_raw_fd(), &[one(false), one(true), one(false)]);
    assert_eq!(sent.0, 3);
    let marks = [(); 3].map(|()| mark(&client));
    assert_eq!(marks, [AUDIO, VIDEO, AUDIO]);
}
