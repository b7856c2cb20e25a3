import { expect, test } from "vitest";
import { aggregate, history, TICK } from "../test/frames";
import { append, correct, EMPTY, extend, HISTORY_TICKS, lastTick, rowOf, truncate } from "./columns";

const events = (columns: typeof EMPTY) => columns.numbers.events;

test("history fills the columns, gaps stay null", () => {
  const columns = extend(EMPTY, history(TICK, [3, null, 5]));
  expect(columns.from).toBe(TICK);
  expect(events(columns)).toEqual([3, null, 5]);
});

test("a new tick follows on", () => {
  const columns = append(extend(EMPTY, history(TICK, [3])), rowOf(aggregate(TICK + 1, { events: 4 })));
  expect(events(columns)).toEqual([3, 4]);
});

test("ticks that were skipped are null, not zero", () => {
  const columns = append(extend(EMPTY, history(TICK, [3])), rowOf(aggregate(TICK + 3, { events: 4 })));
  expect(events(columns)).toEqual([3, null, null, 4]);
});

test("no more than five minutes are kept", () => {
  let columns = extend(EMPTY, history(TICK, new Array(HISTORY_TICKS).fill(1)));
  columns = append(columns, rowOf(aggregate(TICK + HISTORY_TICKS, { events: 2 })));
  expect(columns.length).toBe(HISTORY_TICKS);
  expect(columns.from).toBe(TICK + 1);
  expect(events(columns).at(-1)).toBe(2);
});

test("what was missed joins on without a hole", () => {
  const columns = extend(extend(EMPTY, history(TICK, [1, 2])), history(TICK + 2, [3, null, 5]));
  expect(events(columns)).toEqual([1, 2, 3, null, 5]);
});

test("history that does not reach back to ours replaces it", () => {
  const columns = extend(extend(EMPTY, history(TICK, [1, 2])), history(TICK + 5_000, [7, 8]));
  expect(columns.from).toBe(TICK + 5_000);
  expect(events(columns)).toEqual([7, 8]);
});

test("history that reaches further back than ours is taken", () => {
  const columns = extend(extend(EMPTY, history(TICK + 2, [3])), history(TICK, [1, 2, 3]));
  expect(columns.from).toBe(TICK);
  expect(events(columns)).toEqual([1, 2, 3]);
});

test("corrections overwrite the ticks they name and no others", () => {
  const columns = extend(EMPTY, history(TICK, [1, 2, 3, 4]));
  const corrections = { ...history(TICK, [9, 8]), tick: [TICK + 1, TICK + 3] };
  expect(events(correct(columns, corrections))).toEqual([1, 9, 3, 8]);
});

test("corrections of ticks we do not have are left alone", () => {
  const columns = extend(EMPTY, history(TICK, [1, 2]));
  expect(events(correct(columns, history(TICK - 3, [7, 7])))).toEqual([1, 2]);
  expect(lastTick(correct(columns, history(TICK + 2, [7])))).toBe(TICK + 1);
});

test("a class that first appears counts zero before, and null in gaps", () => {
  const columns = append(
    extend(EMPTY, history(TICK, [1, null], { "2xx": [1, null] })),
    rowOf(aggregate(TICK + 2, { events: 2, statusClasses: { "5xx": 2 } })),
  );
  expect(columns.classes).toEqual({ "2xx": [1, null, 0], "5xx": [0, null, 2] });
});

test("a clock that went back takes the future away", () => {
  const columns = extend(EMPTY, history(TICK, [1, 2, 3]));
  expect(events(truncate(columns, TICK + 1))).toEqual([1, 2]);
  expect(truncate(columns, TICK - 1)).toBe(EMPTY);
});
