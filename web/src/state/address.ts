// The address bar holds the view: which window, and whether it hangs on a wall. Pause and theme are the reader's own.

import { FILTER_CHARS_MAX, tidy } from "./filter";
import { DEFAULT_WINDOW } from "./state";

export interface View {
  window: string;
  wall: boolean;
  /** A filter expression; empty: everything. */
  filter: string;
}

export function parseView(search: string): View {
  const query = new URLSearchParams(search);
  const window = query.get("window") ?? "";
  const filter = query.get("filter") ?? "";
  return {
    window: /^\d+[smhd]$/.test(window) ? window : DEFAULT_WINDOW,
    wall: query.has("wall"),
    filter: filter.length > FILTER_CHARS_MAX ? "" : tidy(filter),
  };
}

export function formatView(view: View): string {
  const parts: string[] = [];
  if (view.window !== DEFAULT_WINDOW) parts.push(`window=${view.window}`);
  if (view.filter !== "") parts.push(`filter=${escaped(view.filter)}`);
  if (view.wall) parts.push("wall");
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}

/** Escaped, but for what may stand in a query as it is: an address is read by people too. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(/%(2F|3D|3A|20)/g, (code) =>
    code === "%20" ? "+" : decodeURIComponent(code),
  );
}
