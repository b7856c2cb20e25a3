// What it means that the daemon does not let this page in, by the code it gives, and what to do about it. Pure.

export interface Denial {
  title: string;
  text: string;
  command?: string;
}

export const MINT_READ = "pulseboard token --scope read";
export const MINT_INGEST = "pulseboard token --scope ingest";
export const MINT_BOTH = 'pulseboard token --scope "read ingest"';

const DENIALS: Record<string, Denial> = {
  dev_mode_is_local: {
    title: "Only from the daemon's own machine",
    text: "The daemon runs in dev mode, without a key, and answers this machine's loopback address only. Open the page at that address, or give the daemon a key:",
    command: "pulseboardd --init-auth",
  },
  unauthorized: {
    title: "A token is needed",
    text: "This daemon shows its numbers to those who have a token.",
  },
  token_malformed: {
    title: "That is not a whole token",
    text: "A part of it is missing, or was changed on the way. Copy it again, or make another.",
  },
  token_signature: {
    title: "That token is not this daemon's",
    text: "It was signed with another secret, or a character of it was changed. Make one where this daemon's secret is.",
  },
  token_algorithm: {
    title: "That token is signed in another way",
    text: "Its algorithm is not the one of this daemon's key. Make one with this daemon's own secret.",
  },
  token_expired: {
    title: "The token has ended",
    text: "Tokens are made for a time, and this one's is over. A new one goes on where it stopped.",
  },
  token_not_yet_valid: {
    title: "That token is not valid yet",
    text: "Its time begins later, or a clock is off. Wait for it, or make another.",
  },
  token_claim_missing: {
    title: "That token does not say enough",
    text: "The daemon wants to know whose it is, what it allows and when it ends.",
  },
  token_claim_invalid: {
    title: "That token says something odd",
    text: "One of its claims is not of the kind it should be. Make one with the command.",
  },
  token_issuer: {
    title: "That token comes from elsewhere",
    text: "It names another issuer than this daemon trusts (auth.issuer).",
  },
  token_audience: {
    title: "That token is for another service",
    text: "It names another audience than this daemon (auth.audience).",
  },
  wrong_scope: {
    title: "That token may not watch",
    text: "Watching needs the scope read, and this token has others only.",
  },
  wrong_site: {
    title: "That token is for another site",
    text: "It may see one site alone, and not the one that was asked for.",
  },
};

/** In words; a code of a newer daemon is told as it is. */
export function denialOf(code: string, asks: boolean): Denial {
  const known = DENIALS[code];
  if (known) return known;
  return asks
    ? { title: "The daemon did not take the token", text: "Make another one:" }
    : { title: "The daemon does not let this page in", text: "It said:" };
}
