// <offhook-phone>: the web phone as a custom element. It shows what web/call knows and passes on what people press.
import { Phone, type View } from "../call/phone";
import style from "../ui/style.css?inline";
import { TEMPLATE } from "../ui/template";

const STATUS: Record<View["registration"], string> = {
  "signed-out": "signed out",
  connecting: "connecting",
  registered: "registered",
  "wrong-password": "wrong password",
  "server-gone": "server gone, trying again",
  refused: "refused by the server",
};

const CALL: Record<View["call"], string> = { idle: "", calling: "calling", ringing: "ringing", talking: "" };

const REMEMBERED = "offhook-account";
const INSTANCE = "offhook-instance";

/** What the server answers a login with. */
interface SignedIn {
  sip: { domain: string };
  jssip: { uri: string; password: string; authorization_user: string; display_name: string };
}

interface Remembered {
  username: string;
  password: string;
}

function remembered(): Remembered | null {
  try {
    const text = sessionStorage.getItem(REMEMBERED) ?? localStorage.getItem(REMEMBERED);
    return text ? (JSON.parse(text) as Remembered) : null;
  } catch {
    return null;
  }
}

/** An id for this tab, the same over reloads: the server takes the reloaded page for the same device. */
function instance(): string {
  let id = sessionStorage.getItem(INSTANCE);
  if (!id) sessionStorage.setItem(INSTANCE, (id = uuid()));
  return id;
}

/** `crypto.randomUUID` exists in secure contexts only. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export class OffhookPhone extends HTMLElement {
  readonly phone = new Phone();
  #root = this.attachShadow({ mode: "open" });
  #unwatch: (() => void) | null = null;
  #ticking: ReturnType<typeof setInterval> | undefined;
  #padOpen = false;
  #name = "";
  #before: View | null = null;
  #refreshDevices = () => void this.#listDevices();
  #onKey = (event: KeyboardEvent) => this.#key(event);

  connectedCallback(): void {
    const sheet = document.createElement("style");
    sheet.textContent = style;
    this.#root.innerHTML = TEMPLATE;
    this.#root.prepend(sheet);
    this.#wire();
    this.phone.onSound = (stream) => {
      this.#audio.srcObject = stream;
      if (stream) void this.#audio.play().catch(() => this.#say("Click anywhere on the page to hear the call"));
    };
    this.#unwatch = this.phone.watch((view) => this.#show(view));
    this.#ticking = setInterval(() => this.#tick(), 500);
    navigator.mediaDevices?.addEventListener("devicechange", this.#refreshDevices);
    document.addEventListener("keydown", this.#onKey);
    const known = remembered();
    const [username, password] = [this.getAttribute("username"), this.getAttribute("password")];
    if (username && password) void this.signIn(username, password);
    else if (known) void this.signIn(known.username, known.password);
  }

  disconnectedCallback(): void {
    this.phone.signOut();
    this.#unwatch?.();
    clearInterval(this.#ticking);
    navigator.mediaDevices?.removeEventListener("devicechange", this.#refreshDevices);
    document.removeEventListener("keydown", this.#onKey);
  }

  /** Registers with an endpoint's credentials, or with a subscriber's e-mail and password. */
  async signIn(username: string, password: string): Promise<void> {
    this.#name = username;
    const server = new URL(this.getAttribute("server") ?? location.href, location.href);
    const domain = this.getAttribute("domain") ?? (await this.#domain(server));
    const scheme = server.protocol === "https:" ? "wss" : "ws";
    const url = `${scheme}://${server.host}/`;
    if (username.includes("@")) return this.#signInByEmail(server, url, username, password);
    this.phone.signIn({ username, password, domain, url, instance: instance() });
  }

  /** A subscriber's e-mail and password for credentials that end by themselves. */
  async #signInByEmail(server: URL, url: string, email: string, password: string): Promise<void> {
    const answer = await this.#logIn(server, email, password);
    if (!answer) return;
    const { sip, jssip } = answer;
    const username = jssip.uri.slice("sip:".length, jssip.uri.lastIndexOf("@"));
    this.phone.signIn({
      username,
      password: jssip.password,
      authorizationUser: jssip.authorization_user,
      displayName: jssip.display_name,
      domain: sip.domain,
      url,
      instance: instance(),
    });
  }

  async #logIn(server: URL, email: string, password: string): Promise<SignedIn | null> {
    const device = { instance_id: instance(), name: "Web phone" };
    try {
      const answer = await fetch(new URL("/api/offhook/subscribers/login", server), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email, password, device }),
      });
      if (answer.ok) return (await answer.json()) as SignedIn;
      const many = answer.status === 429;
      this.phone.refused(many ? "refused" : "wrong-password", many ? "Too many wrong logins; wait a minute" : "");
    } catch {
      this.phone.refused("server-gone", "The server cannot be reached");
    }
    return null;
  }

  async #domain(server: URL): Promise<string> {
    try {
      const answer = await fetch(new URL("/api/offhook/public", server));
      if (answer.ok) return ((await answer.json()) as { domain: string }).domain;
    } catch {
      // The server is gone: the WebSocket will say so, and try again.
    }
    return server.hostname;
  }

  // ---- parts

  #get<T extends HTMLElement = HTMLElement>(id: string): T {
    return this.#root.getElementById(id) as T;
  }

  get #audio(): HTMLAudioElement {
    return this.#get<HTMLAudioElement>("remote");
  }

  #wire(): void {
    this.#get<HTMLFormElement>("sign-in-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submitSignIn();
    });
    this.#get<HTMLFormElement>("dial-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.phone.call(this.#get<HTMLInputElement>("dial").value);
    });
    const presses: Record<string, () => void> = {
      answer: () => this.phone.answer(),
      decline: () => this.phone.hangUp(),
      hangup: () => this.phone.hangUp(),
      mute: () => this.phone.mute(!this.phone.view.muted),
      "keypad-toggle": () => this.#togglePad(),
      "sign-out": () => this.#signOut(),
    };
    for (const [id, press] of Object.entries(presses)) this.#get(id).addEventListener("click", press);
    this.#get("keypad").addEventListener("click", (event) => {
      const digit = (event.target as HTMLElement).closest<HTMLElement>("[data-digit]")?.dataset["digit"];
      if (digit) this.phone.press(digit);
    });
    this.#get<HTMLSelectElement>("microphone").addEventListener("change", (event) => {
      const id = (event.target as HTMLSelectElement).value;
      void this.phone.useMicrophone(id).catch(() => this.#say("That microphone cannot be used"));
    });
    this.#get<HTMLSelectElement>("speaker").addEventListener("change", (event) => {
      const id = (event.target as HTMLSelectElement).value;
      void this.#audio.setSinkId(id).catch(() => this.#say("That speaker cannot be used"));
    });
  }

  #submitSignIn(): void {
    const username = this.#get<HTMLInputElement>("username").value.trim();
    const password = this.#get<HTMLInputElement>("password").value;
    const text = JSON.stringify({ username, password } satisfies Remembered);
    // For reloads of this tab; for longer only if somebody asks for it.
    sessionStorage.setItem(REMEMBERED, text);
    if (this.#get<HTMLInputElement>("keep").checked) localStorage.setItem(REMEMBERED, text);
    void this.signIn(username, password);
  }

  #signOut(): void {
    sessionStorage.removeItem(REMEMBERED);
    localStorage.removeItem(REMEMBERED);
    this.#get<HTMLInputElement>("password").value = "";
    this.phone.signOut();
    this.#get("username").focus();
  }

  #togglePad(): void {
    this.#padOpen = !this.#padOpen;
    this.#show(this.phone.view);
  }

  /** Digits, Escape and Enter while a call is up, unless a field is being typed in. */
  #key(event: KeyboardEvent): void {
    const typing = (this.#root.activeElement as HTMLElement | null)?.matches("input, select") ?? false;
    const view = this.phone.view;
    if (view.call === "idle" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") this.phone.hangUp();
    else if (event.key === "Enter" && view.incoming && view.call === "ringing" && !this.#root.activeElement)
      this.phone.answer();
    else if (view.call === "talking" && /^[0-9*#]$/.test(event.key)) this.phone.press(event.key);
    else return;
    event.preventDefault();
  }

  // ---- showing

  #say(text: string): void {
    this.#get("message").textContent = text;
  }

  #show(view: View): void {
    const out = view.registration === "signed-out" || view.registration === "wrong-password";
    const busy = view.call !== "idle";
    this.setAttribute("registration", view.registration);
    this.setAttribute("call", view.call);
    this.#get("status").textContent = STATUS[view.registration];
    this.#get("title").textContent = out ? "Offhook" : this.#name;
    this.#get("sign-in-form").hidden = !out;
    this.#get("dial-form").hidden = out || busy;
    this.#get("sign-out").hidden = out || busy;
    this.#get("devices").hidden = out;
    this.#get<HTMLButtonElement>("call").disabled = view.registration !== "registered";
    this.#get("in-call").hidden = !busy;
    this.#say(view.message);
    if (busy) this.#showCall(view);
    else this.#padOpen = false;
    this.#announce(view);
    this.#before = view;
  }

  #showCall(view: View): void {
    const offered = view.incoming && view.call === "ringing";
    this.#get("peer").textContent = view.peer;
    this.#get("avatar").textContent = view.peer
      .replace(/^sips?:/, "")
      .slice(0, 1)
      .toUpperCase();
    this.#get("call-state").textContent = offered ? "is calling you" : CALL[view.call];
    this.#get("offered").hidden = !offered;
    this.#get("ending").hidden = offered;
    this.#get("controls").hidden = view.call !== "talking";
    this.#get("pad").hidden = !(view.call === "talking" && this.#padOpen);
    this.#get("digits").textContent = view.digits;
    const mute = this.#get("mute");
    mute.setAttribute("aria-pressed", String(view.muted));
    mute.textContent = view.muted ? "Muted" : "Mute";
    this.#get("keypad-toggle").setAttribute("aria-pressed", String(this.#padOpen));
    const quality = this.#get("quality");
    quality.dataset["level"] = view.quality?.level ?? "";
    quality.textContent = view.quality ? (view.quality.level === "good" ? "Sound: good" : view.quality.text) : "";
    this.#tick();
  }

  #tick(): void {
    const since = this.phone.view.since;
    const seconds = since ? Math.floor((Date.now() - since) / 1000) : 0;
    const two = (value: number) => String(value).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const clock = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
    this.#get("timer").textContent = since ? (hours ? `${hours}:${clock}` : clock) : "";
  }

  /** Focus, device list and DOM events when something begins or ends. */
  #announce(view: View): void {
    const before = this.#before;
    if (view.registration === "registered" && before?.registration !== "registered") {
      void this.#listDevices();
      this.#tell("offhook-registered", { username: this.#name });
      if (view.call === "idle") this.#get("dial").focus();
    }
    if (view.registration === "wrong-password" && before?.registration !== "wrong-password") {
      sessionStorage.removeItem(REMEMBERED);
      localStorage.removeItem(REMEMBERED);
      this.#get<HTMLInputElement>("username").value = this.#name;
      this.#get("password").focus();
    }
    if (view.call !== "idle" && before?.call === "idle")
      this.#tell("offhook-call", { peer: view.peer, incoming: view.incoming });
    if (view.call === "talking" && before?.call !== "talking") {
      void this.#listDevices();
      this.#get("hangup").focus();
    }
    if (view.call === "idle" && before && before.call !== "idle") {
      this.#tell("offhook-ended", { peer: before.peer, message: view.message });
      this.#get("dial").focus();
    }
  }

  #tell(name: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  async #listDevices(): Promise<void> {
    if (!navigator.mediaDevices) {
      this.#say("This page gets no microphone: open it over https, or on localhost");
      return;
    }
    const devices = await navigator.mediaDevices.enumerateDevices();
    this.#fill(
      "microphone",
      devices.filter((one) => one.kind === "audioinput"),
      "Microphone",
    );
    this.#fill(
      "speaker",
      devices.filter((one) => one.kind === "audiooutput"),
      "Speaker",
    );
    this.#get("speaker-field").hidden = !("setSinkId" in HTMLMediaElement.prototype);
  }

  #fill(id: string, devices: MediaDeviceInfo[], kind: string): void {
    const select = this.#get<HTMLSelectElement>(id);
    const chosen = select.value;
    const options = devices.map((one, index) => new Option(one.label || `${kind} ${index + 1}`, one.deviceId));
    select.replaceChildren(...(options.length ? options : [new Option(`No ${kind.toLowerCase()} found`, "")]));
    if (options.some((one) => one.value === chosen)) select.value = chosen;
  }
}

customElements.define("offhook-phone", OffhookPhone);
