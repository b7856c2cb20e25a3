import { expect, test } from "vitest";
import { mergePatch } from "./mergePatch";

test("fields the patch names are replaced, the others stay", () => {
  expect(mergePatch({ a: 1, b: 2 }, { b: 3 })).toEqual({ a: 1, b: 3 });
});

test("null removes a field, also inside an object", () => {
  expect(mergePatch({ a: 1, latencyMs: { p50: 1, p95: 2 } }, { a: null, latencyMs: { p95: null } })).toEqual({
    latencyMs: { p50: 1 },
  });
});

test("arrays are replaced whole", () => {
  expect(mergePatch({ rows: [1, 2, 3] }, { rows: [4] })).toEqual({ rows: [4] });
});

test("an object comes to stand where there was none", () => {
  expect(mergePatch({}, { latencyMs: { p50: 1, max: null } })).toEqual({ latencyMs: { p50: 1 } });
});

test("neither side is changed", () => {
  const target = { classes: { "2xx": 1 } };
  const patch = { classes: { "5xx": 1 } };
  mergePatch(target, patch);
  expect(target).toEqual({ classes: { "2xx": 1 } });
  expect(patch).toEqual({ classes: { "5xx": 1 } });
});

test("a patch cannot reach the prototype", () => {
  const patched = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}'));
  expect((patched as { polluted?: boolean }).polluted).toBeUndefined();
});
