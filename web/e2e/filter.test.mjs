import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { frames, hold, holes, nextTick, openPage, says, tickOf } from "./page.mjs";
import { real, someEvents, startTarget, steadyTraffic } from "./target.mjs";

const number = (text) => Number(text.replace(/[^0-9.]/g, ""));

describe("a filter", { skip: !real }, () => {
  let target;
  let calm;
  before(async () => {
    target = await startTarget();
    await target.post(someEvents(120));
    calm = steadyTraffic(target, 50);
  });
  after(async () => {
    await calm();
    await target.stop();
  });

  const chips = (page) => page.locator(".chip span").allTextContents();
  const routes = (page) => page.locator(".routes tbody th").allTextContents();

  test("by a click on a route narrows every number to it, and REST agrees", async () => {
    // Quiet: an event that is counted just after a frame would be in REST's numbers for it, and not in the picture.
    const quiet = await startTarget();
    await quiet.post(someEvents(120));
    const { page, close } = await openPage(quiet, "/?window=60s");
    await says(page, "live");
    await nextTick(page, 2);
    await page.getByRole("button", { name: "/checkout", exact: true }).click();
    await page.waitForURL("**/?window=60s&filter=route=/checkout");
    await page.locator("main:not(.stale)").waitFor();
    await page.waitForFunction(() => document.querySelectorAll(".routes tbody tr").length === 1);
    assert.deepEqual(await chips(page), ["route=/checkout"]);
    await nextTick(page);
    const tick = await hold(page);
    const query = new URLSearchParams({ window: "60s", filter: "route=/checkout", at: String(tick) });
    const { aggregate } = await (await fetch(`${quiet.url}/api/aggregates?${query}`)).json();
    assert.equal(aggregate.events, 30);
    const tiles = await page
      .locator(".kpi .big")
      .evaluateAll((all) => all.map((each) => each.firstChild.textContent));
    assert.ok(Math.abs(number(tiles[0]) - aggregate.eventsPerSecond) <= 0.051, tiles[0]);
    assert.equal(number(tiles[1]), aggregate.activeUsers);
    // Filled back: the charts show the minutes before the click too.
    assert.equal((await holes(page, "active users", "users")).holes, 0);
    await close();
    await quiet.stop();
  });

  test("is typed term after term, faster than the page draws", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    const typed = await page.evaluate(() => {
      const field = document.getElementById("filter-field");
      const say = (text) => {
        field.value = text;
        field.form.requestSubmit();
      };
      say("status=2xx");
      say("route=/search");
      // The third is begun before the first is a chip.
      field.value = "user";
      return document.querySelectorAll(".chip").length;
    });
    assert.equal(typed, 0);
    await page.waitForURL("**/?filter=status=2xx+route=/search");
    await page.waitForFunction(() => document.querySelectorAll(".chip").length === 2);
    await frames(page, 5);
    assert.equal(await page.locator("#filter-field").inputValue(), "user");
    await close();
  });

  test("grows by a click and by typing, and shrinks by its chips", async () => {
    const { page, close } = await openPage(target, "/?window=60s");
    await says(page, "live");
    await page.getByRole("button", { name: "5xx server error" }).click();
    await page.waitForURL("**/?window=60s&filter=status=5xx");
    await page.keyboard.press("/");
    await page.keyboard.type("route=/checkout");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/?window=60s&filter=status=5xx+route=/checkout");
    await page.waitForFunction(() => document.querySelectorAll(".routes tbody tr").length === 1);
    assert.deepEqual(await routes(page), ["/checkout"]);
    await page.getByRole("button", { name: "Filter status=5xx. Take it out" }).click();
    await page.waitForURL("**/?window=60s&filter=route=/checkout");
    await page.locator("#filter-field").focus();
    await page.keyboard.press("Backspace");
    await page.waitForURL("**/?window=60s");
    await page.getByRole("rowheader", { name: "/search" }).waitFor();
    await close();
  });

  test("is in the address, holds through another window, and survives a lost connection", async () => {
    const { page, close } = await openPage(target, "/?window=1s&filter=route=/search");
    await says(page, "live");
    await page.waitForFunction(() => document.querySelectorAll(".routes tbody tr").length === 1);
    await page.getByRole("radio", { name: "60s" }).check();
    await page.waitForURL("**/?window=60s&filter=route=/search");
    await page.locator(".kpi", { hasText: "last 60s" }).first().waitFor();
    assert.deepEqual(await routes(page), ["/search"]);
    await target.down();
    await says(page, "reconnecting");
    await target.up();
    await says(page, "live");
    await nextTick(page, 2);
    assert.deepEqual(await routes(page), ["/search"]);
    await close();
  });

  test("that is none is refused with its column, and the one before goes on", async () => {
    const { page, close } = await openPage(target, "/?filter=route=/search");
    await says(page, "live");
    await page.locator("#filter-field").fill("stauts=5xx");
    await page.keyboard.press("Enter");
    await page.locator(".trouble", { hasText: /no such filter: column \d+/ }).waitFor();
    assert.deepEqual(await chips(page), ["route=/search"]);
    await nextTick(page, 2);
    await says(page, "live");
    await close();

    const shared = await openPage(target, "/?filter=nonsense");
    await shared.page.locator(".trouble", { hasText: "no such filter" }).waitFor();
    await says(shared.page, "live");
    await shared.page.waitForURL((url) => url.search === "");
    await shared.close();
  });

  test("that lets nothing through says so, and is left in one step", async () => {
    const { page, close } = await openPage(target, "/?filter=route=/nowhere");
    await page.getByRole("heading", { name: "Nothing matches" }).waitFor();
    await page.getByRole("button", { name: "show everything" }).click();
    await page.getByRole("rowheader", { name: "/checkout" }).waitFor();
    await close();
  });

  test("is polled too when there is no socket", async () => {
    const { page, close } = await openPage(target, "/?filter=route=/search", {
      before: (each) =>
        each.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1013, reason: "blocked" })),
    });
    await says(page, "polling");
    await nextTick(page, 2);
    assert.deepEqual(await routes(page), ["/search"]);
    await page.locator("#filter-field").fill("nonsense");
    await page.keyboard.press("Enter");
    await page.locator(".trouble", { hasText: "no such filter" }).waitFor();
    await nextTick(page, 2);
    assert.deepEqual(await chips(page), ["route=/search"]);
    await close();
  });

  test("holds a paused picture at its moment", async () => {
    const { page, close } = await openPage(target);
    await says(page, "live");
    await nextTick(page, 3);
    const held = await hold(page);
    await page.getByRole("button", { name: "/search", exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll(".routes tbody tr").length === 1);
    await says(page, "paused");
    assert.equal(await tickOf(page), held);
    await close();
  });
});
