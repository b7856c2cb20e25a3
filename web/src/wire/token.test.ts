import { expect, test } from "vitest";
import { TICK, token } from "../test/frames";
import { Credentials } from "./credentials";
import { retryAfterMs } from "./rest";
import { allows, readToken } from "./token";

const good = token({ site: "shop", scope: "read ingest", rate: 50 });

test("a token is read, however it was copied", () => {
  const read = readToken(good);
  expect(read).toEqual({
    token: good,
    claims: { subject: "ops", scope: "read ingest", site: "shop", rate: 50, expiresS: TICK + 3_600 },
  });
  const half = Math.floor(good.length / 2);
  for (const copied of [
    ` ${good}\n`,
    `"${good}"`,
    `Bearer ${good}`,
    `Authorization: Bearer ${good}`,
    `export PULSEBOARD_TOKEN=${good}`,
    `PULSEBOARD_TOKEN='${good}'`,
    `${good.slice(0, half)}\n${good.slice(half)}`,
    `read token:\n\n  ${good}\n\ntry it: curl`,
  ]) {
    expect(readToken(copied), copied).toEqual(read);
  }
});

test("what is wrong is said before anything is sent", () => {
  const [header, payload, signature] = good.split(".");
  const wrong = (text: string) => {
    const read = readToken(text);
    return read.wrong ?? "nothing";
  };
  expect(wrong("  ")).toMatch(/nothing in the field/);
  expect(wrong("hello")).toMatch(/three parts joined by dots; this has one/);
  expect(wrong(`${header}.${payload}`)).toMatch(/this has 2/);
  expect(wrong("5f".repeat(32))).toMatch(/looks like a secret/);
  expect(wrong(`${header}.${payload}.`)).toMatch(/not signed/);
  expect(wrong(`${header?.slice(3)}.${payload}.${signature}`)).toMatch(/first part does not read/);
  expect(wrong(`${header}.${payload?.slice(2)}.${signature}`)).toMatch(/middle part does not read/);
  expect(wrong(`${header}.${payload}.sig$nature`)).toMatch(/“\$” does not occur/);
  expect(wrong(`${good}\n${token({ sub: "other" })}`)).toMatch(/more than one token/);
  expect(wrong(token({ exp: undefined }))).toMatch(/no end/);
  expect(wrong(token({ exp: "2030" }))).toMatch(/no end/);
  expect(wrong(token({ sub: 7 }))).toMatch(/whose it is/);
  expect(wrong(token({ scope: ["read"] }))).toMatch(/what it allows/);
  expect(wrong("x".repeat(20_000))).toMatch(/too long/);
});

test("claims in any script are read as they are", () => {
  const bytes = (text: string) => String.fromCharCode(...new TextEncoder().encode(text));
  const payload = btoa(bytes(JSON.stringify({ sub: "Zoë 東京", scope: "read", exp: 1 })));
  const read = readToken(`${good.split(".")[0]}.${payload.replace(/=/g, "")}.c2ln`);
  expect("claims" in read && read.claims.subject).toBe("Zoë 東京");
});

test("admin includes the others, and a scope is a whole word", () => {
  expect(allows("admin", "read") && allows("ingest read", "ingest")).toBe(true);
  expect(allows("reads ingest-all", "read") || allows("read", "ingest") || allows("", "read")).toBe(false);
});

test("credentials show the token only where it is sent", () => {
  const credentials = new Credentials();
  expect(credentials.headers()).toEqual({});
  credentials.offer("t.o.k");
  credentials.taken();
  expect(credentials.headers()).toEqual({ authorization: "Bearer t.o.k" });
  expect(JSON.stringify(credentials)).toBe("{}");
  credentials.offer("n.e.w");
  expect(credentials.refused()).toBe(true);
  expect(credentials.token).toBe("t.o.k");
  expect(credentials.refused()).toBe(false);
  expect(credentials.token).toBeUndefined();
});

test("Retry-After is taken in seconds and as a date, and bounded", () => {
  expect(retryAfterMs("7", 0)).toBe(7_000);
  expect(retryAfterMs("Thu, 01 Jan 1970 00:00:09 GMT", 1_000)).toBe(8_000);
  expect(retryAfterMs("99999", 0)).toBe(120_000);
  for (const odd of [null, "", "soon"]) expect(retryAfterMs(odd, 0)).toBe(5_000);
});
