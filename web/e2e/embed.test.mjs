// The element in somebody else's page, on another origin.
import { createServer } from "node:http";
import { test } from "node:test";
import { launch, PhonePage, Server } from "./house.mjs";

test("another origin embeds the phone once it is allowed to", async () => {
  const host = createServer((_, answer) => {
    answer.setHeader("Content-Type", "text/html");
    const at = server.running.http_url;
    answer.end(
      `<!doctype html><script type="module" src="${at}/offhook-phone.js"></script><offhook-phone server="${at}"></offhook-phone>`,
    );
  });
  await new Promise((resolve) => host.listen(0, "127.0.0.1", resolve));
  const origin = `http://localhost:${host.address().port}`;
  const server = new Server();
  await server.start({ OFFHOOK_HTTP_ORIGINS: origin });
  const browser = await launch();
  try {
    const phone = await PhonePage.open(browser, { running: { http_url: origin } });
    await phone.page.waitForSelector(phone.at("username"));
    await phone.signIn("alice", server.password("alice"));
    await phone.registration("registered");
    await phone.dial("echo");
    await phone.call("talking");
    await phone.click("hangup");
    await phone.call("idle");
    await phone.close();
  } finally {
    await browser.close();
    await server.stop();
    host.close();
  }
  server.check();
  server.remove();
});
