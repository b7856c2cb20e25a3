import { expect, test } from "vitest";
import { aggregate, history, snapshot, TICK } from "../test/frames";
import { HISTORY_TICKS } from "./columns";
import { applySnapshot } from "./room";
import { BANDS, seriesOf, X } from "./series";

const room = applySnapshot(
  undefined,
  snapshot(TICK, {
    aggregate: aggregate(TICK, { events: 20, errors: 5, statusClasses: { "2xx": 10, "5xx": 5 } }),
    history: history(TICK - 2, [10, null, 20], { "2xx": [10, null, 10], "5xx": [0, null, 5] }),
  }),
);

test("every column is as long as the axis, the newest tick at its end", () => {
  const series = seriesOf(room);
  expect(series.rate).toHaveLength(HISTORY_TICKS);
  expect(X.at(-1)).toBe(0);
  expect(series.rate.slice(-3)).toEqual([2, null, 4]);
});

test("the bands add up to all events, those without a status among them", () => {
  const series = seriesOf(room);
  const top = BANDS[BANDS.length - 1];
  expect(top && series.stacked[top].slice(-3)).toEqual([2, null, 4]);
  expect(series.byClass.none.slice(-3)).toEqual([0, null, 1]);
});

test("the error rate is in per cent and missing where nothing happened", () => {
  expect(seriesOf(room).errorRate.slice(-3)).toEqual([0, null, 25]);
  const quiet = applySnapshot(undefined, snapshot(TICK, { history: history(TICK, [0]) }));
  expect(seriesOf(quiet).errorRate.at(-1)).toBeNull();
});

test("it is computed once for a history", () => {
  expect(seriesOf(room)).toBe(seriesOf(room));
});
