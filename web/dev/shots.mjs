// Pictures of every state of the page, for looking at: `npm run shots -- FOLDER [BEGINNING OF A NAME…]`. Against the mock daemon.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { openBrowser } from "./browser.mjs";
import { mint } from "./jwt.mjs";
import { startMock } from "./mock.mjs";

const [folder = "shots", ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const DESK = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

const busy = await startMock({ rate: 240 });
const empty = await startMock();
const secret = "a secret of the pictures, 32 bytes at least";
const keyed = await startMock({ rate: 240, secret });
const keyedEmpty = await startMock({ secret });

/** Brings a token as a person would. */
async function give(page, claims = {}) {
  await page.locator("#token-field").fill(mint(secret, { sub: "ops", ...claims }));
  await page.getByRole("button", { name: "use it" }).click();
  await wait(1_500);
}

async function shot(
  name,
  { url = busy.url, path = "/", size = DESK, scheme = "dark", full = false, contrast = false, act } = {},
) {
  if (only.length > 0 && !only.some((each) => name.startsWith(each))) return;
  const browser = await openBrowser({ viewport: size, colorScheme: scheme });
  const page = await browser.context.newPage();
  if (contrast) await page.addInitScript(() => localStorage.setItem("pulseboard.theme", "contrast"));
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

busy.control({ sockets: "accept", rest: "accept" });

// Several instances, and what a daemon finds not as it should be.
const THREE = { reporting: 3, expected: 3 };
const AWAY = {
  check: "store",
  level: "degraded",
  brief: "MongoDB away, 48 k events wait",
  detail:
    "store.mongodb.uri: no member of the replica set answers since 14:01:12 (connection refused); 48 k events " +
    "(31 MB, 2 min) wait on disk and are stored when it is back",
};
const GONE = {
  check: "cluster",
  level: "degraded",
  brief: "Redis gone, own numbers only",
  detail:
    "cluster.redis_url: Redis does not answer since 14:02:40; these are this instance's own numbers until it is back",
};
const CLOCK = {
  check: "clock",
  level: "degraded",
  brief: "clock 10 s off",
  detail: "this machine's clock is 10 s ahead of Redis and of 2 instances: set it (chrony, ntpd)",
};
const FULL = {
  check: "journal",
  level: "failed",
  brief: "spool full",
  detail: "the journal has reached limits.spool_bytes; events are refused meanwhile",
};
const standings = {
  "three-of-three": { nodes: THREE, notices: [] },
  "two-of-three": { nodes: { reporting: 2, expected: 3 }, notices: [] },
  "mongodb-away": { nodes: THREE, notices: [AWAY] },
  "redis-gone": { nodes: { reporting: 1, expected: 1 }, notices: [GONE] },
  "both-away": { nodes: { reporting: 1, expected: 1 }, notices: [AWAY, GONE] },
  "clock-off": { nodes: THREE, notices: [CLOCK] },
  "spool-full": { nodes: THREE, notices: [FULL, AWAY] },
};
const system = async (page) => [
  await page.getByRole("button", { name: "system", exact: true }).click(),
  await wait(4_600),
];
for (const [name, standing] of Object.entries(standings)) {
  const act = async () => {
    busy.control({ nodes: THREE });
    await wait(1_200);
    busy.control(standing);
    await wait(1_500);
  };
  for (const scheme of ["dark", "light"]) {
    await shot(`cluster-${name}-${scheme}`, { act, scheme });
    await shot(`cluster-${name}-${scheme}-phone`, { act, scheme, size: PHONE });
  }
  const opened = async (page) => [await act(), await system(page)];
  await shot(`cluster-${name}-system`, { act: opened });
  await shot(`cluster-${name}-system-phone`, { act: opened, size: PHONE, scheme: "light" });
  await shot(`cluster-${name}-wall`, { act, path: "/?wall", size: { width: 1920, height: 1080 } });
}
busy.control({ nodes: { reporting: 1, expected: 1 }, notices: [] });

// Tokens: every state on a desk and a phone, in every theme.
const paste = (text) => async (page) => {
  await page.locator("#token-field").focus();
  await page.evaluate((each) => document.execCommand("insertText", false, each), text);
  await page
    .locator("#token-field")
    .evaluate((each) =>
      each.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertFromPaste" })),
    );
  await wait(300);
};
const wrongOne = async (page) => {
  await page.locator("#token-field").fill(mint("another secret"));
  await page.getByRole("button", { name: "use it" }).click();
  await wait(700);
};
const dismissed = async (page) => [await page.keyboard.press("Escape"), await wait(300)];
const inUse = async (page) => {
  await give(page, { scope: "read ingest", site: "shop", ttlS: 9_000 });
  await page.keyboard.press("a");
  await wait(300);
};
const endsSoon = (page) => give(page, { ttlS: 200 });
const ended = async (page) => [await give(page, { ttlS: -26 }), await wait(5_000)];
const endedQuiet = async (page) => [await ended(page), await dismissed(page)];
const readOnly = (page) => give(page, { site: "shop" });
const limited = (page) => give(page, { scope: "read ingest" });
const slowed = async (page) => {
  keyed.control({ sockets: "refuse" });
  await page.reload();
  await wait(4_000);
  await give(page);
  keyed.control({ rest: "limit" });
  await wait(4_000);
};
const noSocket = async (page) => {
  keyed.control({ sockets: "refuse" });
  await page.reload();
  await wait(4_000);
  await give(page);
  await page.getByRole("button", { name: "why?" }).click();
  await wait(300);
};
const TOKEN_STATES = {
  "token-needed": { act: async () => {} },
  "token-pasted": { act: paste(mint(secret, { sub: "ops", site: "shop", ttlS: 90 * 86_400 })) },
  "token-secret": { act: paste("5f".repeat(32)) },
  "token-wrong": { act: wrongOne },
  "token-dismissed": { act: dismissed },
  "token-in-use": { act: inUse },
  "token-ends-soon": { act: endsSoon },
  "token-ended": { act: ended },
  "token-ended-quiet": { act: endedQuiet },
  "token-read-only": { act: readOnly, full: true },
  "token-limited": { act: limited, full: true },
  "token-slowed": { act: slowed },
  "no-socket": { act: noSocket },
  "token-first-run": { url: keyedEmpty.url, act: (page) => give(page, { scope: "read ingest" }) },
};
const LOOKS = {
  dark: {},
  light: { scheme: "light" },
  contrast: { contrast: true },
  phone: { size: PHONE },
  "phone-light": { size: PHONE, scheme: "light" },
};
for (const [state, options] of Object.entries(TOKEN_STATES)) {
  for (const [look, more] of Object.entries(LOOKS)) {
    await shot(`${state}-${look}`, { url: keyed.url, ...options, ...more });
    keyed.control({ sockets: "accept", rest: "accept" });
  }
}
await shot("wall-token", {
  url: keyed.url,
  path: "/?wall",
  act: endsSoon,
  size: { width: 1920, height: 1080 },
});
await shot("wall-ended-phone", { url: keyed.url, path: "/?wall", act: endedQuiet, size: PHONE });
await shot("wall-ended", {
  url: keyed.url,
  path: "/?wall",
  act: endedQuiet,
  size: { width: 1920, height: 1080 },
});

busy.close();
empty.close();
keyed.close();
keyedEmpty.close();
process.exit(0);
