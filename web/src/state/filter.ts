// Filter expressions as the daemon reads them (`route=/checkout status=5xx`): taken apart into terms, and put together
// from a click. What an expression means, and whether it is one, is for the daemon to say. Pure.

/** The daemon takes no longer one. */
export const FILTER_CHARS_MAX = 1_024;

/** The terms of an expression as they are written: at spaces, but not those in quotes or after a backslash. */
export function termsOf(expression: string): string[] {
  return expression.match(/(?:\\.|"(?:\\.|[^"\\])*"?|[^\s"\\]|\\$)+/gs) ?? [];
}

/** One way to write an expression: its terms, a space between two. */
export function tidy(expression: string): string {
  return termsOf(expression).join(" ");
}

/** A term for a value as it is, whatever is in it. */
export function term(field: string, value: string): string {
  const escaped = value.replace(/[\\"*]/g, "\\$&");
  return /\s/.test(value) ? `${field}="${escaped}"` : `${field}=${escaped}`;
}

/** The expression with one term more, in the place of those on the same field. */
export function narrowed(expression: string, field: string, value: string): string {
  const others = termsOf(expression).filter((each) => !each.startsWith(`${field}=`));
  return [...others, term(field, value)].join(" ");
}

export function without(expression: string, one: string): string {
  return termsOf(expression)
    .filter((each) => each !== one)
    .join(" ");
}
