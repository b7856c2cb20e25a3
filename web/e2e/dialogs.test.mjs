// Dialogs: when they open and close, where the focus goes then, and what is said meanwhile.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startMock } from "../dev/mock.mjs";
import { faintText, frames, openPage, says } from "./page.mjs";
import { someEvents, startTarget, steadyTraffic } from "./target.mjs";
import { dialogOf, enter, give, LEEWAY_S } from "./token.mjs";

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

describe("the token's dialog", () => {
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
    await enter(page, target.token({ ttlS: 10 - LEEWAY_S }));
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

/** Where the focus is, in the words of who has it. */
const focused = (page) =>
  page.evaluate(() => {
    const at = document.activeElement;
    return at === document.body ? "nowhere" : at.ariaLabel || at.textContent.trim() || at.id;
  });
const focusOn = (page, name) =>
  page.waitForFunction((wanted) => {
    const at = document.activeElement;
    return wanted === (at.ariaLabel || at.textContent.trim() || at.id);
  }, name);

describe("keys around a dialog", () => {
  let mock;
  before(async () => {
    mock = await startMock({ rate: 30 });
  });
  after(() => mock.close());

  test("the key after escape is the page's, however soon it comes", async () => {
    const { page, close } = await openPage(mock);
    await says(page, "live");
    await page.keyboard.press("?");
    await dialogOf(page, "Keys and words").waitFor();
    await page.evaluate(() => {
      const dialog = document.querySelector("dialog.help");
      const closed = new MutationObserver(() => {
        if (dialog.open) return;
        closed.disconnect();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "s", bubbles: true }));
      });
      closed.observe(dialog, { attributes: true, attributeFilter: ["open"] });
    });
    await page.keyboard.press("Escape");
    await dialogOf(page, "System").waitFor();
    await frames(page, 10);
    assert.ok(await dialogOf(page, "System").isVisible());
    await close();
  });

  test("the focus goes back to what opened it", async () => {
    const { page, close } = await openPage(mock);
    await says(page, "live");
    for (const [button, dialog] of [
      ["Help", "Keys and words"],
      ["system", "System"],
    ]) {
      await page.getByRole("button", { name: button, exact: true }).focus();
      await page.keyboard.press("Enter");
      await dialogOf(page, dialog).waitFor();
      await page.keyboard.press("Escape");
      await dialogOf(page).waitFor({ state: "hidden" });
      assert.equal(await focused(page), button);
    }
    // By a key: to the page, as it was.
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("?");
    await dialogOf(page).waitFor();
    await page.keyboard.press("Escape");
    await dialogOf(page).waitFor({ state: "hidden" });
    assert.equal(await focused(page), "nowhere");
    await close();
  });

  test("where what opened it is gone by then, the focus goes to one that stays", async () => {
    const notice = { check: "store", level: "degraded", brief: "MongoDB away", detail: "no server answers" };
    mock.control({ notices: [notice] });
    const { page, close } = await openPage(mock);
    await page.locator("button.notice").focus();
    await page.keyboard.press("Enter");
    const panel = dialogOf(page, "System");
    await panel.getByText("no server answers").waitFor();
    mock.control({ notices: [] });
    await panel.getByText("All is well.", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "hidden" });
    assert.equal(await focused(page), "system");
    await close();
  });

  test("what changes behind an open dialog is told in it", async () => {
    mock.control({ notices: [] });
    const { page, close } = await openPage(mock);
    await says(page, "live");
    await page.keyboard.press("?");
    const dialog = dialogOf(page, "Keys and words");
    await dialog.waitFor();
    const said = dialog.getByRole("status");
    assert.deepEqual(await said.allTextContents(), ["", ""]);
    mock.control({ notices: [{ check: "store", level: "degraded", brief: "MongoDB away", detail: "" }] });
    await said.filter({ hasText: "MongoDB away" }).waitFor({ state: "attached" });
    mock.control({ notices: [] });
    await said.filter({ hasText: "all is well" }).waitFor({ state: "attached" });
    mock.control({ sockets: "refuse", rest: "refuse" });
    await said.filter({ hasText: "reconnecting" }).waitFor({ state: "attached" });
    mock.control({ sockets: "accept", rest: "accept" });
    await said.filter({ hasText: "live" }).waitFor({ state: "attached" });
    await close();
  });
});

describe("the focus", () => {
  test("stays in the page when the token it asked for is taken", async () => {
    const { page, close } = await openPage(target);
    await dialogOf(page).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "give a token" }).focus();
    await page.keyboard.press("Enter");
    await enter(page, target.token());
    await page.getByRole("button", { name: "give a token" }).waitFor({ state: "detached" });
    await focusOn(page, "Access");
    await close();
  });

  test("goes back to where it was before the first of two dialogs", async () => {
    const { page, close } = await openPage(target);
    await enter(page, target.token({ ttlS: 10 - LEEWAY_S }));
    await page.getByRole("button", { name: "system", exact: true }).focus();
    await page.keyboard.press("Enter");
    await dialogOf(page, "System").waitFor();
    await dialogOf(page, "The token has ended").waitFor();
    await page.keyboard.press("Escape");
    await dialogOf(page).waitFor({ state: "hidden" });
    assert.equal(await focused(page), "system");
    await close();
  });

  test("goes from a chip that is taken out to the field", async () => {
    const { page, close } = await openPage(target, "/?filter=route=/search");
    await enter(page, target.token());
    await page.getByRole("button", { name: "Filter route=/search. Take it out" }).focus();
    await page.keyboard.press("Enter");
    await focusOn(page, "Filter");
    await close();
  });

  test("stays on its route when routes change places", async () => {
    const quiet = await startTarget();
    const send = (route, n) => quiet.post(someEvents(n, { route }));
    await send("/a", 20);
    await send("/b", 10);
    const { page, close } = await openPage(quiet, "/?window=60s");
    await page.getByRole("button", { name: "/b", exact: true }).focus();
    const first = page.locator(".routes tbody tr").first();
    await first.filter({ hasText: "/a" }).waitFor();
    await send("/b", 30);
    await first.filter({ hasText: "/b" }).waitFor();
    assert.equal(await focused(page), "/b");
    await send("/a", 50);
    await first.filter({ hasText: "/a" }).waitFor();
    assert.equal(await focused(page), "/b");
    await close();
    await quiet.stop();
  });
});
