import { expect, test } from "vitest";
import { backoffMs } from "./backoff";

test("the ceiling doubles with every attempt up to fifteen seconds", () => {
  expect([1, 2, 3, 4, 5, 6, 60].map((attempt) => backoffMs(attempt, 1))).toEqual([
    1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000,
  ]);
});

test("the wait is anywhere below its ceiling, and never nothing", () => {
  expect(backoffMs(5, 0)).toBe(100);
  expect(backoffMs(5, 0.5)).toBe(7_550);
});
