// One crosshair across all charts: the entry under the pointer, or undefined.

let index: number | undefined;
const listeners = new Set<() => void>();

export function getCrosshair(): number | undefined {
  return index;
}

export function setCrosshair(next: number | undefined): void {
  if (next === index) return;
  index = next;
  for (const listener of listeners) listener();
}

export function subscribeCrosshair(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
