// What is said beside the numbers: instances, and what a daemon finds not as it should be. The daemon's own words come
// from one whose MongoDB nobody started; states that take several instances are the mock's.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startMock } from "../dev/mock.mjs";
import { faintText, frames, hold, openPage, says } from "./page.mjs";
import { real, someEvents, startTarget } from "./target.mjs";

const AWAY = {
  check: "store",
  level: "degraded",
  brief: "MongoDB away, 48 k events wait",
  detail: "store.mongodb.uri: no server answers; events wait in the journal",
};
const GONE = {
  check: "cluster",
  level: "degraded",
  brief: "Redis gone, own numbers only",
  detail: "cluster.redis_url: Redis does not answer; these are this instance's own numbers until it is back",
};
const THREE = { reporting: 3, expected: 3 };

describe("a daemon whose MongoDB is away", { skip: !real }, () => {
  let target;
  before(async () => {
    const uri = "mongodb://127.0.0.1:1/pulseboard?serverSelectionTimeoutMS=300";
    const settings = { PULSEBOARD_STORE__KIND: "mongodb", PULSEBOARD_STORE__MONGODB__URI: uri };
    target = await startTarget({ settings });
    await target.post(someEvents(50));
  });
  after(() => target.stop());

  test("says so in the line under the bar, and in full with its figures behind it", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    const notice = page.locator(".subbar button.notice");
    await notice.waitFor();
    assert.match(await notice.innerText(), /^! /);
    await notice.click();
    const panel = page.getByRole("dialog", { name: "System" });
    await panel.getByText("store.mongodb.uri").waitFor();
    const stored = panel.locator("div", { has: page.getByText("to be stored", { exact: true }) }).last();
    await stored.getByText(/\d+ events/).waitFor();
    await panel.getByText("/s", { exact: false }).first().waitFor();
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "hidden" });
    await page.keyboard.press("s");
    await panel.waitFor();
    await close();
  });

  test("says so to a screen reader once, and on the wall", async () => {
    const { page, close } = await openPage(target, "/?wall");
    await page.locator(".wall .notice").waitFor();
    const said = page.locator(".wall > header [role=status]", { hasText: /away|store/ });
    await said.waitFor({ state: "attached" });
    const before = await said.textContent();
    // Its number is renewed meanwhile.
    await target.post(someEvents(500));
    await page.locator(".wall .notice", { hasText: "550" }).waitFor();
    assert.equal(await said.textContent(), before);
    await close();
  });

  test("says so over REST where there is no socket", async () => {
    const { page, close } = await openPage(target, "/", {
      before: (each) =>
        each.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1013, reason: "blocked" })),
    });
    await says(page, "polling");
    await page.locator(".subbar .notice").waitFor();
    await close();
  });
});

describe("several instances", () => {
  let mock;
  before(async () => {
    mock = await startMock({ rate: 60 });
  });
  after(() => mock.close());

  const counted = (page, text, part = "") => page.locator(`.instances${part}`, { hasText: text }).waitFor();
  const noticed = (page, many) =>
    page.waitForFunction((n) => document.querySelectorAll(".subbar .notice").length === n, many);

  test("are counted where there is more than one, and one that lost the others says so", async () => {
    mock.control({ nodes: { reporting: 1, expected: 1 }, notices: [] });
    const { page, close } = await openPage(mock);
    await says(page, "live");
    assert.equal(await page.locator(".instances").count(), 0);
    mock.control({ nodes: { reporting: 2, expected: 3 } });
    await counted(page, /^2 of 3 instances$/, ".missing");
    mock.control({ nodes: THREE });
    await counted(page, /^3 of 3 instances$/, ":not(.missing)");
    mock.control({ nodes: { reporting: 1, expected: 1 }, notices: [GONE] });
    await counted(page, /^alone$/, ".missing");
    await close();
  });

  test("of which some are missing are said by every chart, for as long as the seconds are in it", async (t) => {
    // One of its own: what others' seconds lacked is no part of it.
    const mock = await startMock({ rate: 60 });
    t.after(() => mock.close());
    mock.control({ nodes: THREE });
    const { page, close } = await openPage(mock);
    await says(page, "live");
    const charts = page.locator("figure.chart");
    const partly = (many) =>
      page.waitForFunction(
        (n) =>
          document.querySelectorAll('figure.chart[aria-label*="with only 1 of 3 instances"]').length === n,
        many,
      );
    await partly(0);
    const places = () =>
      charts.evaluateAll((all) => all.map((each) => each.getBoundingClientRect().toJSON()));
    const well = await places();
    mock.control({ nodes: { reporting: 1, expected: 3 } });
    await counted(page, /^1 of 3 instances$/, ".missing");
    await partly(4);
    mock.control({ nodes: THREE });
    await counted(page, /^3 of 3 instances$/, ":not(.missing)");
    // They are all here again, and the seconds without them are told by who was there, and by the history.
    await partly(4);
    assert.deepEqual(await places(), well);
    await page.reload();
    await says(page, "live");
    await partly(4);
    const plot = charts.first().locator(".u-over");
    const { width, height } = await plot.boundingBox();
    // The picture is held: a tick that comes meanwhile moves what the crosshair stands on.
    await hold(page);
    // From its end leftwards until the crosshair stands on one of them.
    const said = page.locator(".chart .time:visible", { hasText: /:\d\d, 1 of 3 instances$/ });
    for (let x = width - 1; x > 0 && (await said.count()) === 0; x -= 1) {
      await plot.hover({ position: { x, y: height / 2 } });
      await frames(page, 2);
    }
    // The crosshair is all charts' own.
    assert.equal(await said.count(), 4);
    await close();
  });

  test("whose way in keeps their figures back say so, and where to look", async () => {
    mock.control({ nodes: THREE, notices: [] });
    const { page, close } = await openPage(mock, "/", {
      before: (each) => each.route("**/metrics", (route) => route.fulfill({ status: 404, body: "no" })),
    });
    await says(page, "live");
    await page.keyboard.press("s");
    const panel = page.getByRole("dialog", { name: "System" });
    await panel.getByText(/cannot be read: .* \/metrics .* daemon's own address/).waitFor();
    await close();
  });

  for (const size of [
    { width: 1440, height: 900 },
    { width: 390, height: 844 },
    { width: 320, height: 568 },
  ]) {
    test(`what is wrong comes and goes on ${size.width} by ${size.height}, and nothing moves`, async () => {
      mock.control({ nodes: THREE, notices: [] });
      const { page, close } = await openPage(mock, "/", { viewport: size });
      await says(page, "live");
      await page.locator(".instances").waitFor({ state: "attached" });
      await noticed(page, 0);
      const places = () =>
        page.locator(".topbar, .subbar, .topbar button, .kpi").evaluateAll((all) =>
          all.map((each) => {
            const { x, y, width, height } = each.getBoundingClientRect();
            return [
              each.classList[0],
              ...[y, height].map(Math.round),
              each.closest(".subbar") ? 0 : Math.round(x + width),
            ];
          }),
        );
      const well = await places();
      for (const notices of [[AWAY], [AWAY, GONE]]) {
        mock.control({ notices });
        await noticed(page, notices.length);
        assert.deepEqual(await places(), well);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${wide} px too wide`);
        // No word is cut: what is seen of a notice is all of it, inside the line.
        const cut = await page.locator(".subbar .notice:visible").evaluateAll(
          (all) =>
            all.filter((each) => {
              const { left, right } = each.getBoundingClientRect();
              const line = each.parentElement.getBoundingClientRect();
              const room = Math.min(innerWidth, line.right + 1);
              return each.scrollWidth > Math.ceil(right - left) || left < 0 || right > room;
            }).length,
        );
        assert.equal(cut, 0);
      }
      mock.control({ notices: [] });
      await noticed(page, 0);
      assert.deepEqual(await places(), well);
      await close();
    });
  }

  for (const colorScheme of ["dark", "light"]) {
    test(`what is said stands out in the ${colorScheme} theme`, async () => {
      mock.control({ nodes: { reporting: 2, expected: 3 }, notices: [AWAY, { ...GONE, level: "failed" }] });
      const { page, close } = await openPage(mock, "/", { colorScheme });
      await page.locator(".subbar .notice").first().waitFor();
      assert.deepEqual(await faintText(page), []);
      await page.keyboard.press("s");
      await page.getByText("to be stored").waitFor();
      assert.deepEqual(await faintText(page), []);
      await close();
    });
  }
});
