import { expect, test } from "vitest";
import { aggregate, delta, history, snapshot, TICK } from "../test/frames";
import { HISTORY_TICKS } from "./columns";
import { applyDelta, applySnapshot } from "./room";
import { BANDS, seriesOf, stretchesOf, X } from "./series";

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

const ONE = { reporting: 1, expected: 3 };
const ALL = { reporting: 3, expected: 3 };
/** Five ticks up to now, of which the second and third have one of three instances; nobody was up in the fourth. */
const partly = () =>
  applySnapshot(
    undefined,
    snapshot(TICK, {
      aggregate: aggregate(TICK, { events: 9, nodes: ALL }),
      history: {
        ...history(TICK - 4, [9, 3, 3, null, 9]),
        reporting: [3, 1, 1, null, 3],
        expected: [3, 3, 3, null, 3],
      },
    }),
  );

test("a tick that lacks an instance says of how many it is", () => {
  expect(seriesOf(partly()).parts.slice(-5)).toEqual([null, ONE, ONE, null, null]);
  expect(seriesOf(partly()).parts).toHaveLength(HISTORY_TICKS);
});

test("without the columns every tick is of all", () => {
  expect(seriesOf(room).parts.every((part) => part === null)).toBe(true);
});

test("a correction without the columns makes its ticks whole, and no others", () => {
  const mended = delta(TICK + 1, { events: 9 }, { corrections: history(TICK - 3, [9]) });
  expect(seriesOf(applyDelta(partly(), mended)).parts.slice(-6)).toEqual([null, null, ONE, null, null, null]);
});

test("a correction can take an instance away", () => {
  const lost = { ...history(TICK - 4, [3]), reporting: [1], expected: [3] };
  const next = applyDelta(partly(), delta(TICK + 1, { events: 9 }, { corrections: lost }));
  expect(seriesOf(next).parts.slice(-6)).toEqual([ONE, ONE, ONE, null, null, null]);
});

test("a live frame brings its own instances, and a patch that does not name them leaves them", () => {
  let next = applyDelta(partly(), delta(TICK + 1, { events: 3, nodes: ONE }));
  next = applyDelta(next, delta(TICK + 2, { events: 2 }));
  next = applyDelta(next, delta(TICK + 3, { events: 9, nodes: { reporting: 3 } }));
  expect(seriesOf(next).parts.slice(-4)).toEqual([null, ONE, ONE, null]);
});

test("what lacks an instance falls out with its tick", () => {
  const later = snapshot(TICK + HISTORY_TICKS, {
    aggregate: aggregate(TICK + HISTORY_TICKS, { nodes: ALL }),
  });
  expect(seriesOf(applySnapshot(partly(), later)).parts.every((part) => part === null)).toBe(true);
});

test("ticks in a row are one stretch, known by its fewest", () => {
  const two = { reporting: 2, expected: 3 };
  expect(stretchesOf([null, two, ONE, two, null, two])).toEqual([
    { from: 1, to: 3, fewest: ONE },
    { from: 5, to: 5, fewest: two },
  ]);
});
