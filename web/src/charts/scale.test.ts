import { expect, test } from "vitest";
import { nextTop, stepAbove } from "./scale";

test("tops are steps of one, two and five", () => {
  expect([0, 0.3, 1, 1.1, 4, 6, 10, 18, 430, 2_001].map(stepAbove)).toEqual([
    1, 0.5, 1, 2, 5, 10, 10, 20, 500, 5_000,
  ]);
});

test("the scale grows at once and shrinks only when it is mostly empty", () => {
  expect(nextTop(0, 430, 1)).toBe(500);
  expect(nextTop(500, 620, 1)).toBe(1_000);
  expect(nextTop(1_000, 430, 1)).toBe(1_000);
  expect(nextTop(1_000, 300, 1)).toBe(500);
});

test("a share ends at a hundred per cent", () => {
  expect(nextTop(0, 100, 2, 100)).toBe(100);
  expect(nextTop(100, 98, 2, 100)).toBe(100);
});

test("a quiet chart keeps its least top", () => {
  expect(nextTop(0, 0, 2)).toBe(2);
  expect(nextTop(2, 0.1, 2)).toBe(2);
});
