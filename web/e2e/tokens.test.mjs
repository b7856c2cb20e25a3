import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { mint } from "../dev/jwt.mjs";
import { faintText, holes, nextTick, openPage, says, tickOf } from "./page.mjs";
import { real, someEvents, startTarget, steadyTraffic } from "./target.mjs";

/** The daemon takes a token for this much longer than it says. */
const LEEWAY_S = 30;

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

const dialogOf = (page, name) => page.getByRole("dialog", name ? { name } : {});

async function give(page, token) {
  await page.getByLabel("token", { exact: false }).and(page.locator("input")).first().fill(token);
  await page.getByRole("button", { name: "use it" }).click();
}

/** Gives a token that is taken; the dialog goes by itself. */
async function enter(page, token) {
  await give(page, token);
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await says(page, "live");
}

/** Lets the browser draw so many times: what it tells a frame later has been told. */
function frames(page, many) {
  return page.evaluate(async (left) => {
    for (let i = 0; i < left; i++) await new Promise(requestAnimationFrame);
  }, many);
}

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
      socket.on("framesent", ({ payload }) => seen.sent.push(JSON.parse(payload.toString())));
    });
    page.on("request", (request) => seen.urls.push(request.url()));
    page.on("console", (message) => seen.console.push(message.text()));
  };
}
const nothingSeen = () => ({ urls: [], sent: [], console: [] });

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
    await page.evaluate(() => {
      const main = document.querySelector("main");
      window.ticks = [Number(main.dataset.tick)];
      new MutationObserver(() => window.ticks.push(Number(main.dataset.tick))).observe(main, {
        attributes: true,
        attributeFilter: ["data-tick"],
      });
    });
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
    const ticks = await page.evaluate(() => window.ticks);
    assert.equal(ticks.at(-1) - ticks[0], ticks.length - 1, `every tick was shown: ${ticks}`);

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
    await enter(page, target.token({ ttlS: 6 - LEEWAY_S }));
    await nextTick(page, 1);
    await dialogOf(page, "The token has ended").waitFor({ timeout: 15_000 });
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

describe("the dialog", () => {
  for (const scheme of ["dark", "light"]) {
    test(`stands out in the ${scheme} theme and in high contrast, with every state of it`, async () => {
      const { page, close } = await openPage(target, "/", { colorScheme: scheme });
      for (const theme of ["auto", "contrast"]) {
        await page.evaluate((each) => localStorage.setItem("pulseboard.theme", each), theme);
        await page.reload();
        await dialogOf(page).waitFor();
        assert.deepEqual(await faintText(page), []);
        await give(page, "5f".repeat(32));
        await page.locator("#token-note.bad").waitFor();
        assert.deepEqual(await faintText(page), []);
        await enter(page, target.token({ ttlS: 50 }));
        await page.locator(".access.warn").waitFor();
        await page.keyboard.press("a");
        await dialogOf(page, "Access").waitFor();
        assert.deepEqual(await faintText(page), []);
      }
      await close();
    });
  }

  for (const viewport of [
    { width: 320, height: 568 },
    { width: 390, height: 844 },
    { width: 720, height: 450 },
  ]) {
    test(`fits a screen of ${viewport.width} by ${viewport.height}`, async () => {
      const { page, close } = await openPage(target, "/", { viewport });
      const dialog = dialogOf(page);
      await dialog.waitFor();
      const box = await dialog.boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= viewport.width, JSON.stringify(box));
      assert.ok(box.y >= 0 && box.y + box.height <= viewport.height, JSON.stringify(box));
      const [width, room] = await dialog.evaluate((each) => [each.scrollWidth, each.clientWidth]);
      assert.ok(width <= room, `${width} in ${room}`);
      await enter(page, target.token({ sub: "s".repeat(200) }));
      await page.keyboard.press("a");
      await dialogOf(page, "Access").getByText("sss").waitFor();
      const [wide, narrow] = await dialog.evaluate((each) => [each.scrollWidth, each.clientWidth]);
      assert.ok(wide <= narrow, `${wide} in ${narrow}`);
      await close();
    });
  }

  test("opens by a key in the very moment it has closed, and stays", async () => {
    const { page, close } = await openPage(target);
    await dialogOf(page).waitFor();
    await page.evaluate(() => {
      const dialog = document.querySelector("dialog.token");
      const closed = new MutationObserver(() => {
        if (dialog.open) return;
        closed.disconnect();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "a", bubbles: true }));
      });
      closed.observe(dialog, { attributes: true, attributeFilter: ["open"] });
    });
    await give(page, target.token({ sub: "soon-again" }));
    await dialogOf(page, "Access").getByText("soon-again").waitFor();
    await frames(page, 10);
    assert.ok(await dialogOf(page, "Access").isVisible());
    await page.keyboard.press("Escape");
    await dialogOf(page).waitFor({ state: "hidden" });
    await close();
  });

  test("takes the place of another one when the token ends, and stays", async () => {
    const { page, close } = await openPage(target);
    await enter(page, target.token({ ttlS: 6 - LEEWAY_S }));
    await page.keyboard.press("?");
    await dialogOf(page, "Keys and words").waitFor();
    await dialogOf(page, "The token has ended").waitFor();
    await frames(page, 10);
    assert.ok(await dialogOf(page, "The token has ended").isVisible());
    assert.equal(await page.getByRole("dialog").count(), 1);
    await close();
  });

  test("names whatever can be used", async () => {
    const { page, close } = await openPage(target);
    await dialogOf(page).waitFor();
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("dialog[open] :is(button, input, a[href])")]
        .filter(
          (each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.[0]?.textContent.trim()),
        )
        .map((each) => each.outerHTML),
    );
    assert.deepEqual(nameless, []);
    const note = await page.locator("#token-field").getAttribute("aria-describedby");
    assert.ok((await page.locator(`#${note}`).innerText()).length > 0);
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
    await panel.getByRole("button", { name: "send" }).click();
    await page.waitForTimeout(4_000);
    await panel.getByRole("button", { name: "stop" }).click();
    const accepted = Number(await panel.locator("dd").first().textContent());
    assert.ok(accepted > 60 && accepted < 320, `${accepted} in four seconds`);
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

describe("a daemon that says no", { skip: !real }, () => {
  test("to the page's address: REST goes on, and the likely causes are told", async () => {
    const behind = await startTarget({
      tokens: true,
      settings: { PULSEBOARD_SERVER__PUBLIC_URL: "https://pulse.example.org" },
    });
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
    await behind.stop();
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
