import { expect, test } from "vitest";
import { filterOf, roomOf, windowOf } from "../wire/rooms";
import { formatView, parseView } from "./address";
import { narrowed, term, termsOf, tidy, without } from "./filter";

test("an expression comes apart where the daemon takes it apart", () => {
  expect(termsOf('  route=/a   status=5xx site="two words" type=a\\ b ')).toEqual([
    "route=/a",
    "status=5xx",
    'site="two words"',
    "type=a\\ b",
  ]);
  expect(termsOf('route="\\"quoted\\" inside" error=true')).toEqual([
    'route="\\"quoted\\" inside"',
    "error=true",
  ]);
  expect(termsOf("")).toEqual([]);
  // What is no expression is left for the daemon to complain about.
  expect(tidy(' route="open  end\\')).toBe('route="open  end\\');
});

test("a click writes any route, and comes in the place of the one before", () => {
  expect(term("route", "/shop/*")).toBe("route=/shop/\\*");
  expect(term("route", '/a "b"\\')).toBe('route="/a \\"b\\"\\\\"');
  expect(narrowed("route=/a status=5xx", "route", "/b")).toBe("status=5xx route=/b");
  expect(termsOf(narrowed("", "route", "GET /x y"))).toHaveLength(1);
  expect(without("status=5xx route=/b", "status=5xx")).toBe("route=/b");
});

test("a room is its window and its filter", () => {
  expect(roomOf("5s", "")).toBe("window:5s");
  const room = roomOf("60s", "route=/a?b=c");
  expect(room).toBe("window:60s?filter=route=/a?b=c");
  expect([windowOf(room), filterOf(room), filterOf("window:5s")]).toEqual(["60s", "route=/a?b=c", ""]);
});

test("the address holds the filter, whatever is in it", () => {
  const view = { window: "1s", wall: true, filter: 'route="/a b&c=d#é" status=5xx' };
  const search = formatView(view);
  expect(search).not.toMatch(/[ "#é]/);
  expect(parseView(search)).toEqual(view);
  expect(formatView({ window: "5s", wall: false, filter: "route=/checkout" })).toBe(
    "?filter=route=/checkout",
  );
  expect(parseView(`?filter=${"x".repeat(2_000)}`).filter).toBe("");
});
