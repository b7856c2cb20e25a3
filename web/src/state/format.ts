// Numbers and times as they are shown. A number stands with its unit; digits are tabular, so widths hold still.

const NBSP = "\u00a0";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** What stands where there is no value. */
export const NOTHING = "–";

/** `12,840`, and from ten millions on `12.84M`. */
export function count(value: number): string {
  return value >= 1e7 ? millions(value) : whole.format(value);
}

/** Events a second: `1,284.2`, `12,840`, and from a million on `1.28M`. */
export function rate(value: number): string {
  if (value >= 1e6) return millions(value);
  return value >= 10_000 ? whole.format(value) : tenths.format(value);
}

function millions(value: number): string {
  return `${(value / 1e6).toFixed(2)}M`;
}

/** A share of one as `0.8 %`. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return NOTHING;
  const value = share * 100;
  if (value > 0 && value < 0.05) return `<0.1${NBSP}%`;
  return `${tenths.format(value)}${NBSP}%`;
}

/** The number of a duration without its unit, to go with `latencyUnit`. */
export function latencyNumber(ms: number): string {
  if (ms >= 10_000) return tenths.format(ms / 1000);
  return ms < 10 ? tenths.format(ms) : whole.format(ms);
}

export function latencyUnit(ms: number | null | undefined): string {
  return (ms ?? 0) >= 10_000 ? "s" : "ms";
}

export function latency(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? NOTHING : `${latencyNumber(ms)}${NBSP}${latencyUnit(ms)}`;
}

/** A number for an axis: `0`, `500`, `1.5k`, `2M`. */
export function compact(value: number): string {
  if (value >= 1e6) return `${trim(value / 1e6)}M`;
  if (value >= 1e3) return `${trim(value / 1e3)}k`;
  return trim(value);
}

function trim(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Local time of a Unix second: `14:03:27`. */
export function clock(tick: number): string {
  const at = new Date(tick * 1000);
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}

/** `12s`, `1m17s`, `2h05m`, `90d`. */
export function age(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3_600) return `${Math.floor(s / 60)}m${String(s % 60).padStart(2, "0")}s`;
  if (s < 48 * 3_600)
    return `${Math.floor(s / 3_600)}h${String(Math.floor((s % 3_600) / 60)).padStart(2, "0")}m`;
  return `${Math.floor(s / 86_400)}d`;
}

/** Local time of a Unix second, with its day unless that is today: `14:03`, `2026-11-23 14:03`. */
export function moment(second: number, nowMs: number): string {
  const at = new Date(second * 1000);
  if (!Number.isFinite(at.getTime())) return "a time far away";
  const time = clock(second).slice(0, 5);
  if (at.toDateString() === new Date(nowMs).toDateString()) return time;
  const day = [at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${at.getFullYear()}-${day.join("-")} ${time}`;
}
