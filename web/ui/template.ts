// The markup of <offhook-phone>; ids are stable, tests and pages may rely on them.

const HANDSET =
  '<svg viewBox="0 0 24 24" fill="currentColor" aria-hidden="true"><path d="M6.6 2.8 9 2.3c.6-.1 1.2.2 1.4.8l1.2 3c.2.5.1 1.1-.3 1.5L9.6 9.2a11.5 11.5 0 0 0 5.2 5.2l1.6-1.7c.4-.4 1-.5 1.5-.3l3 1.2c.6.2.9.8.8 1.4l-.5 2.4c-.2 1.1-1.2 1.9-2.3 1.9C10.700 19.300 4.700 13.300 4.700 5.100c0-1.1.8-2.1 1.9-2.3Z"/></svg>';

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const NAMES: Record<string, string> = { "*": "star", "#": "pound" };

const keypad = KEYS.map(
  (key) => `<button type="button" data-digit="${key}" aria-label="${NAMES[key] ?? key}">${key}</button>`,
).join("");

export const TEMPLATE = `
<section class="card" aria-label="Telephone">
  <header>
    <div class="mark">${HANDSET}</div>
    <div class="who">
      <h1 id="title">Offhook</h1>
      <p id="status" role="status" aria-live="polite">signed out</p>
    </div>
  </header>

  <form id="sign-in-form" autocomplete="on">
    <div class="field">
      <label for="username">User name or e-mail</label>
      <input id="username" name="username" type="text" autocomplete="username" autocapitalize="none" spellcheck="false" required>
    </div>
    <div class="field">
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required>
    </div>
    <label class="check"><input id="keep" type="checkbox">Keep me signed in on this device</label>
    <button id="sign-in" class="primary" type="submit">Sign in</button>
  </form>

  <form id="dial-form" hidden>
    <div class="field">
      <label for="dial">Name, number or address</label>
      <input id="dial" type="text" inputmode="text" autocapitalize="none" autocomplete="off" spellcheck="false" placeholder="bob, echo, sip:…">
    </div>
    <button id="call" class="primary" type="submit">Call</button>
  </form>

  <div id="in-call" hidden>
    <div class="peer">
      <div class="avatar" id="avatar" aria-hidden="true"></div>
      <p id="peer"></p>
      <p id="progress"><span id="call-state" role="status" aria-live="assertive"></span> <span id="timer" role="timer"></span></p>
      <p id="quality" role="status" aria-live="polite"></p>
    </div>
    <div class="row" id="offered" hidden>
      <button id="decline" class="danger" type="button">Decline</button>
      <button id="answer" class="primary" type="button">Answer</button>
    </div>
    <div id="pad" hidden>
      <p id="digits" aria-live="polite"></p>
      <div class="keypad" id="keypad">${keypad}</div>
    </div>
    <div class="row" id="controls" hidden>
      <button id="mute" type="button" aria-pressed="false">Mute</button>
      <button id="keypad-toggle" type="button" aria-pressed="false" aria-controls="pad">Keypad</button>
    </div>
    <div class="row" id="ending" hidden style="margin-top:12px">
      <button id="hangup" class="danger" type="button">Hang up</button>
    </div>
  </div>

  <p id="message" role="status" aria-live="polite"></p>

  <details id="devices" hidden>
    <summary>Microphone and speaker</summary>
    <div class="field">
      <label for="microphone">Microphone</label>
      <select id="microphone"></select>
    </div>
    <div class="field" id="speaker-field">
      <label for="speaker">Speaker</label>
      <select id="speaker"></select>
    </div>
  </details>
  <div class="end"><button id="sign-out" class="plain" type="button" hidden>Sign out</button></div>
  <audio id="remote" autoplay></audio>
</section>`;
