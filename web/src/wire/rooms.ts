// Names of rooms. `window:5s` is the room of the window `5s`.

const PREFIX = "window:";

export function roomOf(window: string): string {
  return PREFIX + window;
}

export function windowOf(room: string): string {
  return room.slice(PREFIX.length);
}
