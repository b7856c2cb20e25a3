// A browser page under watch: whatever it complains about, asks from elsewhere, or violates fails its test.
import assert from "node:assert/strict";
import { after } from "node:test";
import { openBrowser } from "../dev/browser.mjs";

const DESK = { width: 1440, height: 900 };

const open = new Set();
// A test that fails before it closes its browser leaves none behind.
after(() => Promise.all([...open].map((browser) => browser.close())));

/** Opens `path` of the target; `close` ends the browser and checks that the page never complained. */
export async function openPage(target, path = "/", options = {}) {
  const { before, ...context } = options;
  const browser = await openBrowser({ viewport: DESK, timezoneId: "UTC", ...context });
  open.add(browser);
  const page = await browser.context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const text = message.text();
    // A daemon that is down on purpose is the browser's news, not the page's fault.
    if (message.type() === "error" && !/WebSocket connection|Failed to load resource/.test(text)) {
      complaints.push(`console: ${text}`);
    }
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.host !== new URL(target.url).host) complaints.push(`asked ${url}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  if (before) await before(page);
  await page.goto(target.url + path);
  return {
    page,
    close: async () => {
      open.delete(browser);
      await browser.close();
      assert.deepEqual(complaints, []);
    },
  };
}

/** Waits until the bar says something. */
export function says(page, text) {
  return page.locator(".status", { hasText: text }).waitFor({ timeout: 45_000 });
}

/** Holds the picture and answers its tick, once it is drawn. */
export async function hold(page) {
  await page.keyboard.press("Space");
  await says(page, "paused");
  return tickOf(page);
}

/** Lets the browser draw so many times: what it tells a frame later has been told. */
export function frames(page, many) {
  return page.evaluate(async (left) => {
    for (let i = 0; i < left; i++) await new Promise(requestAnimationFrame);
  }, many);
}

export const tickOf = async (page) => Number(await page.locator("main").getAttribute("data-tick"));

/** Waits for the tick after the one on screen. */
export async function nextTick(page, ticks = 1) {
  const before = await tickOf(page);
  await page.waitForFunction(
    (least) => Number(document.querySelector("main")?.dataset.tick) >= least,
    before + ticks,
  );
}

/** Columns of pixels in a chart, from its first drawn one to its last, that lack the line's colour. */
export function holes(page, chart, token) {
  return page
    .locator("figure", { has: page.getByRole("heading", { name: chart }) })
    .evaluate((figure, name) => {
      const canvas = figure.querySelector("canvas");
      const probe = document.body.appendChild(document.createElement("span"));
      probe.style.color = `var(--${name})`;
      const [r, g, b] = getComputedStyle(probe).color.match(/\d+/g).map(Number);
      probe.remove();
      const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const drawn = [];
      for (let x = 0; x < width; x++) {
        let found = false;
        for (let y = 0; y < height && !found; y++) {
          const i = (y * width + x) * 4;
          found =
            data[i + 3] > 200 &&
            Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 60;
        }
        drawn.push(found);
      }
      const first = drawn.indexOf(true);
      const last = drawn.lastIndexOf(true);
      return { span: last - first, holes: drawn.slice(first, last).filter((each) => !each).length };
    }, token);
}

/** Text on the page whose contrast with what is behind it is under 4.5 to 1. */
export function faintText(page) {
  return page.evaluate(() => {
    const canvas = document.createElement("canvas");
    canvas.width = 1;
    canvas.height = 1;
    const ctx = canvas.getContext("2d", { willReadFrequently: true });
    /** Paints colours over each other and answers what one sees. */
    const seen = (...layers) => {
      ctx.clearRect(0, 0, 1, 1);
      for (const layer of layers) {
        ctx.fillStyle = layer;
        ctx.fillRect(0, 0, 1, 1);
      }
      return [...ctx.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = (rgb) => {
      const [r, g, b] = rgb.map((c) =>
        c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faint = [];
    for (const element of document.querySelectorAll("body *")) {
      const text = [...element.childNodes]
        .filter((node) => node.nodeType === 3)
        .map((node) => node.textContent.trim());
      const box = element.getBoundingClientRect();
      if (text.join("") === "" || box.width < 2 || element.closest(".hidden, noscript")) continue;
      if (
        element.checkVisibility &&
        !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
      )
        continue;
      if (element.closest(":disabled")) continue;
      const layers = [];
      for (let each = element; each; each = each.parentElement)
        layers.unshift(getComputedStyle(each).backgroundColor);
      const behind = seen(...layers);
      const front = seen(...layers, getComputedStyle(element).color);
      const [high, low] = [luminance(front), luminance(behind)].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < 4.5) faint.push(`${text.join(" ")} (${element.className}): ${ratio.toFixed(2)}`);
    }
    return faint;
  });
}
