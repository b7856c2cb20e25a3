// Names of rooms. `window:5s` is the room of the window `5s`, `window:5s?filter=route=/checkout` the same of what a
// filter lets through.

const PREFIX = "window:";
const FILTER = "?filter=";

export function roomOf(window: string, filter: string): string {
  return PREFIX + window + (filter === "" ? "" : FILTER + filter);
}

export function windowOf(room: string): string {
  const end = room.indexOf(FILTER);
  return room.slice(PREFIX.length, end < 0 ? undefined : end);
}

export function filterOf(room: string): string {
  const at = room.indexOf(FILTER);
  return at < 0 ? "" : room.slice(at + FILTER.length);
}
