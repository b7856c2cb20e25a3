import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { faintText, nextTick, openPage, says } from "./page.mjs";
import { real, someEvents, startTarget, steadyTraffic } from "./target.mjs";

let target;
let calm;
before(async () => {
  target = await startTarget();
  await target.post(someEvents(60));
  calm = steadyTraffic(target, 20);
});
after(async () => {
  await calm();
  await target.stop();
});

for (const scheme of ["dark", "light"]) {
  test(`every text of the ${scheme} theme stands out from what is behind it`, async () => {
    const { page, close } = await openPage(target, "/", { colorScheme: scheme });
    await says(page, "live");
    await page.getByRole("rowheader", { name: "/checkout" }).waitFor();
    assert.deepEqual(await faintText(page), []);
    await page.keyboard.press("t");
    await page.keyboard.press("t");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "contrast");
    assert.deepEqual(await faintText(page), []);
    await close();
  });
}

for (const [name, viewport] of [
  ["a phone", { width: 390, height: 844 }],
  ["the narrowest phone", { width: 320, height: 568 }],
  ["text at 200 %", { width: 720, height: 450 }],
  ["a tablet", { width: 1024, height: 768 }],
]) {
  test(`${name} never scrolls sideways`, async () => {
    const { page, close } = await openPage(target, "/", { viewport });
    await says(page, "live");
    await page.getByRole("rowheader", { name: "/checkout" }).waitFor();
    const width = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    assert.ok(width[0] <= width[1], `${width[0]} in ${width[1]}`);
    const outside = await page.evaluate(() =>
      [...document.querySelectorAll("main *, header *")]
        .filter(
          (each) => !each.closest(".hidden, .u-wrap") && each.getBoundingClientRect().right > innerWidth + 1,
        )
        .map((each) => each.className || each.tagName),
    );
    assert.deepEqual(outside, []);
    await close();
  });
}

test("the theme follows the system until one is chosen, and the choice stays", async () => {
  const { page, close } = await openPage(target, "/", { colorScheme: "dark" });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await background();
  await page.emulateMedia({ colorScheme: "light" });
  const light = await background();
  assert.notEqual(dark, light);
  await page.keyboard.press("t");
  assert.equal(await background(), dark);
  await page.reload();
  assert.equal(await background(), dark);
  assert.equal(new URL(page.url()).search, "");
  await close();
});

test("whatever can be used has a name, and every chart a sentence", async () => {
  const { page, close } = await openPage(target);
  await says(page, "live");
  await nextTick(page, 2);
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, a[href]")]
      .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.[0]?.textContent.trim()))
      .map((each) => each.outerHTML),
  );
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator("h1").count(), 1);
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  assert.equal(await page.locator("main").count(), 1);
  const ids = await page.evaluate(() => [...document.querySelectorAll("[id]")].map((each) => each.id));
  assert.equal(new Set(ids).size, ids.length);
  const sentences = await page.locator("figure").evaluateAll((all) => all.map((each) => each.ariaLabel));
  assert.equal(sentences.length, 4);
  for (const sentence of sentences) assert.match(sentence, /, now .+, between .+ and .+ in the last 5m00s$/);
  await close();
});

test("with the keyboard alone one reaches every control and sees where one is", async () => {
  const { page, close } = await openPage(target);
  await says(page, "live");
  const seen = [];
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press("Tab");
    // Past the last one the browser itself has the focus.
    if (await page.evaluate(() => document.activeElement === document.body)) break;
    seen.push(
      await page.evaluate(() => {
        const at = document.activeElement;
        const shown = at.matches("input[type=radio]") ? at.nextElementSibling : at;
        return [at.ariaLabel ?? at.textContent ?? "", at.type, getComputedStyle(shown).outlineStyle];
      }),
    );
  }
  for (const [name, type, outline] of seen) assert.equal(outline, "solid", `${name} ${type}`);
  const names = seen.map(([name, type]) =>
    type === "radio" || type === "range" ? type : name.split(/[:,]/)[0],
  );
  const inTheBar = ["Filter", "radio", "pause", "Theme", "Help", "Wall board"];
  assert.deepEqual(names.slice(0, inTheBar.length), inTheBar);
  const below = names.slice(inTheBar.length);
  for (const name of ["/checkout", "5xx server error", "send", "range", "error spell"])
    assert.ok(below.includes(name), `${name} among ${below.join(", ")}`);
  await close();
});

test("only what changed its state is announced, not every second", async () => {
  const { page, close } = await openPage(target);
  await says(page, "live");
  await page.evaluate(() => {
    window.said = [];
    window.lights = new Set();
    for (const live of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
      new MutationObserver(() => window.said.push(live.textContent)).observe(live, {
        subtree: true,
        childList: true,
        characterData: true,
      });
    }
    // A machine under load may well fall behind for a moment: that is a state, and is said.
    const status = document.querySelector(".status");
    const look = () => window.lights.add(status.className);
    look();
    new MutationObserver(look).observe(status, { attributes: true });
  });
  await nextTick(page, 4);
  const [said, lights] = await page.evaluate(() => [window.said, window.lights.size]);
  if (lights === 1) assert.deepEqual(said, []);
  for (let i = 1; i < said.length; i++) assert.notEqual(said[i], said[i - 1]);
  await close();
});

describe("drawing", () => {
  /** Counts drawings by canvas, from before the page's first script. */
  const counted = (page) =>
    page.addInitScript(() => {
      window.draws = new Map();
      const clear = CanvasRenderingContext2D.prototype.clearRect;
      CanvasRenderingContext2D.prototype.clearRect = function (...box) {
        window.draws.set(this.canvas, (window.draws.get(this.canvas) ?? 0) + 1);
        return clear.apply(this, box);
      };
    });
  const draws = (page) =>
    page.evaluate(() =>
      [...document.querySelectorAll("figure canvas")].map((canvas) => window.draws.get(canvas) ?? 0),
    );

  test("charts outside of the screen are not drawn, and full when they come in", async () => {
    const { page, close } = await openPage(target, "/", {
      viewport: { width: 390, height: 700 },
      before: counted,
    });
    await says(page, "live");
    await nextTick(page, 1);
    const before = await draws(page);
    await nextTick(page, 3);
    const later = await draws(page);
    assert.ok(later[0] > before[0], "the first chart is on screen");
    assert.equal(later[3], before[3], "the last one is not");
    await page.locator("figure").last().scrollIntoViewIfNeeded();
    await page.waitForFunction(
      (least) => (window.draws.get(document.querySelectorAll("figure canvas")[3]) ?? 0) > least,
      later[3],
    );
    await close();
  });

  test("many frames at once are drawn once", async () => {
    const { page, close } = await openPage(target, "/", {
      before: async (each) => {
        await counted(each);
        // A socket whose frames can be kept back, and handed over all at once.
        await each.addInitScript(() => {
          window.kept = undefined;
          window.WebSocket = class extends WebSocket {
            set onmessage(handler) {
              super.onmessage = (event) =>
                window.kept ? window.kept.push([handler, event]) : handler(event);
            }
          };
        });
      },
    });
    await says(page, "live");
    await nextTick(page, 1);
    await page.evaluate(() => {
      window.kept = [];
    });
    await page.waitForFunction(() => window.kept.length >= 5);
    const ticks = await page.evaluate(async () => {
      const chart = document.querySelector("figure canvas");
      const tickOf = () => Number(document.querySelector("main").dataset.tick);
      // What came before has been drawn by now.
      const before = [tickOf(), window.draws.get(chart)];
      const all = window.kept;
      for (const [handler, event] of all) handler(event);
      // They are the last for now, until the drawing is over.
      const more = [];
      window.kept = more;
      for (let i = 0; i < 10; i++) await new Promise(requestAnimationFrame);
      const after = [tickOf(), window.draws.get(chart)];
      window.kept = undefined;
      for (const [handler, event] of more) handler(event);
      return { frames: after[0] - before[0], drawings: after[1] - before[1] };
    });
    assert.ok(ticks.frames >= 5, `${ticks.frames} frames`);
    assert.equal(ticks.drawings, 1);
    await close();
  });
});

test("the page comes with a strict policy, and its assets may be kept for ever", async () => {
  const response = await fetch(target.url);
  const policy = response.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
  const html = await response.text();
  assert.doesNotMatch(html, /<style|style=|<script(?![^>]*src=)/);
  if (!real) return;
  const [, script] = /src="([^"]+\.js)"/.exec(html);
  const asset = await fetch(target.url + script, { headers: { "accept-encoding": "gzip" } });
  assert.match(asset.headers.get("cache-control") ?? "", /immutable/);
  assert.equal(asset.headers.get("content-encoding"), "gzip");
});
