// A token as the page may know it: its shape, checked before it is sent anywhere, and its claims, read for display.
// Nothing here verifies anything: what a token may do is for the daemon to say. Pure.

/** The daemon looks at no longer one; those it makes have about 250. */
const MAX_CHARS = 4_096;
/** A secret in hex or base64 has at least this many characters and no dot. */
const SECRET_CHARS = 32;

export interface Claims {
  subject: string;
  /** Space-separated, as in the token. */
  scope: string;
  /** The one site it may write and see; undefined: all. */
  site: string | undefined;
  /** Events a second it may send, where the token says so. */
  rate: number | undefined;
  /** Unix seconds. */
  expiresS: number;
}

export type Reading = { token: string; claims: Claims; wrong?: undefined } | { wrong: string };

/** Whether a list of scopes holds one; admin includes the others. */
export function allows(scope: string, one: "read" | "ingest"): boolean {
  const words = scope.split(" ");
  return words.includes(one) || words.includes("admin");
}

/** Finds the token in what was pasted or dropped, and says what is wrong where there is none. */
export function readToken(pasted: string): Reading {
  const text = pasted.trim();
  if (text === "") return { wrong: "There is nothing in the field: paste a token first." };
  if (text.length > 2 * MAX_CHARS) return { wrong: "This is far too long for a token." };
  const token = tokenIn(text);
  if (token === "several")
    return { wrong: "There is more than one token in this: paste the one with the scope read alone." };
  const [header, payload, signature, ...more] = token.split(".");
  if (payload === undefined && token.length >= SECRET_CHARS)
    return {
      wrong: "This looks like a secret, not a token. Keep it to the daemon: the command makes a token of it.",
    };
  if (!header || !payload || signature === undefined || more.length > 0) {
    const parts = token.split(".").length;
    return { wrong: `A token has three parts joined by dots; this has ${parts === 1 ? "one" : parts}.` };
  }
  if (signature === "") return { wrong: "The last part is missing: this token is not signed." };
  if (token.length > MAX_CHARS) return { wrong: "This is too long for a token: something else came along." };
  const odd = /[^\w.-]/.exec(token);
  if (odd) return { wrong: `“${odd[0]}” does not occur in a token: something else came along.` };
  if (typeof decoded(header)?.alg !== "string")
    return { wrong: "The first part does not read: a character was lost or changed." };
  const claims = decoded(payload);
  if (!claims) return { wrong: "The middle part does not read: a character was lost or changed." };
  return claimsOf(token, claims);
}

function claimsOf(token: string, claims: Record<string, unknown>): Reading {
  const { sub, scope, exp, site, rate } = claims;
  if (typeof exp !== "number")
    return { wrong: "This token has no end (the claim exp): the daemon takes none without." };
  if (typeof sub !== "string") return { wrong: "This token does not say whose it is (the claim sub)." };
  if (typeof scope !== "string")
    return { wrong: "This token does not say what it allows (the claim scope)." };
  return {
    token,
    claims: {
      subject: sub,
      scope,
      site: typeof site === "string" ? site : undefined,
      rate: typeof rate === "number" ? rate : undefined,
      expiresS: exp,
    },
  };
}

/** The token alone: without the quotes, names and line breaks that come along from a shell or a header. */
function tokenIn(text: string): string | "several" {
  const bare = text
    .replace(/^(export\s+)?[A-Z_]+=|^(authorization:\s*)?bearer\s+/i, "")
    .replace(/^["']|["']$/g, "");
  // A terminal may have wrapped it.
  const joined = bare.replace(/\s+/g, "");
  if (/^[\w-]+\.[\w-]+\.[\w-]*$/.test(joined) && (joined.match(/eyJ/g)?.length ?? 0) <= 2) return joined;
  const inside = text.match(/\beyJ[\w-]*\.eyJ[\w-]*\.[\w-]+(?=$|[\s"'`,;)])/g) ?? [];
  if (new Set(inside).size > 1) return "several";
  return inside[0] ?? joined;
}

function decoded(part: string): Record<string, unknown> | undefined {
  try {
    const bytes = Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
