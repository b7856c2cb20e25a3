import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { hold, holes, nextTick, openPage, says, tickOf } from "./page.mjs";
import { someEvents, startTarget, steadyTraffic } from "./target.mjs";

describe("a connection that is lost", () => {
  let target;
  let calm;
  before(async () => {
    target = await startTarget();
    calm = steadyTraffic(target);
  });
  after(async () => {
    await calm();
    await target.stop();
  });

  test("a restarted daemon is found again, and the charts have no hole", async () => {
    const asked = [];
    const { page, close } = await openPage(target, "/?window=1s", {
      before: (each) =>
        each.on("websocket", (socket) =>
          socket.on("framesent", ({ payload }) => asked.push(JSON.parse(payload.toString()))),
        ),
    });
    await says(page, "live");
    await nextTick(page, 5);

    await target.down();
    await says(page, "reconnecting");
    await page.locator("main.stale").waitFor();
    assert.match(await page.locator(".status").innerText(), /attempt \d+\), last seen \d\d:\d\d:\d\d/);
    const last = await tickOf(page);
    await target.up();
    await says(page, "live");
    await page.locator("main:not(.stale)").waitFor();

    const resumes = asked.filter((message) => message.op === "subscribe" && message.since);
    // From the newest tick it had; a poll just before the socket opened may have brought one more.
    const since = resumes.at(-1)?.since["window:1s"];
    assert.ok(since >= last, `resumed from ${since}, had ${last}`);

    // Seconds nobody was up for are gaps, until an event of theirs comes: then they are as real as any other.
    const now = Math.floor(Date.now() / 1000);
    for (let tick = last - 1; tick <= now; tick++)
      await target.post(someEvents(3, { timestamp: tick * 1000 + 500 }));
    await nextTick(page, 4);
    const { span, holes: found } = await holes(page, "active users", "users");
    assert.ok(span > 15, `a line over ${span} px`);
    assert.equal(found, 0);
    await close();
  });

  test("without a socket the page polls REST, says so, sends over REST, and comes back", async () => {
    let blocked = true;
    const { page, close } = await openPage(target, "/", {
      before: (each) =>
        each.routeWebSocket(/\/ws$/, (socket) => {
          if (blocked) socket.close({ code: 1013, reason: "blocked" });
          else socket.connectToServer();
        }),
    });
    await says(page, "polling");
    await says(page, "every 2 s");
    await nextTick(page, 3);
    const { aggregate } = await target.aggregates("5s", await tickOf(page));
    assert.equal(aggregate.window, "5s");

    const panel = page.locator(".demo");
    await panel.getByText("over REST").waitFor();
    await panel.getByRole("button", { name: "send" }).click();
    await panel.locator("dd").first().filter({ hasText: /[1-9]/ }).waitFor();
    await panel.getByRole("button", { name: "stop" }).click();

    blocked = false;
    await page.getByRole("button", { name: "try now" }).click();
    await says(page, "live");
    await panel.getByText("over the socket").waitFor();
    await close();
  });

  test("what is refused is said, with what to do", async () => {
    const { page, close } = await openPage(target, "/", {
      before: async (each) => {
        await each.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1006 }).catch?.(() => {}));
        await each.route(/\/api\/aggregates/, (route) =>
          route.fulfill({
            status: 403,
            contentType: "application/problem+json",
            body: JSON.stringify({
              status: 403,
              code: "dev_mode_is_local",
              detail: "only loopback is answered",
            }),
          }),
        );
      },
    });
    const dialog = page.getByRole("alert");
    await dialog.waitFor();
    assert.match(await dialog.innerText(), /pulseboardd --init-auth[\s\S]*dev_mode_is_local/);
    await close();
  });
});

describe("two pages", () => {
  test("show the same numbers for the same tick, late events among them", async () => {
    const target = await startTarget();
    const calm = steadyTraffic(target, 30);
    const one = await openPage(target);
    await says(one.page, "live");
    await nextTick(one.page, 3);
    // Events for seconds that were already sent: corrections for the first page, history for the second.
    const now = Math.floor(Date.now() / 1000);
    await target.post(someEvents(40, { timestamp: (now - 4) * 1000 }));
    await nextTick(one.page, 2);
    const two = await openPage(target);
    await says(two.page, "live");
    await nextTick(two.page, 2);
    await calm();
    const pages = [one.page, two.page];
    // The last corrections are in.
    await Promise.all(pages.map((page) => nextTick(page, 2)));
    let held = await Promise.all(pages.map(hold));
    // Held in two different seconds: once more, right after a tick.
    while (held[0] !== held[1]) {
      await Promise.all(pages.map((page) => page.keyboard.press("Space")));
      await Promise.all(pages.map((page) => says(page, "live")));
      await Promise.all(pages.map((page) => nextTick(page)));
      held = await Promise.all(pages.map(hold));
    }
    const read = (page) =>
      page
        .locator("main")
        .evaluate((main) => [main.querySelector(".kpis").innerText, main.querySelector(".routes").innerText]);
    assert.deepEqual(await read(one.page), await read(two.page));
    const charts = (page) => page.locator("figure").evaluateAll((all) => all.map((each) => each.ariaLabel));
    assert.deepEqual(await charts(one.page), await charts(two.page));
    await one.close();
    await two.close();
    await target.stop();
  });
});
