// The reader's own choice of theme. Kept in this browser, never in the address: a shared link brings no taste along.

export type Theme = "auto" | "light" | "dark" | "contrast";

const KEY = "pulseboard.theme";
const listeners = new Set<() => void>();

function isTheme(value: unknown): value is Theme {
  return value === "auto" || value === "light" || value === "dark" || value === "contrast";
}

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return isTheme(value) ? value : "auto";
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
    return "auto";
  }
}

let theme: Theme = "auto";

/** The theme after this one: first away from what the system shows, then more contrast, then the system's again. */
export function nextTheme(current: Theme, systemIsDark: boolean): Theme {
  if (current === "auto") return systemIsDark ? "light" : "dark";
  return current === "contrast" ? "auto" : "contrast";
}

export function getTheme(): Theme {
  return theme;
}

export function subscribeTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function show(next: Theme): void {
  theme = next;
  document.documentElement.dataset.theme = next;
  for (const listener of listeners) listener();
}

/** Applies the stored theme; call before the first paint. */
export function initTheme(): void {
  show(stored());
  for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
    matchMedia(query).addEventListener("change", () => show(theme));
  }
}

export function cycleTheme(): void {
  const next = nextTheme(theme, matchMedia("(prefers-color-scheme: dark)").matches);
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // See `stored`.
  }
  show(next);
}
