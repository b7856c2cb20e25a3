import { expect, test } from "vitest";
import { formatView, parseView } from "./address";
import { age, compact, count, latency, percent, rate } from "./format";
import { nextTheme } from "./preferences";
import { change, changeInPoints, summary } from "./summary";

test("numbers stand with their units", () => {
  expect(rate(1_284.2)).toBe("1,284.2");
  expect(rate(12_840.4)).toBe("12,840");
  expect(rate(1_284_000)).toBe("1.28M");
  expect(count(1_284_000)).toBe("1,284,000");
  expect(count(12_840_000)).toBe("12.84M");
  expect(percent(0.008)).toBe("0.8\u00a0%");
  expect(percent(0.0001)).toBe("<0.1\u00a0%");
  expect(percent(undefined)).toBe("–");
  expect(latency(84.3)).toBe("84\u00a0ms");
  expect(latency(4.26)).toBe("4.3\u00a0ms");
  expect(latency(12_340)).toBe("12.3\u00a0s");
  expect([0, 0.5, 500, 1_500, 2_000_000].map(compact)).toEqual(["0", "0.5", "500", "1.5k", "2M"]);
  expect([0, 59, 77, 7_500].map(age)).toEqual(["0s", "59s", "1m17s", "2h05m"]);
});

test("a change has a sign, and none where there is nothing to compare", () => {
  expect(change(110, 100)).toEqual({ sign: "▲", text: "10.0 %" });
  expect(change(50, 100)).toEqual({ sign: "▼", text: "50.0 %" });
  expect(change(5, 0)).toEqual({ sign: "▲", text: "from 0" });
  expect(change(5, null)).toBeUndefined();
  expect(change(0, 0)).toBeUndefined();
  expect(changeInPoints(1.5, 1)).toEqual({ sign: "▲", text: "0.5 pp" });
  expect(changeInPoints(1.01, 1)).toEqual({ sign: "=", text: "no change" });
});

test("a chart in a sentence", () => {
  expect(summary("events per second", [900, null, 1_900, 1_284], rate, [], 300)).toBe(
    "events per second, now 1,284.0, between 900.0 and 1,900.0 in the last 5m00s",
  );
  expect(summary("latency", [null], rate, [], 300)).toBe("latency: nothing measured in the last 5m00s");
});

test("a chart in a sentence says for how long somebody's counts are missing", () => {
  const one = { reporting: 1, expected: 3 };
  const two = { reporting: 2, expected: 3 };
  expect(summary("active users", [4, 2, 2, 4], count, [null, one, one, null], 4)).toBe(
    "active users, now 4, between 2 and 4 in the last 4s, 2s of it with only 1 of 3 instances",
  );
  expect(summary("active users", [4, 2, 4, 3], count, [null, one, null, two], 4)).toBe(
    "active users, now 3, between 2 and 4 in the last 4s, 2s of it with as few as 1 of 3 instances",
  );
});

test("the address holds the view and nothing else", () => {
  expect(parseView("?window=60s&wall")).toEqual({ window: "60s", wall: true, filter: "" });
  expect(parseView("?window=<script>")).toEqual({ window: "5s", wall: false, filter: "" });
  for (const view of [
    { window: "5s", wall: false, filter: "" },
    { window: "1s", wall: true, filter: "" },
    { window: "60s", wall: false, filter: "status=5xx" },
  ]) {
    expect(parseView(formatView(view))).toEqual(view);
  }
});

test("the theme key first shows something else, and comes back to the system's", () => {
  expect(nextTheme("auto", true)).toBe("light");
  expect(nextTheme("auto", false)).toBe("dark");
  expect(nextTheme("light", true)).toBe("contrast");
  expect(nextTheme("contrast", true)).toBe("auto");
});
