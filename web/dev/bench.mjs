// What drawing costs: eight charts (four with axes, four small) fed a new tick every animation frame, sixty times
// what a daemon sends. Prints frames a second and the main thread's share. `npm run bench`
import { openBrowser } from "./browser.mjs";
import { startMock } from "./mock.mjs";
import { mergePatch, range } from "./model.mjs";
import { eventsOf } from "./traffic.mjs";

const SECONDS = 6;
const FRAMES = 60 * (SECONDS + 4);

const mock = await startMock({ rate: 60 });
const { model } = mock;
const first = Math.floor(Date.now() / 1000) - 1_000;
for (const tick of range(first - 310, first + FRAMES)) {
  for (const event of eventsOf(tick, 60)) model.add(event, tick * 1000 + 999);
}

// The frames are made beforehand: what is measured is the page.
const snapshot = {
  op: "snapshot",
  room: "window:5s",
  tick: first,
  aggregate: model.aggregate("5s", first),
  history: model.history("5s", range(first - 299, first)),
  historyFrom: first - 299,
  lagged: 0,
};
const deltas = range(first + 1, first + FRAMES).map((tick) => ({
  op: "delta",
  room: "window:5s",
  tick,
  base: tick - 1,
  aggregate: mergePatch(model.aggregate("5s", tick - 1), model.aggregate("5s", tick)),
}));

const browser = await openBrowser({ viewport: { width: 1440, height: 1000 } });
const page = await browser.context.newPage();
await page.addInitScript(
  ({ snapshot, deltas }) => {
    // A socket that is the bench: a frame of data for every frame of the screen.
    window.WebSocket = class {
      static OPEN = 1;
      readyState = 1;
      constructor() {
        setTimeout(() => {
          this.say({
            op: "welcome",
            protocol: 1,
            node: "bench",
            tick: snapshot.tick,
            windows: ["5s"],
            auth: "dev",
            scope: "admin",
            limits: {},
          });
          this.say(snapshot);
        });
        window.go = () => {
          const next = () => {
            const delta = deltas.shift();
            if (delta) this.say(delta);
            if (delta) requestAnimationFrame(next);
          };
          requestAnimationFrame(next);
        };
      }
      say(message) {
        this.onmessage?.({ data: JSON.stringify(message) });
      }
      send() {}
      close() {}
    };
  },
  { snapshot, deltas },
);
await page.goto(mock.url);
await page.locator(".kpi .big").first().filter({ hasText: /\d/ }).waitFor();
const cdp = await browser.context.newCDPSession(page);
await cdp.send("Performance.enable");
const metrics = async () =>
  Object.fromEntries(
    (await cdp.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]),
  );

const count = () =>
  page.evaluate(
    (seconds) =>
      new Promise((done) => {
        let frames = 0;
        let longest = 0;
        let last = performance.now();
        const end = last + seconds * 1000;
        const frame = (now) => {
          frames += 1;
          longest = Math.max(longest, now - last);
          last = now;
          if (now < end) requestAnimationFrame(frame);
          else done({ perSecond: frames / seconds, longestMs: longest });
        };
        requestAnimationFrame(frame);
      }),
    SECONDS,
  );

const idle = await count();
await page.evaluate(() => window.go());
await page.waitForTimeout(500);
const before = await metrics();
const tick = Number(await page.locator("main").getAttribute("data-tick"));
const moving = await count();
const after = await metrics();
const ticks = Number(await page.locator("main").getAttribute("data-tick")) - tick;

const spent = (name) => (((after[name] - before[name]) * 1000) / ticks).toFixed(2);
console.log(`idle:   ${idle.perSecond.toFixed(1)} frames/s`);
console.log(
  `moving: ${moving.perSecond.toFixed(1)} frames/s, longest frame ${moving.longestMs.toFixed(1)} ms, ${ticks} ticks drawn`,
);
console.log(
  `a tick: ${spent("TaskDuration")} ms of main thread, ${spent("ScriptDuration")} ms of it script, ${spent("LayoutDuration")} ms layout`,
);

await browser.close();
mock.close();
process.exit(0);
