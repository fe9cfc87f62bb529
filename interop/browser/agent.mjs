// One real browser, driven by JSON lines: {"id", "verb", "args"} in, {"id", "value"} or {"id", "error"} out.
//
// Verbs: open {page, url, library?}, run {page, code, args} (an expression with `agent` and `args` in reach), close {page},
// freeze {page, frozen} (Chromium), quit.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = createRequire(path.join(here, "../../web/package.json"));
const puppeteer = modules("puppeteer-core");
const esbuild = modules("esbuild");

const [, , browserName, executablePath, tone, more] = process.argv;
// `names` are rules of Chromium's resolver; `verify` lets it judge certificates by itself.
const { names = [], verify = false } = JSON.parse(more || "{}");

const bundle = esbuild.buildSync({
  entryPoints: [path.join(here, "page.js")],
  bundle: true,
  format: "iife",
  write: false,
  nodePaths: [path.join(here, "../../web/node_modules")],
}).outputFiles[0].text;

const CHROMIUM = [
  "--no-sandbox",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-gpu",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

const PATIENCE = 120_000; // milliseconds; the machine may be slow and busy

async function launch() {
  if (browserName === "firefox") {
    return puppeteer.launch({
      browser: "firefox",
      timeout: PATIENCE,
      protocolTimeout: 3 * PATIENCE,
      executablePath,
      headless: true,
      acceptInsecureCerts: true,
      extraPrefsFirefox: {
        "media.navigator.streams.fake": true,
        "media.navigator.permission.disabled": true,
        "media.autoplay.default": 0,
        "network.proxy.type": 0,
      },
    });
  }
  const file = tone ? [`--use-file-for-fake-audio-capture=${tone}`] : [];
  const resolver = names.length ? [`--host-resolver-rules=${names.join(", ")}`] : [];
  const args = [...CHROMIUM, ...file, ...resolver];
  const waits = { timeout: PATIENCE, protocolTimeout: 3 * PATIENCE };
  return puppeteer.launch({ executablePath, ...waits, headless: true, acceptInsecureCerts: !verify, args });
}

const browser = await launch();
const pages = new Map();

const verbs = {
  async open({ page: name, url }) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => process.stderr.write(`${name}: ${error.message}\n`));
    await page.goto(url);
    await page.bringToFront(); // Firefox lets getUserMedia wait for focus for ever
    await page.evaluate(bundle);
    pages.set(name, page);
  },
  async run({ page: name, code, args }) {
    const page = pages.get(name);
    return page.evaluate(`(async (args) => { const agent = window.agent; return (${code}); })(${JSON.stringify(args ?? null)})`);
  },
  async close({ page: name }) {
    const page = pages.get(name);
    pages.delete(name);
    await page.browserContext().close();
  },
  // What a browser does to a tab that nobody looks at: its sockets live, its code does not run.
  async freeze({ page: name, frozen }) {
    const session = await pages.get(name).createCDPSession();
    await session.send("Page.setWebLifecycleState", { state: frozen ? "frozen" : "active" });
  },
  async quit() {
    await browser.close();
    setTimeout(() => process.exit(0), 50); // after the answer is out
  },
};

process.stdout.write(`${JSON.stringify({ id: 0, value: browser.process().pid })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, verb, args } = JSON.parse(line);
  verbs[verb](args ?? {}).then(
    (value) => process.stdout.write(`${JSON.stringify({ id, value: value ?? null })}\n`),
    (error) => process.stdout.write(`${JSON.stringify({ id, error: String(error?.message ?? error) })}\n`),
  );
  if (verb === "quit") break;
}
