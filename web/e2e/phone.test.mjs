// The page as a person uses it: sign in, call, be called, mute, digits, hang up, wrong password, server restart.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort, launch, PhonePage, Server, until } from "./house.mjs";

const server = new Server();
let browser;

before(async () => {
  await server.start({ OFFHOOK_HTTP_PORT: await freePort() });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server.stop();
  server.check();
  server.remove();
});

async function signedIn(username, options) {
  const phone = await PhonePage.open(browser, server, options);
  await phone.signIn(username, server.password(username));
  await phone.registration("registered");
  return phone;
}

test("a wrong password is said in words, and the right one works after it", async () => {
  const phone = await PhonePage.open(browser, server);
  await phone.shot("signed-out");
  await phone.signIn("alice", "certainly wrong");
  await phone.registration("wrong-password");
  assert.equal(await phone.text("status"), "wrong password");
  await phone.shot("wrong-password");
  await phone.type("password", server.password("alice"));
  await phone.click("sign-in");
  await phone.registration("registered");
  assert.equal(await phone.text("status"), "registered");
  await phone.shot("registered");
  await phone.close();
});

test("a call to echo: timer, quality in words, mute, digits, hang up", async () => {
  const phone = await signedIn("alice");
  await phone.dial("echo");
  await phone.call("talking");
  await phone.shows("quality", "Sound: good");
  assert.match(await phone.text("timer"), /^\d\d:\d\d$/);
  await phone.shot("in-call");
  await phone.click("mute");
  await until(async () => (await phone.text("mute")) === "Muted", "the button to say so");
  const enabled = () =>
    phone.page.evaluate(() => {
      const element = document.querySelector("offhook-phone");
      return element.phone.view.muted;
    });
  assert.equal(await enabled(), true);
  await phone.click("mute");
  await until(async () => (await phone.text("mute")) === "Mute", "the button to say so");
  await phone.click("keypad-toggle");
  await phone.press('offhook-phone >>> [data-digit="4"]');
  await phone.page.keyboard.press("2");
  await phone.shows("digits", "42");
  await phone.shot("keypad");
  const calls = await api("/api/offhook/calls");
  await until(async () => {
    const call = await api(`/api/offhook/calls/${calls.data[0].call_ref}`);
    return call.legs[0].digits.map((one) => one.digit).join("") === "42";
  }, "both digits to arrive once");
  await phone.click("hangup");
  await phone.call("idle");
  await phone.shows("message", "Call ended");
  await phone.close();
});

test("another microphone and speaker can be chosen in a call", async () => {
  const phone = await signedIn("alice");
  await phone.dial("echo");
  await phone.call("talking");
  await phone.press("offhook-phone >>> summary");
  const choices = (id) => phone.page.$$eval(`${phone.at(id)} option`, (all) => all.map((one) => one.value));
  // The browser lists them all once a microphone was given.
  await until(async () => (await choices("microphone")).length > 1, "several microphones");
  await until(async () => (await choices("speaker")).length > 1, "several speakers");
  const [microphones, speakers] = [await choices("microphone"), await choices("speaker")];
  await phone.page.select(phone.at("microphone"), microphones.at(-1));
  await phone.page.select(phone.at("speaker"), speakers.at(-1));
  const used = () =>
    phone.page.evaluate(() => {
      const root = document.querySelector("offhook-phone").shadowRoot;
      return root.getElementById("remote").sinkId;
    });
  await until(async () => (await used()) === speakers.at(-1), "the sound to go to the other speaker");
  await phone.shows("quality", "Sound: good");
  assert.equal(await phone.text("message"), "");
  await phone.click("hangup");
  await phone.close();
});

test("one page calls the other: ringing, answer, both hear, the callee hangs up", async () => {
  const [alice, bob] = [await signedIn("alice"), await signedIn("bob")];
  await alice.dial("bob");
  await bob.call("ringing");
  assert.equal(await bob.text("peer"), "Alice");
  await alice.call("ringing");
  await bob.shot("ringing");
  await bob.click("answer");
  await Promise.all([alice.call("talking"), bob.call("talking")]);
  await Promise.all([alice.shows("quality", "Sound: good"), bob.shows("quality", "Sound: good")]);
  await bob.click("hangup");
  await Promise.all([alice.call("idle"), bob.call("idle")]);
  await alice.close();
  await bob.close();
});

test("a caller's name is text, whatever it says", async () => {
  const name = "<img src=x onerror=alert(1)><script>alert(2)</script>";
  const mallory = { username: "mallory", password: "a long enough secret", caller_id: name };
  await server.post("/api/relay/rest/endpoints/sip", mallory);
  const [caller, bob] = [await PhonePage.open(browser, server), await signedIn("bob")];
  await caller.signIn(mallory.username, mallory.password);
  await caller.registration("registered");
  await caller.dial("bob");
  await bob.call("ringing");
  assert.equal(await bob.text("peer"), name);
  await bob.click("decline");
  await caller.call("idle");
  // Closing also says that no script of the page failed and none was refused.
  await bob.close();
  await caller.close();
});

test("a declined call and an unknown name are explained", async () => {
  const [alice, bob] = [await signedIn("alice"), await signedIn("bob")];
  await alice.dial("bob");
  await bob.call("ringing");
  await bob.click("decline");
  await alice.shows("message", "bob declined the call");
  await alice.dial("nobody");
  await alice.shows("message", "Nobody here is called nobody");
  await alice.shot("refused");
  await bob.close();
  await alice.close();
});

test("two pages of one user ring, one answers, the other says so", async () => {
  const [alice, first, second] = [await signedIn("alice"), await signedIn("bob"), await signedIn("bob")];
  await alice.dial("bob");
  await Promise.all([first.call("ringing"), second.call("ringing")]);
  await first.click("answer");
  await second.shows("message", "Answered elsewhere");
  await alice.call("talking");
  await alice.click("hangup");
  await first.call("idle");
  for (const phone of [alice, first, second]) await phone.close();
});

test("works by keyboard alone, at 320 px, in the dark", async () => {
  const phone = await PhonePage.open(browser, server, { viewport: { width: 320, height: 600 } });
  await phone.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await phone.page.focus(phone.at("username"));
  await phone.page.keyboard.type("alice");
  await phone.page.keyboard.press("Tab");
  await phone.page.keyboard.type(server.password("alice"));
  await phone.page.keyboard.press("Enter");
  await phone.registration("registered");
  // Registered: the field to dial has the focus.
  await phone.page.keyboard.type("echo");
  await phone.page.keyboard.press("Enter");
  await phone.call("talking");
  await phone.shot("narrow-dark");
  const fits = await phone.page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
  assert.ok(fits, "the page is wider than the screen");
  await phone.page.keyboard.press("Escape");
  await phone.call("idle");
  await phone.close();
});

test("a reloaded page is signed in again, a signed-out one is not", async () => {
  const phone = await signedIn("alice");
  await phone.page.reload();
  await phone.registration("registered");
  await phone.click("sign-out");
  await phone.registration("signed-out");
  await phone.page.reload();
  await phone.registration("signed-out");
  await phone.close();
});

test("a restarted server is noticed, and the page registers again by itself", async () => {
  const phone = await signedIn("alice");
  const port = new URL(server.running.http_url).port;
  await server.stop();
  await phone.registration("server-gone");
  await phone.shows("status", "server gone, trying again");
  await phone.shot("server-gone");
  await server.start({ OFFHOOK_HTTP_PORT: port });
  await phone.registration("registered");
  await phone.dial("echo");
  await phone.call("talking");
  await phone.click("hangup");
  await phone.close();
});

async function api(resource) {
  const token = Buffer.from(`${server.first.project_id}:${server.first.api_token}`).toString("base64");
  const answer = await fetch(server.running.http_url + resource, { headers: { Authorization: `Basic ${token}` } });
  assert.equal(answer.status, 200);
  return answer.json();
}

test("a subscriber signs in with e-mail and password", async () => {
  await server.post("/api/fabric/resources/subscribers", { email: "ann@example.com", password: "correct horse" });
  const phone = await PhonePage.open(browser, server);
  await phone.signIn("ann@example.com", "certainly wrong");
  await phone.registration("wrong-password");
  await phone.type("password", "correct horse");
  await phone.click("sign-in");
  await phone.registration("registered");
  await phone.dial("echo");
  await phone.call("talking");
  await phone.click("hangup");
  await phone.call("idle");
  await phone.close();
});
