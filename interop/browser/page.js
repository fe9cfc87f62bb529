// Runs inside a page of the server: unmodified JsSIP or SIP.js behind one small set of verbs, and a recorder of what is heard.
import * as JsSIP from "jssip";
import { Inviter, Registerer, RegistererState, SessionState, UserAgent } from "sip.js";

const events = [];
const marks = {};
const waiting = [];

function note(type, details = {}) {
  const event = { type, at: performance.now(), ...details };
  marks[type] = event.at;
  events.push(event);
  for (const waiter of [...waiting]) waiter();
}

// The next event of that type, removed with everything before it.
function expect(type, seconds) {
  return new Promise((resolve, reject) => {
    const look = () => {
      const at = events.findIndex((event) => event.type === type);
      if (at < 0) return;
      clearTimeout(timer);
      waiting.splice(waiting.indexOf(look), 1);
      resolve(events.splice(0, at + 1).at(-1));
    };
    const timer = setTimeout(() => {
      waiting.splice(waiting.indexOf(look), 1);
      reject(new Error(`no ${type} within ${seconds} s; saw ${JSON.stringify(events)}`));
    }, seconds * 1000);
    waiting.push(look);
    look();
  });
}

const MEDIA = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, video: false };

// From now on calls are made, and answered, with the fake camera too.
function camera(on) {
  MEDIA.video = on;
}

let link = 0;

function through(port) {
  link = port;
}

let spares = false;

// From now on the server knows Opus alone, and asks for silence to be left out (RFC 7587 usedtx), as far as the page is told.
function sparing() {
  spares = true;
}

function sparely(sdp) {
  const line = sdp.replace(/^(m=audio \d+ \S+) .*$/m, "$1 111 110");
  return line.replace(/^a=(rtpmap|fmtp):(?!111 |110 ).*\r\n/gm, "").replace("useinbandfec=1", "useinbandfec=1;usedtx=1");
}

let screen = null;
let shownAt = null;

function show(track) {
  screen = document.createElement("video");
  screen.muted = true;
  screen.srcObject = new MediaStream([track]);
  document.body.append(screen);
  screen.requestVideoFrameCallback?.(() => (shownAt ??= performance.now()));
  screen.play().catch(() => {});
}

let remote = null;
let connection = null;
let element = null;

function watch(pc) {
  connection = pc;
  pc.addEventListener("track", (event) => {
    if (event.track.kind === "video") return show(event.track);
    remote = new MediaStream([event.track]);
    element = new Audio();
    element.srcObject = remote;
    element.muted = true; // a muted element makes Chromium pull the stream without needing a click
    element.play().catch(() => {});
  });
}

// ---- JsSIP

let ua = null;
let session = null;

function jssipSession(current, direction) {
  session = current;
  session.on("progress", (event) => note("progress", { status: event.response?.status_code }));
  session.on("accepted", () => note("accepted"));
  session.on("confirmed", () => note("confirmed"));
  session.on("failed", (event) =>
    note("failed", {
      cause: event.cause,
      originator: event.originator,
      status: event.message?.status_code,
      reason: event.message?.getHeader?.("Reason") ?? null,
      warning: event.message?.getHeader?.("Warning") ?? null,
    }),
  );
  session.on("ended", (event) =>
    note("ended", { cause: event.cause, originator: event.originator, reason: event.message?.getHeader?.("Reason") ?? null }),
  );
  session.on("newDTMF", (event) => note("digit", { originator: event.originator, digit: event.dtmf.tone }));
  session.on("icecandidate", (event) => event.ready());
  session.on("sdp", (event) => {
    // The way to the server leads through a link of the test.
    if (event.originator === "remote" && link) event.sdp = event.sdp.replace(/^(a=candidate:\S+ \d udp \d+ \S+) \d+/gm, `$1 ${link}`);
    if (event.originator === "remote" && spares) event.sdp = sparely(event.sdp);
  });
  if (session.connection) watch(session.connection);
  session.on("peerconnection", (event) => watch(event.peerconnection));
  note(direction, { from: session.remote_identity?.uri?.toString() });
}

export const jssip = {
  start(options) {
    const socket = new JsSIP.WebSocketInterface(options.url);
    if (options.via) socket.via_transport = options.via;
    ua = new JsSIP.UA({
      sockets: [socket],
      uri: options.uri,
      password: options.password || undefined,
      register_expires: 300,
      ...options.more,
    });
    ua.on("connected", () => note("connected"));
    ua.on("disconnected", (event) => note("disconnected", { code: event?.code ?? null, reason: event?.reason ?? null }));
    ua.on("registered", () => note("registered", { gruu: ua.contact.pub_gruu?.toString(), temporary: ua.contact.temp_gruu?.toString() }));
    ua.on("unregistered", () => note("unregistered"));
    ua.on("registrationFailed", (event) =>
      note("registrationFailed", {
        status: event.response?.status_code,
        cause: event.cause,
        warning: event.response?.getHeader?.("Warning") ?? null,
      }),
    );
    ua.on("newMessage", (event) => {
      if (event.originator === "remote") note("message", { from: event.request.from.uri.toString(), text: event.request.body });
    });
    ua.on("newRTCSession", (event) => {
      if (event.originator === "remote") jssipSession(event.session, "incoming");
    });
    ua.start();
  },
  call(target) {
    jssipSession(ua.call(target, { mediaConstraints: MEDIA, pcConfig: { iceServers: [] } }), "calling");
  },
  // An offer without a single candidate: the server learns the address from the checks.
  callBare(target) {
    this.call(target);
    session.on("sdp", (event) => {
      if (event.originator === "local") event.sdp = event.sdp.replace(/a=(candidate|end-of-candidates).*\r\n/g, "");
    });
  },
  answer() {
    session.answer({ mediaConstraints: MEDIA, pcConfig: { iceServers: [] } });
  },
  hangUp() {
    session.terminate();
  },
  say(target, text) {
    const said = (event) => note("said", { status: event.response?.status_code ?? 0, warning: event.response?.getHeader("Warning") ?? null });
    ua.sendMessage(target, text, { eventHandlers: { succeeded: said, failed: said } });
  },
  digits(text, method = "RFC2833") {
    session.sendDTMF(text, { transportType: method, duration: 120, interToneGap: 120 });
  },
  // Settles once the server has answered.
  hold() {
    return new Promise((resolve) => session.hold({}, resolve) || note("holdRefused"));
  },
  resume() {
    return new Promise((resolve) => session.unhold({}, resolve) || note("resumeRefused"));
  },
  // A second call while the first is held; `transfer` then joins their far ends.
  consult(target) {
    held = session;
    held.hold();
    jssipSession(ua.call(target, { mediaConstraints: MEDIA, pcConfig: { iceServers: [] } }), "calling");
  },
  refer(target) {
    session.refer(target, { eventHandlers: referred() });
  },
  transfer() {
    held.refer(session.remote_identity.uri, { replaces: session, eventHandlers: referred() });
  },
  stop() {
    ua.stop();
  },
};

let held = null;

// What JsSIP tells of a REFER of its own and of the NOTIFYs that follow.
function referred() {
  const told = {};
  for (const type of ["requestSucceeded", "requestFailed", "trying", "progress", "accepted", "failed"]) {
    told[type] = (event) =>
      note(`refer-${type}`, { line: event?.status_line ? `${event.status_line.status_code} ${event.status_line.reason_phrase}` : null });
  }
  return told;
}

// ---- SIP.js

let agent = null;
let registerer = null;
let inviter = null;
let extraHeaders = [];

// Settles once the server has answered our re-INVITE.
function reinvite(hold) {
  return new Promise((resolve, reject) => {
    inviter.sessionDescriptionHandlerOptionsReInvite = { constraints: MEDIA, hold };
    inviter.invite({
      sessionDescriptionHandlerModifiers: [],
      requestDelegate: { onAccept: () => resolve(), onReject: (answer) => reject(new Error(`refused: ${answer.message.statusCode}`)) },
    });
  });
}

export const sipjs = {
  async start(options) {
    agent = new UserAgent({
      uri: UserAgent.makeURI(options.uri),
      transportOptions: { server: options.url },
      authorizationUsername: options.more?.authorization_user ?? options.username,
      authorizationPassword: options.password,
      logLevel: "error",
    });
    extraHeaders = options.more?.extra_headers ?? [];
    // What the library's own SimpleUser does: it tries again until it is connected, and registers then.
    const again = () => agent.reconnect().catch(() => setTimeout(again, 2000));
    agent.delegate = {
      onDisconnect: (error) => {
        note("disconnected");
        if (error) setTimeout(again, 1000);
      },
      onConnect: () => registerer?.register(),
    };
    await agent.start();
    note("connected");
    registerer = new Registerer(agent, { extraHeaders, expires: 300 });
    registerer.stateChange.addListener((state) => {
      if (state === RegistererState.Registered) note("registered");
    });
    await registerer.register({ requestDelegate: { onReject: (answer) => note("registrationFailed", { status: answer.message.statusCode, warning: answer.message.getHeader("Warning") ?? null }) } });
  },
  hold() {
    return reinvite(true);
  },
  resume() {
    return reinvite(false);
  },
  async call(target) {
    inviter = new Inviter(agent, UserAgent.makeURI(target), { extraHeaders, sessionDescriptionHandlerOptions: { constraints: MEDIA } });
    inviter.stateChange.addListener((state) => {
      if (state === SessionState.Established) {
        const pc = inviter.sessionDescriptionHandler.peerConnection;
        connection = pc;
        remote = new MediaStream(pc.getReceivers().map((receiver) => receiver.track));
        element = new Audio();
        element.srcObject = remote;
        element.muted = true;
        element.play().catch(() => {});
        note("confirmed");
      }
      if (state === SessionState.Terminated) note("ended");
    });
    await inviter.invite({ requestDelegate: { onReject: (answer) => note("failed", { status: answer.message.statusCode }) } });
  },
  async hangUp() {
    await inviter.bye();
  },
  async digits(text, method = "RFC2833") {
    if (method !== "INFO") {
      inviter.sessionDescriptionHandler.sendDtmf(text, { duration: 120, interToneGap: 120 });
      return;
    }
    for (const digit of text) {
      const content = `Signal=${digit}\r\nDuration=160\r\n`;
      const body = { contentDisposition: "render", contentType: "application/dtmf-relay", content };
      await new Promise((done) => inviter.info({ requestDelegate: { onAccept: done, onReject: done }, requestOptions: { body } }));
      await new Promise((done) => setTimeout(done, 300));
    }
  },
  async consult(target) {
    first = inviter;
    await sipjs.call(target);
  },
  async refer(target) {
    await inviter.refer(UserAgent.makeURI(target), notified());
  },
  async transfer() {
    await first.refer(inviter, notified());
  },
};

let first = null;

// What SIP.js is told after a REFER: every status line, then the end of the calls.
function notified() {
  return {
    requestDelegate: { onAccept: () => note("refer-requestSucceeded"), onReject: () => note("refer-requestFailed") },
    onNotify: (notification) => {
      notification.accept();
      const line = notification.request.body.trim();
      note("notified", { line });
      if (line.includes(" 200 ")) note("refer-accepted", { line });
      if (/ [3-6]\d\d /.test(line)) note("refer-failed", { line });
    },
  };
}

// ---- what is heard

// Seconds of the remote stream as 16-bit PCM in base64, with its rate.
async function record(seconds) {
  const context = new AudioContext();
  await context.resume();
  const source = context.createMediaStreamSource(remote);
  const processor = context.createScriptProcessor(4096, 1, 1);
  const parts = [];
  processor.onaudioprocess = (event) => parts.push(new Float32Array(event.inputBuffer.getChannelData(0)));
  source.connect(processor);
  processor.connect(context.destination);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  processor.disconnect();
  const rate = context.sampleRate;
  await context.close();
  const bytes = new Uint8Array(new Int16Array(parts.flatMap((part) => [...part].map((one) => Math.max(-32768, Math.min(32767, one * 32768))))).buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return { rate, pcm: btoa(text) };
}

// What getStats says of the audio, as one flat object: for browsers without a sound card.
async function stats() {
  const out = {};
  for (const report of (await connection.getStats()).values()) {
    if (report.type === "inbound-rtp" && report.kind === "audio") {
      out.packetsReceived = report.packetsReceived;
      out.packetsLost = report.packetsLost;
      out.jitter = report.jitter;
      out.energy = report.totalAudioEnergy;
      out.concealed = report.concealedSamples;
      out.codecId = report.codecId;
    }
    if (report.type === "outbound-rtp" && report.kind === "audio") out.packetsSent = report.packetsSent;
    if (report.type === "codec") (out.codecs ??= {})[report.id] = report.mimeType;
  }
  out.codec = out.codecs?.[out.codecId] ?? null;
  return out;
}

// What getStats says of the video, as one flat object; `shownAfter`: ms from the event `since` to the first picture.
async function pictures(since) {
  const out = { framesDecoded: 0, framesSent: 0 };
  const reports = [...(await connection.getStats()).values()].filter((one) => one.kind === "video");
  for (const report of reports) {
    if (report.type === "inbound-rtp") {
      for (const name of ["framesDecoded", "frameWidth", "frameHeight", "packetsReceived", "packetsLost", "pliCount", "nackCount", "keyFramesDecoded", "freezeCount"])
        out[name] = report[name] ?? 0;
      out.retransmitted = report.retransmittedPacketsReceived ?? null;
      out.codecIn = report.codecId;
    }
    if (report.type === "outbound-rtp") {
      out.framesSent = report.framesSent ?? report.framesEncoded ?? 0;
      out.keyFramesAsked = (report.pliCount ?? 0) + (report.firCount ?? 0);
      out.nacksIn = report.nackCount ?? 0;
      out.targetBitrate = report.targetBitrate ?? null;
    }
  }
  out.codec = null;
  for (const report of (await connection.getStats()).values()) if (report.type === "codec" && report.id === out.codecIn) out.codec = report.mimeType;
  const from = history().findLast?.((event) => event.type === since)?.at ?? marks[since] ?? null;
  out.shownAfter = shownAt !== null && from !== null ? shownAt - from : null;
  return out;
}

// Adds the fake camera to the present call, as a page with a button would.
async function addCamera() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  connection.addTrack(stream.getVideoTracks()[0], stream);
  return new Promise((resolve) => session.renegotiate({ rtcOfferConstraints: {} }, () => resolve(true)) || resolve(false));
}

// The session as the page described it and as it was described to the page.
function descriptions() {
  return { local: connection.localDescription?.sdp ?? "", remote: connection.remoteDescription?.sdp ?? "" };
}

function mute(on) {
  for (const sender of connection.getSenders()) if (sender.track) sender.track.enabled = !on;
}

// Sends no packet at all, as if the path were dead: a muted track still sends silence.
let kept = null;
async function quiet(on) {
  for (const sender of connection.getSenders()) {
    if (on) kept = sender.track;
    await sender.replaceTrack(on ? null : kept);
  }
}

// Our half of the server's ICE credentials, as the page sees them now.
function ufrag() {
  return /a=ice-ufrag:(\S+)/.exec(connection.remoteDescription.sdp)[1];
}

function history() {
  return events;
}

// Calls the target several times at once; packets received in each call, once there are more than a few.
async function many(target, count) {
  const one = () =>
    new Promise((resolve, reject) => {
      const call = ua.call(target, { mediaConstraints: MEDIA, pcConfig: { iceServers: [] } });
      call.on("icecandidate", (event) => event.ready());
      call.on("failed", (event) => reject(new Error(event.cause)));
      call.on("confirmed", () => finish(call).then(resolve, reject));
    });
  const finish = async (call) => {
    for (;;) {
      const reports = [...(await call.connection.getStats()).values()];
      const packets = reports.find((report) => report.type === "inbound-rtp")?.packetsReceived ?? 0;
      if (packets > 50) {
        call.terminate();
        return packets;
      }
      await new Promise((done) => setTimeout(done, 100)); // nothing tells of packets
    }
  };
  return Promise.all(Array.from({ length: count }, one));
}

window.agent = { jssip, sipjs, expect, record, stats, camera, pictures, addCamera, descriptions, through, sparing, mute, quiet, ufrag, history, many };
