// The telephone without a face: one registration and one call at a time, over unmodified JsSIP. No DOM here.
import JsSIP from "jssip";
import { judge, sample, type Sample, type Verdict } from "./quality";
import { Ringer } from "./ringing";
import { endingWords, target } from "./words";

export type Registration = "signed-out" | "connecting" | "registered" | "wrong-password" | "server-gone" | "refused";
export type CallState = "idle" | "calling" | "ringing" | "talking";

export interface Account {
  username: string;
  password: string;
  /** Where it is not the user name: credentials that end by themselves have one of their own. */
  authorizationUser?: string;
  domain: string;
  url: string;
  displayName?: string;
  instance: string;
}

/** Everything a face needs to show. `message` is one sentence about what just happened. */
export interface View {
  registration: Registration;
  call: CallState;
  incoming: boolean;
  peer: string;
  muted: boolean;
  since: number | null;
  message: string;
  quality: Verdict | null;
  digits: string;
}

const EMPTY: View = {
  registration: "signed-out",
  call: "idle",
  incoming: false,
  peer: "",
  muted: false,
  since: null,
  message: "",
  quality: null,
  digits: "",
};

const LOOK = 2000;
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

type Listener = (view: View) => void;
/* eslint-disable-next-line -- JsSIP's session type is looser than its documentation */
type Session = any;

export class Phone {
  view: View = EMPTY;
  #ua: JsSIP.UA | null = null;
  #account: Account | null = null;
  #session: Session = null;
  #ringer = new Ringer();
  #listeners = new Set<Listener>();
  #looking: ReturnType<typeof setInterval> | undefined;
  #last: Sample | null = null;
  #microphone = "";
  /** Called with the other side's sound. */
  onSound: (stream: MediaStream | null) => void = () => undefined;

  /** Tells `listener` of every change; returns the way to stop. */
  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    listener(this.view);
    return () => this.#listeners.delete(listener);
  }

  #change(part: Partial<View>): void {
    this.view = { ...this.view, ...part };
    for (const listener of this.#listeners) listener(this.view);
  }

  // ---- registration

  /** Signing in failed before there was anything to register with. */
  refused(registration: Registration, message: string): void {
    this.#change({ ...EMPTY, registration: "connecting" });
    this.#change({ registration, message });
  }

  signIn(account: Account): void {
    this.#ua?.stop();
    this.#account = account;
    const socket = new JsSIP.WebSocketInterface(account.url);
    const ua = new JsSIP.UA({
      sockets: [socket],
      uri: `sip:${account.username}@${account.domain}`,
      password: account.password,
      ...(account.authorizationUser ? { authorization_user: account.authorizationUser } : {}),
      display_name: account.displayName ?? account.username,
      register_expires: 300,
      session_timers: true,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 10,
      instance_id: account.instance,
      user_agent: "Offhook web phone",
    });
    this.#ua = ua;
    this.#change({ ...EMPTY, registration: "connecting" });
    ua.on("disconnected", () => {
      if (this.#ua === ua && this.view.registration !== "wrong-password") this.#change({ registration: "server-gone" });
    });
    ua.on("connecting", () => {
      if (this.#ua === ua && this.view.registration === "signed-out") this.#change({ registration: "connecting" });
    });
    ua.on("registered", () => this.#change({ registration: "registered", message: "" }));
    ua.on("unregistered", () => {
      if (this.view.registration === "registered") this.#change({ registration: "connecting" });
    });
    ua.on("registrationFailed", (event) => this.#registrationFailed(ua, event));
    ua.on("newRTCSession", (event: { originator: string; session: Session }) => {
      if (event.originator === "remote") this.#offered(event.session);
    });
    ua.start();
  }

  #registrationFailed(ua: JsSIP.UA, event: { response?: { status_code?: number }; cause?: string }): void {
    const status = event.response?.status_code;
    if (status === 401 || status === 403 || status === 407) {
      ua.stop();
      this.#change({ registration: "wrong-password" });
    } else if (status === undefined) {
      this.#change({ registration: "server-gone" });
    } else {
      this.#change({ registration: "refused", message: `The server refuses to register this phone (${status})` });
    }
  }

  signOut(): void {
    this.hangUp();
    const ua = this.#ua;
    this.#ua = null;
    ua?.stop();
    this.#ringer.stop();
    this.#change({ ...EMPTY });
  }

  // ---- calls

  call(dialled: string): void {
    if (!this.#ua || this.view.call !== "idle" || !dialled.trim()) return;
    const peer = dialled.trim();
    this.#change({ call: "calling", incoming: false, peer, message: "", digits: "", muted: false, quality: null });
    try {
      this.#take(this.#ua.call(target(peer, this.#account!.domain), { ...this.#media() }));
    } catch {
      this.#change({ call: "idle", message: `"${peer}" is not something that can be called` });
    }
  }

  answer(): void {
    if (this.view.call === "ringing" && this.view.incoming) this.#session?.answer(this.#media());
  }

  /** Hangs up, gives up, or declines: whatever ends the call now. */
  hangUp(): void {
    if (this.#session && !this.#session.isEnded()) {
      const decline = this.view.incoming && this.view.call === "ringing";
      this.#session.terminate(decline ? { status_code: 603 } : undefined);
    }
  }

  mute(on: boolean): void {
    if (!this.#session || this.view.call !== "talking") return;
    if (on) this.#session.mute({ audio: true });
    else this.#session.unmute({ audio: true });
    this.#change({ muted: on });
  }

  press(digit: string): void {
    if (this.view.call !== "talking" || !/^[0-9*#A-D]$/.test(digit)) return;
    this.#session.sendDTMF(digit, { transportType: "RFC2833", duration: 120, interToneGap: 70 });
    this.#change({ digits: (this.view.digits + digit).slice(-24) });
  }

  /** The microphone to use from now on, also in the call that runs. */
  async useMicrophone(id: string): Promise<void> {
    this.#microphone = id;
    const connection: RTCPeerConnection | undefined = this.#session?.connection;
    if (!connection || this.view.call === "idle") return;
    const stream = await navigator.mediaDevices.getUserMedia({ audio: this.#audio() });
    const track = stream.getAudioTracks()[0]!;
    for (const sender of connection.getSenders()) {
      if (sender.track?.kind !== "audio") continue;
      track.enabled = sender.track.enabled;
      sender.track.stop();
      await sender.replaceTrack(track);
    }
  }

  #audio(): MediaTrackConstraints {
    return this.#microphone ? { ...AUDIO, deviceId: { exact: this.#microphone } } : AUDIO;
  }

  #media(): object {
    return { mediaConstraints: { audio: this.#audio(), video: false }, pcConfig: { iceServers: [] } };
  }

  #offered(session: Session): void {
    if (this.view.call !== "idle") {
      session.terminate({ status_code: 486 });
      return;
    }
    const identity = session.remote_identity;
    const peer = identity.display_name || identity.uri.user || identity.uri.toString();
    this.#change({ call: "ringing", incoming: true, peer, message: "", digits: "", muted: false, quality: null });
    this.#ringer.incoming();
    this.#take(session);
  }

  #take(session: Session): void {
    this.#session = session;
    const mine = (handler: (event: any) => void) => (event: any) => {
      if (this.#session === session) handler(event);
    };
    session.on(
      "progress",
      mine((event) => {
        if (event.originator !== "remote") return;
        this.#change({ call: "ringing" });
        this.#ringer.ringback();
      }),
    );
    session.on(
      "accepted",
      mine(() => this.#ringer.stop()),
    );
    session.on(
      "confirmed",
      mine(() => this.#talking()),
    );
    session.on(
      "failed",
      mine((event) => this.#over(event)),
    );
    session.on(
      "ended",
      mine((event) => this.#over(event)),
    );
    session.on("icecandidate", (event: { ready: () => void }) => event.ready());
    const connect = (connection: RTCPeerConnection) =>
      connection.addEventListener("track", (event) => this.onSound(event.streams[0] ?? new MediaStream([event.track])));
    if (session.connection) connect(session.connection);
    else session.on("peerconnection", (event: { peerconnection: RTCPeerConnection }) => connect(event.peerconnection));
  }

  #talking(): void {
    this.#ringer.stop();
    this.#change({ call: "talking", since: Date.now() });
    this.#last = null;
    clearInterval(this.#looking);
    this.#looking = setInterval(() => void this.#look(), LOOK);
  }

  async #look(): Promise<void> {
    const connection: RTCPeerConnection | undefined = this.#session?.connection;
    if (!connection || this.view.call !== "talking") return;
    const now = await sample(connection);
    if (this.#last) this.#change({ quality: judge(this.#last, now, this.view.muted) });
    this.#last = now;
  }

  #over(event: { cause: string; originator: string; message?: any }): void {
    clearInterval(this.#looking);
    this.#ringer.stop();
    this.#session = null;
    this.onSound(null);
    const message = endingWords({
      status: event.message?.status_code,
      cause: event.cause,
      byUs: event.originator === "local",
      warning: event.message?.getHeader?.("Warning"),
      reason: event.message?.getHeader?.("Reason"),
    });
    this.#change({
      call: "idle",
      incoming: false,
      since: null,
      quality: null,
      muted: false,
      message: message || "Call ended",
    });
  }
}
