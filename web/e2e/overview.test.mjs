import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { hold, nextTick, openPage, says, tickOf } from "./page.mjs";
import { someEvents, startTarget, steadyTraffic } from "./target.mjs";

const number = (text) => Number(text.replace(/[^0-9.]/g, ""));

describe("a daemon that never saw an event", () => {
  let target;
  before(async () => {
    target = await startTarget();
  });
  after(() => target.stop());

  test("says how to send the first one, and moves once it is sent", async () => {
    const { page, close } = await openPage(target);
    await page.getByRole("heading", { name: "No events yet" }).waitFor();
    assert.match(
      await page.locator(".copyline code").first().textContent(),
      new RegExp(`curl ${target.url}/api/events`),
    );
    const title = await page.title();
    assert.match(title, /^0\.0\/s - pulseboard$/);

    await target.post(someEvents(20));
    await page.getByRole("heading", { name: "No events yet" }).waitFor({ state: "detached" });
    await page.getByRole("rowheader", { name: "/checkout" }).waitFor();
    await close();
  });

  test("the copied curl line, run in a shell, is counted", async () => {
    const fresh = await startTarget();
    const { page, close } = await openPage(fresh, "/", {
      permissions: ["clipboard-read", "clipboard-write"],
    });
    await page.getByRole("button", { name: "Copy the line from a shell" }).click();
    await page.getByText("copied").waitFor();
    const line = await page.evaluate(() => navigator.clipboard.readText());
    await promisify(execFile)("sh", ["-c", `${line} --silent --fail --show-error`]);
    await page.getByRole("rowheader", { name: "/hello" }).waitFor();
    await close();
    await fresh.stop();
  });
});

describe("a daemon under traffic", () => {
  let target;
  let calm;
  before(async () => {
    target = await startTarget();
    await target.post(someEvents(100));
    calm = steadyTraffic(target);
  });
  after(async () => {
    await calm();
    await target.stop();
  });

  test("the page shows the numbers REST gives for the same tick", async () => {
    // Quiet: an event that is counted just after a frame would be in REST's numbers for it, and not in the picture.
    const quiet = await startTarget();
    for (let i = 0; i < 3; i++) await quiet.post(someEvents(67));
    const { page, close } = await openPage(quiet, "/?window=60s");
    await says(page, "live");
    await nextTick(page, 2);
    const tick = await hold(page);
    const { aggregate } = await quiet.aggregates("60s", tick);
    assert.deepEqual([aggregate.tick, aggregate.events], [tick, 201]);

    const tiles = await page
      .locator(".kpi .big")
      .evaluateAll((all) => all.map((each) => each.firstChild.textContent));
    assert.ok(
      Math.abs(number(tiles[0]) - aggregate.eventsPerSecond) <= 0.051,
      `${tiles[0]} ${aggregate.eventsPerSecond}`,
    );
    assert.equal(number(tiles[1]), aggregate.activeUsers);
    assert.ok(Math.abs(number(tiles[2]) - aggregate.errorRate * 100) <= 0.051);
    assert.ok(Math.abs(number(tiles[3]) - aggregate.latencyMs.p95) <= 0.51);

    const rows = await page
      .locator(".routes tbody tr")
      .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
    assert.deepEqual(
      rows.map((row) => row[0]),
      aggregate.topRoutes.map((row) => row.route),
    );
    aggregate.topRoutes.forEach((row, i) => {
      assert.ok(Math.abs(number(rows[i][1]) - row.events / 60) <= 0.051, row.route);
    });

    const classes = await page
      .locator(".classes dl div")
      .evaluateAll((all) =>
        Object.fromEntries(
          all.map((row) => [
            row.querySelector("dt").textContent.slice(0, 3),
            row.querySelector("dd").textContent,
          ]),
        ),
      );
    for (const name of ["2xx", "3xx", "4xx", "5xx"])
      assert.equal(number(classes[name]), aggregate.statusClasses[name] ?? 0);
    await close();
    await quiet.stop();
  });

  test("a route is text, whatever it says, and a long one does not widen the page", async () => {
    const route = `/<img src=x onerror=document.title="owned">/${"long".repeat(80)}`;
    await target.post(someEvents(200, { route }));
    const { page, close } = await openPage(target, "/?window=60s");
    await page.getByRole("rowheader", { name: "/<img" }).waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    const [width, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(width <= room, `${width} in ${room}`);
    await close();
  });

  test("the tab's title goes on while the page is hidden, and nothing is drawn", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    await page.evaluate(async () => {
      // What a browser does to a hidden page: it says so, and gives no frames. Those asked for before still come.
      Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
      const drawn = window.requestAnimationFrame.bind(window);
      window.requestAnimationFrame = () => 0;
      for (let i = 0; i < 2; i++) await new Promise(drawn);
    });
    const [tick, title] = [await tickOf(page), await page.title()];
    await target.post(someEvents(777));
    await page.waitForFunction((before) => document.title !== before, title, { polling: 200 });
    assert.equal(await tickOf(page), tick);
    await close();
  });

  test("pause holds the picture, says how far behind, and goes back to live", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    await page.getByRole("button", { name: "pause" }).click();
    await says(page, "paused");
    const held = await tickOf(page);
    const picture = await page.locator(".kpis").innerText();
    await page.locator(".status", { hasText: /paused \d\d:\d\d:\d\d \([23]s behind\)/ }).waitFor();
    assert.equal(await tickOf(page), held);
    assert.equal(await page.locator(".kpis").innerText(), picture);
    assert.match(await page.title(), /^‖ /);
    await page.getByRole("button", { name: "resume" }).click();
    await says(page, "live");
    assert.ok((await tickOf(page)) > held);
    await close();
  });

  test("a held picture stays at its moment when another window is chosen", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    await nextTick(page, 2);
    const held = await hold(page);
    await page.keyboard.press("3");
    await page.locator(".kpi", { hasText: "last 60s" }).first().waitFor();
    await says(page, "paused");
    assert.equal(await tickOf(page), held);
    const { aggregate } = await target.aggregates("60s", held);
    const shown = await page
      .locator(".kpi .big")
      .nth(1)
      .evaluate((each) => each.firstChild.textContent);
    assert.equal(number(shown), aggregate.activeUsers);
    await close();
  });

  test("the address holds the window: by key, by click, by link", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    await page.keyboard.press("3");
    await page.waitForURL("**/?window=60s");
    await page.locator(".kpi", { hasText: "last 60s" }).first().waitFor();
    await page.getByRole("radio", { name: "1s" }).check();
    await page.waitForURL("**/?window=1s");
    await page.reload();
    await page.locator(".kpi", { hasText: "last 1s" }).first().waitFor();
    await page.keyboard.press("2");
    await page.waitForURL((url) => url.search === "");
    await close();
  });

  test("the wall board shows four numbers and no controls, and esc leaves it", async () => {
    const { page, close } = await openPage(target, "/?wall&window=1s");
    await says(page, "live");
    assert.equal(await page.locator(".huge").count(), 4);
    assert.equal(await page.locator(".controls").count(), 0);
    const px = await page
      .locator(".huge")
      .first()
      .evaluate((each) => Number.parseFloat(getComputedStyle(each).fontSize));
    assert.ok(px >= 100, `${px} px`);
    await page.keyboard.press("Escape");
    await page.waitForURL("**/?window=1s");
    await page.locator(".overview").waitFor();
    await close();
  });

  test("help opens with ? and closes with esc", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys and words" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await close();
  });

  test("the demo panel sends over the socket, and its error spell shows as errors", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    const panel = page.locator(".demo");
    await panel.getByRole("slider").fill("6");
    await panel.getByRole("button", { name: /error spell/ }).click();
    await panel.locator("dd").first().filter({ hasText: /[1-9]/ }).waitFor();
    await panel.getByText("over the socket").waitFor();
    await page
      .locator(".routes tr", { hasText: "/checkout" })
      .locator(".errors.bad")
      .waitFor({ timeout: 15_000 });
    await panel.getByRole("button", { name: "stop" }).click();
    assert.equal(await panel.locator("dd").nth(2).textContent(), "0");
    await close();
  });
});
