// Tokens for tests and for the mock daemon: HS256 by hand, as any program could make them.
import { createHmac, timingSafeEqual } from "node:crypto";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const sign = (message, secret) => createHmac("sha256", secret).update(message).digest("base64url");

/** A token that ends `ttlS` seconds from now. */
export function mint(secret, { ttlS = 3_600, ...claims } = {}) {
  const iat = Math.floor(Date.now() / 1000);
  const payload = { sub: "e2e", scope: "read", iat, exp: iat + ttlS, ...claims };
  const message = `${part({ alg: "HS256", typ: "JWT" })}.${part(payload)}`;
  return `${message}.${sign(message, secret)}`;
}

/** What a token stands for, or why it is not taken. The daemon's leeway of 30 s is here too. */
export function verify(token, secret) {
  const [header, payload, signature] = token.split(".");
  if (!signature) return { code: "token_malformed", message: "it is not three parts joined by dots" };
  const [made, given] = [sign(`${header}.${payload}`, secret), signature].map((text) => Buffer.from(text));
  if (made.length !== given.length || !timingSafeEqual(made, given))
    return { code: "token_signature", message: "the token was not signed with this daemon's key" };
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString());
  const endsMs = (claims.exp + 30) * 1000;
  if (endsMs <= Date.now()) return { code: "token_expired", message: "the token has expired" };
  return { subject: claims.sub, scope: claims.scope, rate: claims.rate, endsMs };
}
