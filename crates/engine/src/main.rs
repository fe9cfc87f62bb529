//! `offhook-media`: the media engine's process. It never speaks on its standard streams but for a fatal line.

mod control;
mod feeds;
mod handover;
mod kept;
mod links;
mod locals;
mod names;
mod options;
mod pinning;
mod ports;
mod queues;
mod random;
mod recorder;
mod rings;
mod single;
mod sounds;
mod streams;
mod sys;
mod telling;
mod trouble;
mod worker;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{SyncSender, sync_channel};

use offhook_media::event::Event;
use offhook_media::{Identity, Settings, ShardConfig, SocketId, WebRtcSocket};
use socket2::{Domain, Protocol, Socket, Type};

use control::{Control, Parts, Shard};
use handover::HandOver;
use links::{Arrivals, Way};
use options::Options;
use ports::Ports;
use queues::{Auxiliary, Queues, Told};
use random::System;
use single::Part;
use sys::Wake;
use worker::Worker;

/// A handshake takes and gives back ten times what its leg keeps, in between: with the C library's allocator, which mixes
/// sizes, what is given back stays in pages that something else holds (docs/decisions/0040-memory-of-a-leg.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Receive buffer of a shared port in bytes: 25,000 packets, half a second of 1,000 calls.
const RECEIVE_BUFFER: i32 = 4 << 20;
/// Port in the name of our end of TCP connections: theirs is the signalling process's, which the engine need not know
/// (RFC 6544 section 4.5 gives 9 to candidates without a port of their own).
const TCP_PLACEHOLDER: u16 = 9;
/// Commands that may wait for one shard.
const COMMAND_QUEUE: usize = 8_192;
/// Replies and events that may wait for the control thread.
const EVENT_QUEUE: usize = 16_384;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("offhook-media: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let options = Options::parse(std::env::args().skip(1))?;
    sys::set_limits();
    sys::keep_pages_small();
    let signals = sys::termination().map_err(|e| format!("signals: {e}"))?;
    let listener = control::listen(&options.control)
        .map_err(|e| format!("control socket {}: {e}", options.control.display()))?;
    let handover = HandOver::bind(&options.control)
        .map_err(|e| format!("hand-over socket {}.tcp: {e}", options.control.display()))?;
    let served = serve(&options, listener, handover, signals);
    let _ = std::fs::remove_file(&options.control);
    served
}

fn serve(
    options: &Options,
    listener: std::os::unix::net::UnixListener,
    handover: HandOver,
    signals: std::os::fd::OwnedFd,
) -> Result<(), String> {
    let identity = Identity::generate()?;
    let (told_in, told) = sync_channel(EVENT_QUEUE);
    let wake = Arc::new(Wake::new().map_err(|e| e.to_string())?);
    tell_panics(told_in.clone(), Arc::clone(&wake));
    let auxiliary = Auxiliary {
        sounds: sounds::start(options.sounds.clone()).map_err(|e| format!("sounds: {e}"))?,
        recorder: recorder::start(
            options.recordings.clone(),
            recorder::Listener {
                told: told_in.clone(),
                wake: Arc::clone(&wake),
            },
        )
        .map_err(|e| format!("recorder: {e}"))?,
        feeds: feeds::start(feeds::Listener {
            told: told_in.clone(),
            wake: Arc::clone(&wake),
        })
        .map_err(|e| format!("feeds: {e}"))?,
    };
    let (mut shards, mut webrtc_ports) = (Vec::new(), Vec::new());
    let places = pinning::places(options.pin, options.shards)?;
    let (ways, arrivals) = links::ways(options.shards).map_err(|e| format!("links: {e}"))?;
    let mut parts = single::parts(options.single_port, &arrivals).into_iter();
    let port = options
        .single_port
        .then(|| shared_sockets(options, 0, identity.clone()));
    let port = port.transpose()?;
    for ((number, arrivals), place) in arrivals.into_iter().enumerate().zip(places) {
        let pinned = place.map(sys::Pinned::to).transpose();
        let _pinned = pinned
            .map_err(|e| format!("shard {number} cannot be pinned: {e}; switch media.pin off"))?;
        let (config, sockets) = match &port {
            Some(port) => again(port, number).map_err(|e| format!("shard {number}: {e}"))?,
            None => shared_sockets(options, number, identity.clone())?,
        };
        webrtc_ports.push(config.webrtc.first().map_or(0, |s| s.local.port()));
        let shard = start(
            config,
            sockets,
            told_in.clone(),
            Arc::clone(&wake),
            auxiliary.clone(),
            (ways.clone(), arrivals),
            parts.next().unwrap_or(Part::Alone),
        )
        .map_err(|e| format!("shard {number}: {e}"))?;
        shards.push(shard);
    }
    webrtc_ports.dedup();
    let mut random = System::new();
    let parts = Parts {
        listener,
        handover,
        shards,
        told,
        wake,
        signals,
        ports: Ports::new(options.rtp_ports, || random.word()),
        webrtc_ports,
        grace: options.grace,
    };
    Control::new(parts).map_err(|e| e.to_string())?.run()
}

/// Makes panics lines of the log: standard error is for a fatal line, and nobody empties it.
fn tell_panics(told: SyncSender<Told>, wake: Arc<Wake>) {
    std::panic::set_hook(Box::new(move |panic| {
        let line = Event::LogLine {
            level: "error".into(),
            text: panic.to_string().replace('\n', " "),
        };
        if told.try_send(Told::Event(line)).is_ok() {
            wake.wake();
        }
    }));
}

fn start(
    config: ShardConfig,
    sockets: Vec<UdpSocket>,
    told: SyncSender<Told>,
    wake_control: Arc<Wake>,
    auxiliary: Auxiliary,
    (ways, arrivals): (Vec<Way>, Arrivals),
    part: Part,
) -> io::Result<Shard> {
    let (work, queue) = sync_channel(COMMAND_QUEUE);
    let wake = Arc::new(Wake::new()?);
    let load = Arc::new(AtomicU32::new(0));
    let first_socket = u32::try_from(config.webrtc.len()).unwrap_or(0);
    let name = format!("shard {}", config.shard);
    let queues = Queues {
        shard: usize::from(config.shard),
        work: queue,
        own: work.clone(),
        auxiliary,
        ways,
        arrivals,
        told,
        wake: Arc::clone(&wake),
        wake_control,
        load: Arc::clone(&load),
    };
    let worker = Worker::new(config, sockets, part, queues)?;
    std::thread::Builder::new()
        .name(name)
        .spawn(move || worker.run())?;
    Ok(Shard {
        work,
        wake,
        load,
        first_socket,
    })
}

/// The shard's port for browsers: IPv4, and IPv6 where the machine has an address of it.
fn shared_sockets(
    options: &Options,
    number: usize,
    identity: Identity,
) -> Result<(ShardConfig, Vec<UdpSocket>), String> {
    let wanted = match options.webrtc_port {
        0 => 0,
        base => u16::try_from(number)
            .ok()
            .and_then(|number| base.checked_add(number))
            .ok_or_else(|| format!("no UDP port is left for shard {number} above {base}"))?,
    };
    let socket = shared(IpAddr::V4(Ipv4Addr::UNSPECIFIED), wanted).map_err(|e| {
        format!(
            "UDP port {wanted} for browsers: {e}; end the program that has it, or set media.port"
        )
    })?;
    let port = socket.local_addr().map_err(|e| e.to_string())?.port();
    let (v4, v6) = addresses(options);
    let mut webrtc = vec![describe(0, &v4, port)];
    let mut sockets = vec![socket];
    if !v6.is_empty() {
        // IPv6 is a second way in; a machine that has the address but not the port still serves IPv4.
        if let Ok(socket) = shared(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port) {
            webrtc.push(describe(1, &v6, port));
            sockets.push(socket);
        }
    }
    // Browsers without UDP come by TCP, on sockets that are only numbers: one for each family.
    let first = u32::try_from(webrtc.len()).unwrap_or(0);
    let over_tcp: Vec<WebRtcSocket> = webrtc
        .iter()
        .zip(first..)
        .map(|(socket, id)| WebRtcSocket {
            id: SocketId(id),
            local: SocketAddr::new(socket.local.ip(), TCP_PLACEHOLDER),
            candidates: Vec::new(),
            tcp: true,
        })
        .collect();
    webrtc.extend(over_tcp);
    let config = ShardConfig {
        shard: u8::try_from(number).unwrap_or(0),
        webrtc,
        identity,
        settings: Settings {
            sha_1_fingerprints: options.sha_1_fingerprints,
            ..Settings::default()
        },
    };
    Ok((config, sockets))
}

/// The same port for one more shard.
fn again(
    (config, sockets): &(ShardConfig, Vec<UdpSocket>),
    number: usize,
) -> io::Result<(ShardConfig, Vec<UdpSocket>)> {
    let sockets: io::Result<Vec<UdpSocket>> = sockets.iter().map(UdpSocket::try_clone).collect();
    let config = ShardConfig {
        shard: u8::try_from(number).unwrap_or(0),
        ..config.clone()
    };
    Ok((config, sockets?))
}

fn shared(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    let socket: UdpSocket = socket.into();
    socket.set_nonblocking(true)?;
    sys::prepare(&socket, RECEIVE_BUFFER, false);
    sys::tell_locals(&socket);
    Ok(socket)
}

/// Addresses to announce: public ones, the interfaces', and loopback last, if asked for or if there is nothing else.
fn addresses(options: &Options) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let mut all = options.public_addresses.clone();
    for address in sys::interface_addresses() {
        if !address.is_loopback() && !all.contains(&address) {
            all.push(address);
        }
    }
    let (mut v4, v6): (Vec<_>, Vec<_>) = all.into_iter().partition(IpAddr::is_ipv4);
    if options.offer_loopback || v4.is_empty() && v6.is_empty() {
        v4.push(Ipv4Addr::LOCALHOST.into());
    }
    (v4, v6)
}

fn describe(id: u32, addresses: &[IpAddr], port: u16) -> WebRtcSocket {
    let candidates: Vec<SocketAddr> = addresses
        .iter()
        .map(|ip| SocketAddr::new(*ip, port))
        .collect();
    let local = candidates
        .first()
        .copied()
        .unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    WebRtcSocket {
        id: SocketId(id),
        local,
        candidates,
        tcp: false,
    }
}
