// The vertical scale: from zero to a top of 1, 2 or 5 times a power of ten. It grows at once and shrinks only when
// the data has clearly left it, so that it does not twitch.

/** The smallest step of 1, 2, 5 that holds `value`. */
export function stepAbove(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 5]) if (value <= step * power * 1.000001) return step * power;
  return 10 * power;
}

/**
 * The top to draw with, given the one before it (0 at first), the least it may be, and the most: shares end at 100 %.
 */
export function nextTop(before: number, max: number, least: number, most = Number.POSITIVE_INFINITY): number {
  const wanted = Math.min(most, Math.max(least, stepAbove(max * 1.04)));
  if (wanted >= before) return wanted;
  // Still more than a third of the scale in use: leave it.
  return max > before * 0.36 ? before : wanted;
}
