// RFC 7396: a JSON merge patch. Objects merge field by field, null removes a field, all else replaces.

import type { MergePatch } from "./types";

function isObject(value: unknown): value is MergePatch {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The patched value; neither argument is changed, and parts the patch does not name are shared. */
export function mergePatch<T>(target: T, patch: MergePatch): T {
  const out: MergePatch = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (key === "__proto__") continue;
    if (value === null) delete out[key];
    else out[key] = isObject(value) ? mergePatch(out[key], value) : value;
  }
  return out as T;
}
