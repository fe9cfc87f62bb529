//! Every system call that the standard library lacks, and with them all `unsafe` of this crate.
#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Datagrams per system call on a shared port.
pub const BATCH: usize = 64;
/// Bytes of one receive buffer: a datagram and the room an authentication tag needs.
pub const BUFFER: usize = offhook_media::PACKET_SIZE;
/// Largest datagram in bytes: room is kept behind it for what sealing in place adds.
pub const LARGEST: usize = BUFFER - 64;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Files of this process, the control socket among them, are its owner's only; and it may open as many as it is allowed
/// to: every phone's leg needs two sockets.
pub fn set_limits() {
    // SAFETY: the limit is a live struct; a refusal leaves the smaller limit, which costs calls, not the start.
    unsafe {
        libc::umask(0o177);
        // A file that may not grow is an error of its write, as a full disk is.
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut limit = mem::zeroed::<libc::rlimit>();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Memory is counted in pages of 4 KB: the allocator asks for huge ones, and a leg's leavings would hold two megabytes each.
pub fn keep_pages_small() {
    // SAFETY: no pointer is passed; a kernel that refuses costs memory, not the start.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

fn affinity() -> io::Result<libc::cpu_set_t> {
    // SAFETY: all-zero is an empty set, which the call fills.
    unsafe {
        let mut set = mem::zeroed::<libc::cpu_set_t>();
        check(libc::sched_getaffinity(0, mem::size_of_val(&set), &mut set))?;
        Ok(set)
    }
}

fn set_affinity(set: &libc::cpu_set_t) -> io::Result<()> {
    // SAFETY: the set is live and read only.
    check(unsafe { libc::sched_setaffinity(0, mem::size_of_val(set), set) })?;
    Ok(())
}

/// The processors that this thread may run on, by number.
pub fn processors() -> io::Result<Vec<usize>> {
    let set = affinity()?;
    let all = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: the number is within the set.
    Ok(all
        .filter(|number| unsafe { libc::CPU_ISSET(*number, &set) })
        .collect())
}

/// While it lives this thread, and what threads it makes for ever, run on one processor.
pub struct Pinned(libc::cpu_set_t);

impl Pinned {
    /// On this one.
    pub fn to(processor: usize) -> io::Result<Self> {
        let before = affinity()?;
        // SAFETY: all-zero is an empty set; a number beyond it is not entered, and the empty set refused below.
        let one = unsafe {
            let mut one = mem::zeroed::<libc::cpu_set_t>();
            if processor < libc::CPU_SETSIZE as usize {
                libc::CPU_SET(processor, &mut one);
            }
            one
        };
        set_affinity(&one)?;
        Ok(Self(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before; a machine that has lost its processors meanwhile has other troubles.
        let _ = set_affinity(&self.0);
    }
}

/// Marks a file as written by this process, until it is closed; false when another one has done so.
pub fn lock(file: &std::fs::File) -> bool {
    // SAFETY: the descriptor is open for as long as `file` lives.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// An epoll instance; `token` of a registration comes back with its events.
pub struct Poller {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// One ready descriptor.
#[derive(Clone, Copy)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// Its error queue holds something.
    pub error: bool,
}

impl Poller {
    /// A new instance.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is fresh and owned from here on.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self {
            fd,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 256],
        })
    }

    /// Watches a descriptor for input, level-triggered.
    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: token,
        };
        // SAFETY: `event` lives across the call.
        check(unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event)
        })?;
        Ok(())
    }

    /// Stops watching; closing the last copy of a descriptor does so too.
    pub fn remove(&self, fd: RawFd) {
        // SAFETY: the event pointer may be null for EPOLL_CTL_DEL.
        unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                fd,
                std::ptr::null_mut(),
            );
        }
    }

    /// Waits at most `timeout` (rounded up to a millisecond; `None`: for ever) and hands out what is ready.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) {
        ready.clear();
        let ms = timeout.map_or(-1, |t| {
            i32::try_from(t.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        let room = i32::try_from(self.events.len()).unwrap_or(i32::MAX);
        // SAFETY: the buffer holds `room` events.
        let count =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), room, ms) };
        for event in self.events.iter().take(usize::try_from(count).unwrap_or(0)) {
            ready.push(Ready {
                token: event.u64,
                error: event.events & libc::EPOLLERR as u32 != 0,
            });
        }
    }
}

/// Wakes another thread's poller.
pub struct Wake(OwnedFd);

impl Wake {
    /// A new eventfd.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is fresh.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable.
    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight readable bytes.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Takes the wake-up back.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A descriptor that becomes readable on SIGTERM or SIGINT; blocks both for this thread and those it starts.
pub fn termination() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before use.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        let fd = check(libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn to_sockaddr(address: SocketAddr, out: &mut libc::sockaddr_storage) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is large enough and aligned for every address.
            unsafe { (&raw mut *out).cast::<libc::sockaddr_in>().write(raw) };
            mem::size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut *out).cast::<libc::sockaddr_in6>().write(raw) };
            mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// # Safety
/// `raw` points at a whole socket address of the family it names.
unsafe fn from_sockaddr(raw: *const libc::sockaddr) -> Option<SocketAddr> {
    // SAFETY: the caller's promise.
    unsafe {
        match i32::from((*raw).sa_family) {
            libc::AF_INET => {
                let v4 = raw.cast::<libc::sockaddr_in>().read_unaligned();
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let v6 = raw.cast::<libc::sockaddr_in6>().read_unaligned();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// Control messages of one datagram: a service class and an address of ours, which IPv6 gives 24 and 40 bytes.
type Control = [u64; 8];

/// Buffers for `recvmmsg`.
pub struct ReceiveBatch {
    buffers: Vec<[u8; BUFFER]>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    lengths: [usize; BATCH],
    locals: [Option<IpAddr>; BATCH],
    count: usize,
}

impl ReceiveBatch {
    /// Room for `BATCH` datagrams.
    pub fn new() -> Self {
        Self {
            buffers: vec![[0; BUFFER]; BATCH],
            // SAFETY: all-zero is a valid sockaddr_storage.
            names: vec![unsafe { mem::zeroed() }; BATCH],
            controls: vec![Control::default(); BATCH],
            lengths: [0; BATCH],
            locals: [None; BATCH],
            count: 0,
        }
    }

    /// Receives what is there, without waiting; the number of datagrams.
    pub fn receive(&mut self, fd: RawFd) -> usize {
        // SAFETY: all-zero headers are valid and are filled below.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let mut parts: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        for (index, (header, part)) in headers.iter_mut().zip(parts.iter_mut()).enumerate() {
            part.iov_base = self.buffers[index].as_mut_ptr().cast();
            part.iov_len = LARGEST;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut self.names[index]).cast();
            header.msg_hdr.msg_namelen =
                mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_hdr.msg_controllen = mem::size_of::<Control>();
        }
        // SAFETY: every header points at live buffers of the lengths given.
        let count = unsafe {
            libc::recvmmsg(
                fd,
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.count = usize::try_from(count).unwrap_or(0);
        for (index, header) in headers.iter().take(self.count).enumerate() {
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.lengths[index] = if cut { 0 } else { header.msg_len as usize };
            // SAFETY: the kernel has filled the header and the control messages it points at.
            self.locals[index] = unsafe { local(&header.msg_hdr) };
        }
        self.count
    }

    /// The datagram at `index`: its source, its buffer and its length. `None` for one that did not fit.
    pub fn datagram(&mut self, index: usize) -> Option<(SocketAddr, &mut [u8], usize)> {
        let length = *self.lengths.get(index).filter(|l| **l > 0)?;
        // SAFETY: the kernel wrote the name of a datagram it delivered.
        let source = unsafe { from_sockaddr((&raw const self.names[index]).cast()) }?;
        Some((source, &mut self.buffers[index], length))
    }

    /// The address of ours that the datagram at `index` was sent to, of a socket that tells them.
    pub fn local(&self, index: usize) -> Option<IpAddr> {
        *self.locals.get(index)?
    }
}

/// # Safety
/// The header's control messages, if it has any, are whole.
unsafe fn local(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the caller's promise; each kind of message holds what its name says.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if message.is_null() {
            return None;
        }
        let data = libc::CMSG_DATA(message);
        match ((*message).cmsg_level, (*message).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // Not where it was addressed: of a broadcast an answer cannot come from there.
                let local = data
                    .cast::<libc::in_pktinfo>()
                    .read_unaligned()
                    .ipi_spec_dst;
                Some(Ipv4Addr::from(local.s_addr.to_ne_bytes()).into())
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let local = data.cast::<libc::in6_pktinfo>().read_unaligned().ipi6_addr;
                Some(Ipv6Addr::from(local.s6_addr).into())
            }
            _ => None,
        }
    }
}

/// A datagram to send.
pub struct Datagram<'a> {
    /// From this address of ours; `None`: the system's choice, or what the socket is bound to.
    pub local: Option<IpAddr>,
    /// To this address.
    pub destination: SocketAddr,
    /// What.
    pub data: &'a [u8],
    /// With the service class of video, AF41 (RFC 4594 section 4.4), instead of the socket's.
    pub video: bool,
}

/// Sends several datagrams from one socket; how many the kernel took, and the error that stopped it.
pub fn send_batch(fd: RawFd, datagrams: &[Datagram<'_>]) -> (usize, Option<io::Error>) {
    // Clearing room for all would cost more than sending one.
    match datagrams {
        [_] => send_some::<1>(fd, datagrams),
        _ => send_some::<BATCH>(fd, datagrams),
    }
}

fn send_some<const MOST: usize>(
    fd: RawFd,
    datagrams: &[Datagram<'_>],
) -> (usize, Option<io::Error>) {
    let count = datagrams.len().min(MOST);
    // SAFETY: all-zero is valid for each of these and they are filled below.
    let mut headers: [libc::mmsghdr; MOST] = unsafe { mem::zeroed() };
    let mut parts: [libc::iovec; MOST] = unsafe { mem::zeroed() };
    let mut names: [libc::sockaddr_storage; MOST] = unsafe { mem::zeroed() };
    let mut controls = [Control::default(); MOST];
    for (index, datagram) in datagrams.iter().take(count).enumerate() {
        let length = to_sockaddr(datagram.destination, &mut names[index]);
        parts[index].iov_base = datagram.data.as_ptr().cast_mut().cast();
        parts[index].iov_len = datagram.data.len();
        let header = &mut headers[index].msg_hdr;
        header.msg_iov = &raw mut parts[index];
        header.msg_iovlen = 1;
        header.msg_name = (&raw mut names[index]).cast();
        header.msg_namelen = length;
        let used = describe(datagram, &mut controls[index]);
        if used > 0 {
            header.msg_control = (&raw mut controls[index]).cast();
            header.msg_controllen = used;
        }
    }
    // SAFETY: every header points at live data; the kernel only reads it.
    let sent = unsafe {
        libc::sendmmsg(
            fd,
            headers.as_mut_ptr(),
            count as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    match usize::try_from(sent) {
        Ok(sent) => (sent, None),
        Err(_) => (0, Some(io::Error::last_os_error())),
    }
}

/// Writes the control messages of a datagram; their length in bytes.
fn describe(datagram: &Datagram<'_>, control: &mut Control) -> usize {
    const ASSURED: libc::c_int = 34 << 2;
    let mut used = 0;
    if datagram.video {
        let (level, kind) = if datagram.destination.is_ipv6() {
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
        } else {
            (libc::IPPROTO_IP, libc::IP_TOS)
        };
        used = append(control, used, (level, kind), ASSURED);
    }
    match datagram.local {
        Some(IpAddr::V4(local)) => {
            // SAFETY: all-zero is valid: no interface and no address.
            let mut from: libc::in_pktinfo = unsafe { mem::zeroed() };
            from.ipi_spec_dst.s_addr = u32::from_ne_bytes(local.octets());
            append(control, used, (libc::IPPROTO_IP, libc::IP_PKTINFO), from)
        }
        Some(IpAddr::V6(local)) => {
            // SAFETY: as above.
            let mut from: libc::in6_pktinfo = unsafe { mem::zeroed() };
            from.ipi6_addr.s6_addr = local.octets();
            let kind = (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
            append(control, used, kind, from)
        }
        None => used,
    }
}

/// One more control message behind `used` bytes, which are whole messages; how many are used then.
fn append<T: Copy>(
    control: &mut Control,
    used: usize,
    (level, kind): (libc::c_int, libc::c_int),
    value: T,
) -> usize {
    let size = mem::size_of::<T>() as libc::c_uint;
    // SAFETY: arithmetic alone.
    let (length, space) = unsafe { (libc::CMSG_LEN(size), libc::CMSG_SPACE(size) as usize) };
    assert!(used + space <= mem::size_of::<Control>());
    // SAFETY: all-zero is valid for a header; there is room for it and for the value, and whole messages end aligned.
    unsafe {
        let mut header: libc::cmsghdr = mem::zeroed();
        header.cmsg_len = length as usize;
        (header.cmsg_level, header.cmsg_type) = (level, kind);
        let message = control.as_mut_ptr().cast::<u8>().add(used);
        message.cast::<libc::cmsghdr>().write(header);
        let data = libc::CMSG_DATA(message.cast());
        data.cast::<T>().write_unaligned(value);
    }
    used + space
}

fn set_option(socket: &UdpSocket, level: i32, name: i32, value: i32) {
    // SAFETY: four readable bytes. A refusal costs a service level, not the call, and is ignored.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<i32>() as libc::socklen_t,
        );
    }
}

/// Options of a media socket: receive buffer in bytes, expedited forwarding (RFC 4594), and ICMP errors if wanted.
pub fn prepare(socket: &UdpSocket, receive_buffer: i32, errors: bool) {
    const EXPEDITED: i32 = 46 << 2;
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, receive_buffer);
    // Beyond the system's limit for everybody, where this process may.
    set_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        receive_buffer,
    );
    let v6 = socket.local_addr().is_ok_and(|a| a.is_ipv6());
    if v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, EXPEDITED);
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_TOS, EXPEDITED);
    }
    if errors && v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1);
    } else if errors {
        set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1);
    }
}

/// Makes a socket of every address tell with each datagram which of them it was sent to.
pub fn tell_locals(socket: &UdpSocket) {
    if socket.local_addr().is_ok_and(|bound| bound.is_ipv6()) {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1);
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1);
    }
}

/// Datagrams that the socket's receive buffer had no room for, since it was made; 0 where the kernel does not say.
pub fn overruns(socket: &UdpSocket) -> u32 {
    // SK_MEMINFO_DROPS of linux/sock_diag.h, the last of nine words.
    const DROPS: usize = 8;
    let mut words = [0u32; DROPS + 1];
    let mut size = mem::size_of_val(&words) as libc::socklen_t;
    // SAFETY: `size` writable bytes.
    unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            words.as_mut_ptr().cast(),
            &mut size,
        );
    }
    words[DROPS]
}

/// One entry of a socket's error queue: where our datagram went, and which host said that it cannot.
pub fn take_error(fd: RawFd) -> Option<(SocketAddr, Option<IpAddr>)> {
    let mut data = [0u8; 64];
    let mut control = [0u64; 64];
    // SAFETY: all-zero is valid; every pointer below is to a live buffer of the length given.
    unsafe {
        let mut name: libc::sockaddr_storage = mem::zeroed();
        let mut part = libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: data.len(),
        };
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_name = (&raw mut name).cast();
        header.msg_namelen = mem::size_of_val(&name) as libc::socklen_t;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = mem::size_of_val(&control);
        if libc::recvmsg(fd, &mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) < 0 {
            return None;
        }
        let destination = from_sockaddr((&raw const name).cast())?;
        let mut origin = None;
        let mut message = libc::CMSG_FIRSTHDR(&header);
        while !message.is_null() {
            let kind = ((*message).cmsg_level, (*message).cmsg_type);
            if kind == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            {
                let error = libc::CMSG_DATA(message).cast::<libc::sock_extended_err>();
                origin = from_sockaddr(libc::SO_EE_OFFENDER(error)).map(|a| a.ip());
            }
            message = libc::CMSG_NXTHDR(&header, message);
        }
        Some((destination, origin))
    }
}

/// Addresses of interfaces that are up and have a carrier (a bridge without members has none), loopback included,
/// link-local left out.
pub fn interface_addresses() -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the list is the kernel's until freeifaddrs; each entry is read only.
    unsafe {
        if libc::getifaddrs(&mut list) != 0 {
            return found;
        }
        let mut entry = list;
        while !entry.is_null() {
            let running = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_uint;
            let up = (*entry).ifa_flags & running == running;
            if up && !(*entry).ifa_addr.is_null() {
                if let Some(address) = from_sockaddr((*entry).ifa_addr) {
                    found.push(address.ip());
                }
            }
            entry = (*entry).ifa_next;
        }
        libc::freeifaddrs(list);
    }
    found.retain(|ip| match ip {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 != 0xfe80,
    });
    found
}

/// One datagram with the descriptor that came with it, if one did; `None` when there is nothing to read.
pub fn receive_descriptor(fd: RawFd, bytes: &mut [u8]) -> Option<(usize, Option<OwnedFd>)> {
    let mut control = [0u64; 8];
    // SAFETY: all-zero is valid; every pointer below is to a live buffer of the length given; a descriptor that arrives is
    // ours alone.
    unsafe {
        let mut part = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = mem::size_of_val(&control);
        let size = libc::recvmsg(fd, &mut header, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC);
        let size = usize::try_from(size).ok()?;
        let mut found = None;
        let mut message = libc::CMSG_FIRSTHDR(&header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_RIGHTS
            {
                let descriptor = libc::CMSG_DATA(message).cast::<RawFd>().read_unaligned();
                found = Some(OwnedFd::from_raw_fd(descriptor));
            }
            message = libc::CMSG_NXTHDR(&header, message);
        }
        Some((size, found))
    }
}

#[cfg(test)]
mod tests;
