//! The control thread beside shards that do not work.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::mpsc::sync_channel;

use super::message::Frames;
use super::*;

/// Commands that the queue of a shard takes here.
const ROOM: usize = 3;

/// A process's half of the control socket.
struct Commander {
    stream: UnixStream,
    frames: Frames,
}

impl Commander {
    fn say<T: Serialize>(&mut self, message: &T) {
        self.stream.write_all(&message::frame(message)).unwrap();
    }

    fn hears<T: serde::de::DeserializeOwned>(&mut self) -> T {
        let mut bytes = [0; 4_096];
        loop {
            if let Some(body) = self.frames.next().unwrap() {
                return rmp_serde::from_slice(&body).unwrap();
            }
            let size = self.stream.read(&mut bytes).unwrap();
            assert_ne!(size, 0, "hung up");
            self.frames.push(&bytes[..size]);
        }
    }
}

#[test]
fn a_command_that_a_full_shard_has_no_room_for_is_refused_by_name() {
    let folder = std::env::temp_dir().join(format!("offhook-control-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("control");
    let (work, taken) = sync_channel(ROOM);
    let (_told_in, told) = sync_channel(ROOM);
    let (mut end, signals) = UnixStream::pair().unwrap();
    let shard = Shard {
        work,
        wake: Arc::new(Wake::new().unwrap()),
        load: Arc::new(AtomicU32::new(0)),
        first_socket: 1,
    };
    let control = Control::new(Parts {
        listener: listen(&path).unwrap(),
        handover: HandOver::bind(&path).unwrap(),
        shards: vec![shard],
        told,
        wake: Arc::new(Wake::new().unwrap()),
        signals: OwnedFd::from(signals),
        ports: Ports::new((41_000, 41_001), || 0),
        webrtc_ports: vec![1],
        grace: Duration::from_secs(60),
    });
    let control = control.unwrap();
    let serving = std::thread::spawn(move || control.run());
    let stream = UnixStream::connect(&path).unwrap();
    let frames = Frames::default();
    let mut commander = Commander { stream, frames };
    let Greeting::Hello { version, .. } = commander.hears();
    commander.say(&Greeting::Hello {
        version,
        pid: 1,
        webrtc_ports: Vec::new(),
    });
    // The takeover asks the shard for its legs before all else.
    let Ok(Work::Command(order)) = taken.recv() else {
        panic!("no command")
    };
    assert!(matches!(order.command, Command::ListLegs { .. }));
    // 1: as many wait as there is room for; 2: each more is refused at once, and the caller is told 503.
    let waiting = ROOM as u64;
    for n in 1..=waiting + 20 {
        commander.say(&Command::Facts { n, leg: 0 });
    }
    for n in waiting + 1..=waiting + 20 {
        let reply: Reply = commander.hears();
        let Reply::Refused { n: of, code, .. } = reply else {
            panic!("{reply:?}")
        };
        assert_eq!((of, code.as_str()), (n, "engine_busy"));
    }
    // 3: when there is room again, the next are taken.
    for n in [100, 101] {
        let Ok(Work::Command(order)) = taken.recv() else {
            panic!("no command")
        };
        assert_eq!(order.command.number(), n - 99);
        commander.say(&Command::Facts { n, leg: 0 });
    }
    commander.say(&Command::Facts { n: 102, leg: 0 });
    let reply: Reply = commander.hears();
    assert!(
        matches!(reply, Reply::Refused { n: 102, .. }),
        "full again: {reply:?}"
    );
    end.write_all(b"!").unwrap();
    serving.join().unwrap().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
