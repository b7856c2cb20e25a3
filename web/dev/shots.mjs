// Pictures of every state of the page, for looking at: `npm run shots -- FOLDER [NAME…]`. Against the mock daemon.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { openBrowser } from "./browser.mjs";
import { startMock } from "./mock.mjs";

const [folder = "shots", ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const DESK = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

const busy = await startMock({ rate: 240 });
const empty = await startMock();

async function shot(
  name,
  { url = busy.url, path = "/", size = DESK, scheme = "dark", full = false, act } = {},
) {
  if (only.length > 0 && !only.includes(name)) return;
  const browser = await openBrowser({ viewport: size, colorScheme: scheme });
  const page = await browser.context.newPage();
  await page.goto(url + path);
  await wait(1_600);
  if (act) await act(page);
  if (full) {
    // Charts outside the screen are not drawn: the picture is taken with a screen as tall as the page.
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width: size.width, height });
    await wait(1_500);
  }
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: full });
  await browser.close();
}

await shot("desk-dark");
await shot("desk-light", { scheme: "light" });
await shot("desk-full", { full: true });
await shot("desk-60s", { path: "/?window=60s" });
await shot("desk-contrast", {
  act: async (page) => [await page.keyboard.press("t"), await page.keyboard.press("t"), await wait(300)],
});
await shot("desk-hover", { act: async (page) => [await page.mouse.move(500, 330), await wait(300)] });
await shot("desk-help", { act: async (page) => [await page.keyboard.press("?"), await wait(300)] });
await shot("desk-paused", { act: async (page) => [await page.keyboard.press("Space"), await wait(3_300)] });
await shot("desk-focus", {
  act: async (page) => [await page.keyboard.press("Tab"), await page.keyboard.press("Tab"), await wait(200)],
});
await shot("desk-zoom200", { size: { width: 720, height: 450 }, full: true });
await shot("phone-dark", { size: PHONE, full: true });
await shot("phone-light", { size: PHONE, scheme: "light", full: true });
await shot("phone-paused", {
  size: PHONE,
  act: async (page) => [await page.locator(".button.pause").click(), await wait(2_300)],
});
await shot("first-run", { url: empty.url });
await shot("first-run-phone", { url: empty.url, size: PHONE, scheme: "light", full: true });
await shot("wall", { path: "/?wall", size: { width: 1920, height: 1080 } });
await shot("wall-light", { path: "/?wall", size: { width: 1920, height: 1080 }, scheme: "light" });
await shot("wall-phone", { path: "/?wall", size: PHONE });
await shot("lagging", {
  act: async (page) => {
    busy.control({ sockets: "lag" });
    await wait(3_000);
    busy.control({ sockets: "accept", behindMs: 0 });
    await wait(2_000);
    await page.mouse.move(5, 5);
  },
});
await shot("polling", {
  act: async () => {
    busy.control({ sockets: "refuse" });
    await wait(4_000);
  },
});
await shot("reconnecting", {
  act: async () => {
    busy.control({ sockets: "refuse", rest: "refuse" });
    await wait(6_000);
  },
});
busy.control({ sockets: "accept", rest: "accept" });
await shot("reconnecting-phone", {
  size: PHONE,
  act: async () => {
    busy.control({ sockets: "refuse", rest: "refuse" });
    await wait(4_000);
  },
});
busy.control({ sockets: "accept", rest: "accept" });
await shot("wall-stale", {
  path: "/?wall",
  size: { width: 1920, height: 1080 },
  act: async () => {
    busy.control({ sockets: "refuse", rest: "refuse" });
    await wait(4_000);
  },
});
await shot("denied", {
  act: async () => {
    busy.control({ sockets: "refuse", rest: "deny" });
    await wait(5_000);
  },
});

busy.close();
empty.close();
process.exit(0);
