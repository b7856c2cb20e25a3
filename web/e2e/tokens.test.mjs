import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { mint } from "../dev/jwt.mjs";
import { holes, nextTick, openPage, says, tickOf } from "./page.mjs";
import { real, someEvents, startTarget, steadyTraffic } from "./target.mjs";
import { dialogOf, enter, give, LEEWAY_S } from "./token.mjs";

let target;
let calm;
before(async () => {
  target = await startTarget({ tokens: true });
  await target.post(someEvents(60));
  calm = steadyTraffic(target, 20);
});
after(async () => {
  await calm();
  await target.stop();
});

/** Wherever a page keeps what outlives a moment, and the page itself. */
function remains(page) {
  return page.evaluate(async () => ({
    address: location.href,
    html: document.documentElement.outerHTML,
    values: [...document.querySelectorAll("input")].map((each) => each.value),
    local: JSON.stringify(localStorage),
    session: JSON.stringify(sessionStorage),
    cookies: document.cookie,
    history: JSON.stringify(history.state),
    name: window.name,
    databases: JSON.stringify((await indexedDB.databases?.()) ?? []),
    caches: JSON.stringify((await globalThis.caches?.keys()) ?? []),
  }));
}

/** Sent and asked, as seen from outside of the page. */
function watched(seen) {
  return (page) => {
    page.on("websocket", (socket) => {
      seen.urls.push(socket.url());
      socket.on("framereceived", ({ payload }) => seen.received.push(JSON.parse(payload.toString())));
      socket.on("framesent", ({ payload }) => seen.sent.push(JSON.parse(payload.toString())));
    });
    page.on("request", (request) => seen.urls.push(request.url()));
    page.on("console", (message) => seen.console.push(message.text()));
  };
}
const nothingSeen = () => ({ urls: [], sent: [], received: [], console: [] });

const resumes = (seen) => seen.sent.filter((message) => message.op === "subscribe");

describe("a daemon that asks for a token", () => {
  test("gets one in a dialog, over the socket's first message, and it is left nowhere", async () => {
    const seen = nothingSeen();
    const { page, close } = await openPage(target, "/?window=1s", { before: watched(seen) });
    const dialog = dialogOf(page, "A token is needed");
    await dialog.waitFor();
    assert.match(await dialog.innerText(), /pulseboard token --scope read/);
    assert.equal(await page.locator("main .big", { hasText: /\d/ }).count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.id), "token-field");
    assert.equal(await page.locator("#token-field").getAttribute("type"), "password");
    assert.equal(await page.locator("#token-field").getAttribute("autocomplete"), "off");

    const token = target.token({ sub: "ops" });
    await give(page, ` Bearer ${token}\n`);
    await says(page, "live");
    await dialog.waitFor({ state: "detached" }).catch(() => dialog.waitFor({ state: "hidden" }));
    await nextTick(page, 1);

    const presented = seen.sent.filter((message) => message.op === "auth");
    assert.deepEqual(presented, [{ op: "auth", token }]);
    const [header, payload, signature] = token.split(".");
    for (const [place, text] of Object.entries({ ...(await remains(page)), ...seen, sent: "" })) {
      for (const part of [header, payload, signature])
        assert.ok(!JSON.stringify(text).includes(part), `${part} in ${place}`);
    }
    assert.equal(new URL(page.url()).search, "?window=1s");

    // That is the price: after a reload it is asked for again.
    await page.reload();
    await dialog.waitFor();
    await close();
  });

  test("a token that is none is told before it is sent, a wrong one by the daemon's word", async () => {
    const seen = nothingSeen();
    const { page, close } = await openPage(target, "/", { before: watched(seen) });
    await dialogOf(page).waitFor();
    const note = page.locator("#token-note");
    await page.getByRole("button", { name: "use it" }).click();
    await note.filter({ hasText: "nothing in the field" }).waitFor();
    await give(page, "5f".repeat(32));
    await note.filter({ hasText: "looks like a secret" }).waitFor();
    await give(page, target.token({ scope: "ingest" }));
    await note.filter({ hasText: "needs the scope read" }).waitFor();
    assert.deepEqual(seen.sent, []);

    await give(page, mint(randomBytes(32)));
    await dialogOf(page, "That token is not this daemon's").getByText("token_signature").waitFor();
    await give(page, target.token({ ttlS: -3_600 }));
    await dialogOf(page, "The token has ended").getByText("token_expired").waitFor();
    await enter(page, target.token());
    await close();
  });

  test("escape leaves the page in peace, and the line under the bar leads back", async () => {
    const { page, close } = await openPage(target);
    await dialogOf(page).waitFor();
    // The focus goes round inside.
    for (let i = 0; i < 8; i++) {
      await page.keyboard.press("Tab");
      const inside = await page.evaluate(
        () => document.activeElement === document.body || !!document.activeElement.closest("dialog"),
      );
      assert.ok(inside);
    }
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await says(page, "token needed");
    await page.getByRole("button", { name: "give a token" }).click();
    await enter(page, target.token());
    await close();
  });

  test("a token in a file is taken from there", async () => {
    const { page, close } = await openPage(target);
    await dialogOf(page).waitFor();
    const buffer = Buffer.from(`${target.token({ sub: "from-a-file" })}\n`);
    await page
      .locator("dialog input[type=file]")
      .setInputFiles({ name: "read.token", mimeType: "text/plain", buffer });
    await page.locator("#token-note", { hasText: "For from-a-file: read" }).waitFor();
    await page.keyboard.press("Enter");
    await says(page, "live");
    await close();
  });

  test("a renewal on the open socket costs no tick, and a bad one costs nothing", async () => {
    const seen = nothingSeen();
    const { page, close } = await openPage(target, "/?window=1s", { before: watched(seen) });
    // Ends in four minutes: that is said.
    await enter(page, target.token({ ttlS: 240 }));
    await page.locator(".access", { hasText: /the token ends in 3m\d\ds/ }).waitFor();
    const sockets = seen.urls.filter((url) => url.endsWith("/ws")).length;

    await page.getByRole("button", { name: "renew" }).click();
    const dialog = dialogOf(page, "Access");
    assert.match(await dialog.innerText(), /for\s+e2e[\s\S]*may\s+read[\s\S]*in [34]m/);
    await give(page, target.token({ sub: "next", scope: "read ingest" }));
    await dialog.waitFor({ state: "hidden" });
    await page.locator(".access").waitFor({ state: "detached" });
    await nextTick(page, 2);
    assert.equal(seen.urls.filter((url) => url.endsWith("/ws")).length, sockets, "the same socket");
    assert.equal(resumes(seen).length, 1, "what is watched was not asked for again");
    // A page under load may draw two ticks at once: what counts is that each came.
    const ticks = seen.received
      .filter(({ op }) => op === "snapshot" || op === "delta")
      .map(({ tick }) => tick);
    assert.equal(ticks.at(-1) - ticks[0], ticks.length - 1, `every tick came: ${ticks}`);

    // A bad one ends the socket; the page comes back with the one it had.
    await page.keyboard.press("a");
    await dialog.getByText("next").waitFor();
    await give(page, mint(randomBytes(32)));
    await dialogOf(page, "That token is not this daemon's").waitFor();
    await page.keyboard.press("Escape");
    await says(page, "live");
    await nextTick(page, 2);
    assert.equal((await holes(page, "active users", "users")).holes, 0);
    await page.keyboard.press("a");
    await dialog.getByText("next").waitFor();
    await close();
  });

  test("at its end the picture stays, dimmed with its age, and a new token goes on without a hole", async () => {
    const seen = nothingSeen();
    const { page, close } = await openPage(target, "/?window=1s", { before: watched(seen) });
    await enter(page, target.token({ ttlS: 10 - LEEWAY_S }));
    await nextTick(page, 1);
    await dialogOf(page, "The token has ended").waitFor();
    await page.locator("main.stale").waitFor();
    const held = await tickOf(page);
    const numbers = await page.locator(".kpis").innerText();
    await page.locator(".status", { hasText: /token ended last seen \d\d:\d\d:\d\d, [2-9]s ago/ }).waitFor();
    assert.equal(await page.locator(".kpis").innerText(), numbers);
    assert.equal(await page.title(), "token needed - pulseboard");

    await enter(page, target.token());
    await page.locator("main:not(.stale)").waitFor();
    assert.deepEqual(resumes(seen).at(-1)?.since, { "window:1s": held });
    await nextTick(page, 8);
    const line = await holes(page, "active users", "users");
    assert.ok(line.span > 8, `a line over ${line.span} px`);
    assert.equal(line.holes, 0);
    await close();
  });
});

describe("what a token allows", () => {
  test("a token that only reads is told so where demo traffic would be", async () => {
    const { page, close } = await openPage(target);
    await enter(page, target.token());
    const panel = page.locator(".demo");
    await panel.getByText('pulseboard token --scope "read ingest"').waitFor();
    assert.equal(await panel.getByRole("slider").count(), 0);
    await panel.getByRole("button", { name: "give another token" }).click();
    await give(page, target.token({ scope: "read ingest" }));
    await panel.getByRole("slider").waitFor();
    await close();
  });

  test("demo traffic keeps to the daemon's rate, and nothing is lost at its limit", async () => {
    const { page, close } = await openPage(target);
    await enter(page, target.token({ scope: "read ingest" }));
    const panel = page.locator(".demo");
    await panel.getByText("the daemon takes 50 events/s with this token").waitFor();
    const slider = panel.getByRole("slider");
    await slider.fill(await slider.getAttribute("max"));
    await panel.locator("output", { hasText: "50/s" }).waitFor();
    const began = Date.now();
    await panel.getByRole("button", { name: "send" }).click();
    // More than the burst, so that the rate was in force.
    await page.waitForFunction(() => Number(document.querySelector(".demo dd").textContent) > 150);
    await panel.getByRole("button", { name: "stop" }).click();
    const accepted = Number(await panel.locator("dd").first().textContent());
    const most = 100 + (50 * (Date.now() - began)) / 1000;
    assert.ok(accepted <= most, `${accepted} accepted, ${most} allowed`);
    assert.equal(await panel.locator("dd").nth(2).textContent(), "0");
    await close();
  });

  test("without a socket, polling and demo traffic carry the token in a header", async () => {
    const asked = [];
    const { page, close } = await openPage(target, "/", {
      before: async (each) => {
        each.on("request", (request) => {
          if (request.url().includes("/api/")) asked.push([request.url(), request.headers().authorization]);
        });
        await each.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1013, reason: "blocked" }));
      },
    });
    await dialogOf(page, "A token is needed").waitFor();
    const token = target.token({ scope: "read ingest" });
    await give(page, token);
    await says(page, "polling");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    const panel = page.locator(".demo");
    await panel.getByRole("button", { name: "send" }).click();
    await panel.locator("dd").first().filter({ hasText: /[1-9]/ }).waitFor();
    await panel.getByRole("button", { name: "stop" }).click();
    assert.ok(asked.some(([url, by]) => url.includes("/api/events") && by === `Bearer ${token}`));
    assert.ok(asked.every(([url]) => !url.includes(token)));
    await close();
  });
});

describe("a token of one site", () => {
  test("is said in the bar, and shows that site alone", { skip: !real }, async () => {
    const { page, close } = await openPage(target, "/?window=60s");
    await target.post(someEvents(7, { site: "shop", route: "/only-in-the-shop" }));
    await enter(page, target.token({ site: "shop" }));
    await page.locator(".site", { hasText: "site shop" }).waitFor();
    await page.getByRole("rowheader", { name: "/only-in-the-shop" }).waitFor();
    assert.equal(await page.locator(".routes tbody tr").count(), 1);

    // All sites: another picture, not the old one with other numbers.
    await page.keyboard.press("a");
    await give(page, target.token());
    await page.getByRole("rowheader", { name: "/checkout" }).waitFor();
    assert.equal(await page.locator(".site").count(), 0);
    await close();
  });
});
