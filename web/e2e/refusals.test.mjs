// A daemon that answers, and says no: to the address the page came from, or to too many calls.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { describe, test } from "node:test";
import { openPage, says, tickOf } from "./page.mjs";
import { real, startTarget } from "./target.mjs";
import { dialogOf, give } from "./token.mjs";

/** A proxy as it is without settings: it passes sockets on, and asks the daemon by the daemon's own name. */
async function startProxy(daemon) {
  const { host, hostname, port } = new URL(daemon);
  const asked = ({ method, url, headers }) =>
    request({ hostname, port, method, path: url, headers: { ...headers, host } });
  const open = new Set();
  const server = createServer((from, to) => {
    const onwards = asked(from);
    onwards.on("response", (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    onwards.on("error", () => to.destroy());
    from.pipe(onwards);
  });
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  server.on("upgrade", (from, to) => {
    const onwards = asked(from);
    // What the daemon refuses is an answer, not an upgrade.
    onwards.on("response", (answer) =>
      to.end(`HTTP/1.1 ${answer.statusCode} Refused\r\nconnection: close\r\n\r\n`),
    );
    onwards.on("upgrade", (_answer, socket) => socket.destroy());
    onwards.on("error", () => to.destroy());
    to.on("error", () => onwards.destroy());
    onwards.end();
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

describe("a daemon that says no", { skip: !real }, () => {
  test("to the page's address, which its proxy keeps from it: REST goes on, and the likely causes are told", async () => {
    const daemon = await startTarget({ tokens: true });
    const behind = { ...daemon, ...(await startProxy(daemon.url)) };
    const { page, close } = await openPage(behind);
    await dialogOf(page, "A token is needed").waitFor({ timeout: 20_000 });
    await give(page, behind.token());
    await says(page, "polling");
    await page.getByRole("button", { name: "why?" }).click();
    const why = dialogOf(page, "REST is answered, the socket is not");
    await why.getByText(`public_url = "${behind.url}"`).waitFor();
    await page.keyboard.press("Escape");
    await why.waitFor({ state: "hidden" });
    await close();
    await behind.close();
    await daemon.stop();
  });

  test("not to its own page, opened at the daemon itself and not at its public address", async () => {
    const one = await startTarget({ settings: { PULSEBOARD_SERVER__PUBLIC_URL: "http://127.0.0.1:1" } });
    const { page, close } = await openPage(one);
    await says(page, "live");
    await close();
    await one.stop();
  });

  test("to too many calls: polling waits as long as it says, visibly, and goes on", async () => {
    const strict = await startTarget({ tokens: true, settings: { PULSEBOARD_LIMITS__API_PER_MINUTE: "6" } });
    const asked = [];
    const { page, close } = await openPage(strict, "/?window=1s", {
      before: async (each) => {
        each.on("response", (response) => {
          if (response.url().includes("/api/aggregates")) asked.push([Date.now(), response.status()]);
        });
        await each.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1013, reason: "blocked" }));
      },
    });
    await dialogOf(page, "A token is needed").waitFor({ timeout: 20_000 });
    await give(page, strict.token());
    await page
      .locator(".status", { hasText: /polling.*slowed by the daemon's limit, next in \d+ s/ })
      .waitFor({ timeout: 60_000 });
    const held = await tickOf(page);
    await page.waitForFunction((least) => Number(document.querySelector("main").dataset.tick) > least, held, {
      timeout: 60_000,
    });
    const refusals = asked.filter(([, status]) => status === 429);
    assert.ok(refusals.length <= 3, `${refusals.length} refusals`);
    await close();
    await strict.stop();
  });
});
