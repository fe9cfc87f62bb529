// A real server and a real Chromium for the page's tests. Screenshots go to artefacts/, which git ignores.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, existsSync, openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
/** Seconds in which what must come has come: the machine may be slow and busy. */
const PATIENCE = 120;
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

export class Server {
  home = mkdtempSync(path.join(os.tmpdir(), "offhook-e2e-"));

  async start(settings = {}) {
    rmSync(path.join(this.home, "running.json"), { force: true });
    const environment = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith("OFFHOOK_")),
    );
    const log = openSync(path.join(this.home, "log"), "a");
    this.process = spawn(path.join(root, ".venv/bin/offhook"), ["serve"], {
      env: {
        ...environment,
        OFFHOOK_DATA: this.home,
        OFFHOOK_DOMAIN: "offhook.test",
        OFFHOOK_HTTP_PORT: "0",
        OFFHOOK_SIP_PORT: "0",
        OFFHOOK_MEDIA_PORT: "0",
        OFFHOOK_LOG_LEVEL: "debug",
        // Browsers share the processor with the server; their start is no overload of it.
        OFFHOOK_LIMITS_LOOP_LAG: "30",
        ...settings,
      },
      stdio: ["ignore", log, log],
    });
    await until(
      () => existsSync(path.join(this.home, "running.json")),
      "the server to start",
      PATIENCE,
      () => this.log(),
    );
    this.running = JSON.parse(readFileSync(path.join(this.home, "running.json")));
    this.first = JSON.parse(readFileSync(path.join(this.home, "first-run.json")));
  }

  password(username) {
    return this.first.endpoints.find((one) => one.username === username).password;
  }

  /** What a back end asks of the API. */
  async post(where, body) {
    const { project_id: project, api_token: token } = this.first;
    const answer = await fetch(new URL(where, this.running.http_url), {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Authorization: `Basic ${Buffer.from(`${project}:${token}`).toString("base64")}`,
      },
      body: JSON.stringify(body),
    });
    assert.ok(answer.ok, `${where}: ${answer.status}`);
  }

  log() {
    return readFileSync(path.join(this.home, "log"), "utf8");
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const gone = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    const again = setTimeout(() => this.process.kill("SIGTERM"), 4000);
    await gone;
    clearTimeout(again);
  }

  /** Nothing of it is left on the machine. */
  remove() {
    rmSync(this.home, { recursive: true, force: true });
  }

  // Nothing secret and no failure of ours in what the server wrote; the first start's own page shows passwords once.
  check() {
    const text = this.log()
      .split("\n")
      .filter((line) => !line.startsWith("  endpoint "))
      .join("\n");
    for (const one of this.first.endpoints) assert.ok(!text.includes(one.password), "a password stands in the log");
    assert.ok(!text.includes(this.first.api_token), "the API token stands in the log");
    assert.ok(!text.includes("Traceback"), text.slice(text.indexOf("Traceback"), text.indexOf("Traceback") + 2000));
  }
}

/** Waits until `holds()` is true. */
export async function until(holds, what, seconds = PATIENCE, more = () => "") {
  const end = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what} ${more().slice(-3000)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A port that can be had again after a restart: below those that the system gives to others meanwhile. */
export async function freePort() {
  for (let port = 9100 + (process.pid % 800); ; port += 1) {
    const probe = createServer();
    const free = await new Promise((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    await new Promise((resolve) => (free ? probe.close(resolve) : resolve()));
    if (free) return String(port);
  }
}

export async function launch() {
  assert.ok(CHROMIUM, "chromium is not installed (Debian package chromium)");
  return puppeteer.launch({
    executablePath: CHROMIUM,
    headless: true,
    timeout: PATIENCE * 1000,
    protocolTimeout: 3 * PATIENCE * 1000,
    args: [
      "--no-sandbox",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-gpu",
      "--no-first-run",
    ],
  });
}

/** The web phone in a context of its own, by the names its ids have. */
export class PhonePage {
  static async open(browser, server, options = {}) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE * 1000);
    await page.setViewport({ width: 460, height: 760, deviceScaleFactor: 1, ...options.viewport });
    const faults = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("console", (message) => {
      if (/Content Security Policy/i.test(message.text())) faults.push(message.text());
    });
    await page.goto(server.running.http_url);
    return Object.assign(new PhonePage(), { page, faults });
  }

  at(id) {
    return `offhook-phone >>> #${id}`;
  }

  async type(id, text) {
    await this.click(id, { count: 3 });
    await this.page.type(this.at(id), text);
  }

  click(id, options = {}) {
    return this.press(this.at(id), options);
  }

  /** A click on what a selector names, once it lies still: a line that comes or goes above it would lead it elsewhere. */
  press(selector, options = {}) {
    return this.page
      .locator(selector)
      .setTimeout(PATIENCE * 1000)
      .click(options);
  }

  text(id) {
    return this.page.$eval(this.at(id), (element) => element.textContent.trim());
  }

  hidden(id) {
    return this.page.$eval(this.at(id), (element) => !element.checkVisibility());
  }

  async signIn(username, password) {
    await this.type("username", username);
    await this.type("password", password);
    await this.click("sign-in");
  }

  registration(state, seconds = PATIENCE) {
    return this.page.waitForSelector(`offhook-phone[registration=${state}]`, { timeout: seconds * 1000 });
  }

  call(state, seconds = PATIENCE) {
    return this.page.waitForSelector(`offhook-phone[call=${state}]`, { timeout: seconds * 1000 });
  }

  async shows(id, words, seconds = PATIENCE) {
    let seen = "";
    await until(
      async () => (seen = await this.text(id)).includes(words),
      `"${words}" in #${id}`,
      seconds,
      () => seen,
    );
  }

  async dial(name) {
    await this.type("dial", name);
    await this.page.keyboard.press("Enter");
  }

  async shot(name) {
    const folder = path.join(root, "artefacts");
    mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: path.join(folder, `${name}.png`) });
  }

  async close() {
    assert.deepEqual(this.faults, []);
    await this.page.browserContext().close();
  }
}
