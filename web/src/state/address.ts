// The address bar holds the view: which window, and whether it hangs on a wall. Pause and theme are the reader's own.

import { DEFAULT_WINDOW } from "./state";

export interface View {
  window: string;
  wall: boolean;
}

export function parseView(search: string): View {
  const query = new URLSearchParams(search);
  const window = query.get("window") ?? "";
  return { window: /^\d+[smhd]$/.test(window) ? window : DEFAULT_WINDOW, wall: query.has("wall") };
}

export function formatView(view: View): string {
  const parts: string[] = [];
  if (view.window !== DEFAULT_WINDOW) parts.push(`window=${view.window}`);
  if (view.wall) parts.push("wall");
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}
