//! One feed that runs: a tick of 20 ms makes messages, a bounded queue waits for the socket, a lost socket is replaced.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use offhook_dsp::playout::FRAME_MS;
use offhook_dsp::{Codec, opus};
use offhook_media::description::{Encoding, Track as Tracks};
use offhook_media::event::Event;
use offhook_media::feed::{OTHER_CODEC, Return};
use offhook_media::recording::{Entry, Piece};
use tokio::time::{Interval, interval_at, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use super::numbers::Numbers;
use super::socket::{Socket, Trust, connect};
use super::track::Track;
use super::voice::{MAX_MARKS, Voice};
use super::wire::{Heard, Wire};
use super::{Listener, Order, failed};

/// Length of a tick.
const TICK: Duration = Duration::from_millis(FRAME_MS as u64);
/// Sound of one track that waits for the socket, on the clock of Opus: 1 s; the oldest makes room.
const WAITING: u32 = opus::CLOCK;
/// Length of a tick's sound, and of the shortest packet, on that clock.
const TICK_SOUND: u32 = opus::CLOCK / 50;
const SHORTEST: u32 = opus::CLOCK / 400;
/// A receiver is told of wrong packets so often at most.
const COMPLAINTS: Duration = Duration::from_secs(1);
/// Other messages that wait: echoes of marks, and presses.
const OTHERS: usize = 2 * MAX_MARKS;
/// Messages that are read of a receiver in one tick, ten times as many as sound needs: nobody else's sound waits for them.
const READ: u32 = 20;
/// How long the first socket may take.
const FIRST: Duration = Duration::from_secs(4);
/// Three tries within 10 s (API.md 13.4): each begins so long after the loss or the try before, and takes so long at most.
const TRIES: [(Duration, Duration); 3] = [
    (Duration::from_millis(500), Duration::from_millis(2_500)),
    (Duration::from_millis(2_500), Duration::from_secs(3)),
    (Duration::from_secs(3), Duration::from_secs(4)),
];
/// A socket that stood so long was a good one: when it is lost there are three tries again.
const STOOD: Duration = Duration::from_secs(10);
/// A receiver that takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(10);
/// How long the last message may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a feed is over: the event's reason, and for people.
struct End(&'static str, String);

/// Why a socket is done with.
enum Done {
    Over(End),
    Lost(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What begins a socket.
    First,
    /// So long, on the clock of Opus.
    Sound(u32),
    Other,
}

/// Messages on their way to the socket.
#[derive(Default)]
struct Out {
    messages: VecDeque<(String, Kind)>,
    sounds: usize,
    length: u32,
    most: u32,
    unflushed: bool,
    moved: Option<Instant>,
    sent: u64,
    dropped: u64,
}

impl Out {
    fn sound(&mut self, message: String, length: u32) {
        while self.length + length > self.most {
            let mut kinds = self.messages.iter().map(|(_, kind)| kind);
            let oldest = kinds.position(|kind| matches!(kind, Kind::Sound(_)));
            let Some((_, kind)) = oldest.and_then(|at| self.messages.remove(at)) else {
                break;
            };
            self.left(kind);
            self.dropped += 1;
        }
        self.sounds += 1;
        self.length += length;
        self.messages.push_back((message, Kind::Sound(length)));
    }

    /// A message waits no more; true when it was one of sound.
    fn left(&mut self, kind: Kind) -> bool {
        let Kind::Sound(length) = kind else {
            return false;
        };
        self.sounds -= 1;
        self.length -= length;
        true
    }

    fn other(&mut self, message: String) {
        if self.messages.len() - self.sounds < OTHERS {
            self.messages.push_back((message, Kind::Other));
        }
    }

    /// A new socket's first messages go before what waits.
    fn begin(&mut self, first: [String; 2], now: Instant) {
        let [connected, start] = first;
        self.messages.retain(|(_, kind)| *kind != Kind::First);
        self.messages.push_front((start, Kind::First));
        self.messages.push_front((connected, Kind::First));
        self.moved = Some(now);
    }

    fn waits(&self) -> bool {
        self.unflushed || !self.messages.is_empty()
    }

    fn is_stuck(&self, now: Instant) -> bool {
        self.waits()
            && self
                .moved
                .is_some_and(|at| now.saturating_duration_since(at) >= STUCK)
    }

    /// Writes what the socket takes; done when it has taken all.
    async fn write(&mut self, sink: &mut SplitSink<Socket, Message>) -> tungstenite::Result<()> {
        poll_fn(|cx| {
            loop {
                ready!(sink.poll_ready_unpin(cx))?;
                self.moved = Some(Instant::now());
                let Some((message, kind)) = self.messages.pop_front() else {
                    ready!(sink.poll_flush_unpin(cx))?;
                    self.unflushed = false;
                    return Poll::Ready(Ok(()));
                };
                self.sent += u64::from(self.left(kind));
                self.unflushed = true;
                sink.start_send_unpin(Message::text(message))?;
            }
        })
        .await
    }
}

/// One feed.
pub struct Running {
    order: Order,
    listener: Listener,
    wire: Wire,
    tracks: [Track; 2],
    numbers: [Numbers; 2],
    voice: Voice,
    out: Out,
    clock: Interval,
    may_read: u32,
    complained: Option<Instant>,
}

impl Running {
    /// Ready to run.
    pub fn new(order: Order, listener: Listener) -> Self {
        let spec = &order.begin.spec;
        let tracks = if spec.track == Tracks::Both { 2 } else { 1 };
        Self {
            wire: Wire::new(spec.clone()),
            tracks: [Track::new(spec.rate), Track::new(spec.rate)],
            numbers: [Numbers::new(), Numbers::new()],
            voice: Voice::new(spec.rate),
            out: Out {
                most: WAITING * tracks,
                ..Out::default()
            },
            clock: interval_at((Instant::now() + TICK).into(), TICK),
            may_read: READ,
            complained: None,
            order,
            listener,
        }
    }

    /// Until it is over; tells how it goes.
    pub async fn run(mut self, trust: Arc<Trust>) {
        let End(reason, text) = self.live(&trust).await;
        if reason != "stopped" && reason != "ended" {
            self.order.give(Return::Over);
        }
        self.tell("finished", reason, text);
    }

    fn tell(&self, state: &str, reason: &str, text: String) {
        let event = match failed(&self.order.begin, text) {
            Event::FeedChanged {
                leg, feed, text, ..
            } => Event::FeedChanged {
                leg,
                feed,
                state: state.to_owned(),
                reason: reason.to_owned(),
                text,
                sent: self.out.sent,
                dropped: self.out.dropped + self.order.ring.lost(),
            },
            other => other,
        };
        self.listener.tell(event);
    }

    async fn live(&mut self, trust: &Trust) -> End {
        let (mut tries, mut limit) = (TRIES.iter(), FIRST);
        loop {
            let since = Instant::now();
            let why = match self.attempt(trust, limit).await {
                Ok(Ok(socket)) => {
                    self.tell("streaming", "", String::new());
                    match self.talk(socket).await {
                        Done::Over(end) => return end,
                        Done::Lost(why) => why,
                    }
                }
                Ok(Err(why)) => why,
                Err(end) => return end,
            };
            let now = Instant::now();
            if now.saturating_duration_since(since) >= STOOD {
                tries = TRIES.iter();
            }
            let Some((wait, long)) = tries.next() else {
                return End(
                    "failed",
                    format!("the receiver was lost and three tries failed: {why}"),
                );
            };
            if self.out.moved.take().is_some() {
                self.tell("lost", "", why);
            }
            // A try counts from where it began, a loss from where it was.
            let from = if limit == FIRST || since.elapsed() > *wait {
                now
            } else {
                since
            };
            limit = *long;
            if let Some(end) = self.idle(from + *wait).await {
                return end;
            }
        }
    }

    /// Connects, while time goes on. The outer error is the feed's end.
    async fn attempt(
        &mut self,
        trust: &Trust,
        limit: Duration,
    ) -> Result<Result<Socket, String>, End> {
        let spec = self.order.begin.spec.clone();
        let mut attempt = pin!(timeout(limit, connect(&spec, trust)));
        loop {
            tokio::select! {
                made = &mut attempt => {
                    let late = || Err(format!("{} did not answer within {} ms", spec.address, limit.as_millis()));
                    return Ok(made.unwrap_or_else(|_| late()));
                }
                at = self.clock.tick() => {
                    if let Some(end) = self.tick(at.into_std()) {
                        return Err(end);
                    }
                }
            }
        }
    }

    /// Time goes on without a socket.
    async fn idle(&mut self, until: Instant) -> Option<End> {
        while Instant::now() < until {
            let at = self.clock.tick().await;
            if let Some(end) = self.tick(at.into_std()) {
                return Some(end);
            }
        }
        None
    }

    async fn talk(&mut self, socket: Socket) -> Done {
        let first = [self.wire.connected(), self.wire.start()];
        self.out.begin(first, Instant::now());
        let (mut sink, mut stream) = socket.split();
        loop {
            tokio::select! {
                at = self.clock.tick() => {
                    if let Some(end) = self.tick(at.into_std()) {
                        return Done::Over(self.farewell(sink, end).await);
                    }
                    if self.out.is_stuck(Instant::now()) {
                        return Done::Lost(format!("the receiver took nothing for {} s", STUCK.as_secs()));
                    }
                }
                written = self.out.write(&mut sink), if self.out.waits() => {
                    if let Err(error) = written {
                        return Done::Lost(error.to_string());
                    }
                }
                heard = stream.next(), if self.may_read > 0 => {
                    self.may_read -= 1;
                    if let Some(done) = self.hear(heard) {
                        return done;
                    }
                }
            }
        }
    }

    /// The last message, and the end of the socket.
    async fn farewell(&mut self, mut sink: SplitSink<Socket, Message>, end: End) -> End {
        if end.0 == OTHER_CODEC {
            self.out.other(self.wire.error("other_codec", &end.1));
        }
        let stop = self.wire.stop();
        self.out.other(stop);
        let said = async {
            self.out.write(&mut sink).await?;
            sink.close().await
        };
        // A receiver that hears nothing any more needs no farewell.
        let _ = timeout(FAREWELL, said).await;
        end
    }

    fn hear(&mut self, heard: Option<tungstenite::Result<Message>>) -> Option<Done> {
        match heard {
            Some(Ok(Message::Text(text))) => {
                if self.order.begin.spec.two_way {
                    self.heard(&text);
                }
                None
            }
            // Who closes in order wants no more; every other end is a loss.
            Some(Ok(Message::Close(frame))) => {
                let code = frame.as_ref().map(|frame| frame.code);
                if matches!(code, None | Some(CloseCode::Normal)) {
                    return Some(Done::Over(End("closed", String::new())));
                }
                let why = frame.map(|frame| frame.to_string()).unwrap_or_default();
                Some(Done::Lost(format!("the receiver closed the socket: {why}")))
            }
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(Done::Lost(error.to_string())),
            None => Some(Done::Lost("the receiver closed the connection".to_owned())),
        }
    }

    fn heard(&mut self, text: &str) {
        match self.wire.read(text) {
            // Beyond what may wait, sound is lost: nobody listens a minute later.
            Heard::Sound(samples) => drop(self.voice.sound(&samples)),
            Heard::Frame(frame) => {
                if !self.voice.frame(frame) {
                    self.complain("no_room", "as much waits as may: a minute of sound");
                }
            }
            Heard::Wrong(text) => self.complain("bad_frame", &text),
            Heard::Mark(name) => self.voice.mark(name),
            Heard::Clear => {
                // What the engine holds comes first.
                self.order.give(Return::Clear);
                for name in self.voice.clear() {
                    self.order.give(Return::Mark(name));
                }
            }
            Heard::Other => {}
        }
    }

    /// Tells the receiver that something it sent is not heard.
    fn complain(&mut self, code: &str, text: &str) {
        let now = Instant::now();
        let lately = |at: Instant| now.saturating_duration_since(at) < COMPLAINTS;
        if !self.complained.is_some_and(lately) {
            self.complained = Some(now);
            self.out.other(self.wire.error(code, text));
        }
    }

    /// 20 ms pass.
    fn tick(&mut self, at: Instant) -> Option<End> {
        self.may_read = READ;
        let mut end = None;
        while let Some(entry) = self.order.ring.pop() {
            end = self.entry(entry).or(end);
        }
        let since = at
            .saturating_duration_since(self.order.begin.start)
            .as_millis();
        let ms = u64::try_from(since).unwrap_or(u64::MAX);
        for (number, track) in self.tracks.iter_mut().enumerate() {
            if let Some(sound) = track.pull(at) {
                let message = self.wire.media(number, ms, sound);
                self.out.sound(message, TICK_SOUND);
            }
        }
        while let Some(piece) = self.voice.next(at) {
            self.order.give(piece);
        }
        // A shard that is gone lets go without a word.
        let left = Arc::strong_count(&self.order.ring) == 1 && self.order.ring.is_empty();
        end.or_else(|| left.then(|| End("ended", String::new())))
    }

    fn entry(&mut self, entry: Entry) -> Option<End> {
        let at = self.order.begin.start + Duration::from_micros(entry.at_us);
        match entry.what {
            Piece::Packet {
                channel,
                codec,
                ssrc,
                sequence,
                timestamp,
                payload,
            } => {
                let channel = usize::from(channel);
                if self.order.begin.spec.encoding != Encoding::Opus {
                    if let Some(track) = self.tracks.get_mut(channel) {
                        track.packet(at, codec, ssrc, sequence, timestamp, &payload);
                    }
                } else if codec != Codec::Opus {
                    return Some(went_over(codec.name()));
                } else if let Some(numbers) = self.numbers.get_mut(channel) {
                    let place = numbers.packet(at, ssrc, sequence, timestamp, &payload);
                    self.opus(channel, entry.at_us / 1_000, place, &payload);
                }
            }
            Piece::Aside {
                channel,
                ssrc,
                sequence,
            } => {
                if let Some(numbers) = self.numbers.get_mut(usize::from(channel)) {
                    numbers.aside(at, ssrc, sequence);
                }
            }
            Piece::Digit(digit, duration_ms) => self.out.other(self.wire.dtmf(digit, duration_ms)),
            Piece::Mark(name) => self.out.other(self.wire.mark(&name)),
            Piece::End(OTHER_CODEC) => return Some(went_over("another codec")),
            Piece::End(reason) => return Some(End(reason, String::new())),
            Piece::Sound { .. } | Piece::Pause | Piece::Resume | Piece::Lost(_) => {}
        }
        None
    }

    /// A packet as it came; `place` `None`: it is older than the track.
    fn opus(&mut self, track: usize, ms: u64, place: Option<(u64, u64)>, payload: &[u8]) {
        if let Some(place) = place {
            let message = self.wire.frame(track, ms, place, payload);
            // A packet that is none takes some room all the same.
            let length = opus::packet_ticks(payload).unwrap_or(0).max(SHORTEST);
            self.out.sound(message, length);
        }
    }
}

fn went_over(to: &str) -> End {
    let text = format!("the leg went over to {to}, and this stream carries Opus as it comes");
    End(OTHER_CODEC, text)
}
