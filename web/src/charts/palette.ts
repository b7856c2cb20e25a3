// Colours of the canvas, read from the style sheet so that both always agree. Read again when the theme changes.

const TOKENS = [
  "text",
  "muted",
  "hairline",
  "surface",
  "accent",
  "users",
  "ok",
  "warn",
  "bad",
  "latency",
] as const;
export type Token = (typeof TOKENS)[number];

let cached: Record<Token, string> | undefined;

export function forgetPalette(): void {
  cached = undefined;
}

export function color(token: Token, alpha = 1): string {
  cached ??= read();
  const value = cached[token];
  return alpha === 1 ? value : `color-mix(in srgb, ${value} ${alpha * 100}%, transparent)`;
}

function read(): Record<Token, string> {
  const probe = document.createElement("span");
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const entries = TOKENS.map((token) => {
    probe.style.color = `var(--${token})`;
    return [token, style.color] as const;
  });
  probe.remove();
  return Object.fromEntries(entries) as Record<Token, string>;
}
