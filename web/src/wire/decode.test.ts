import { expect, test } from "vitest";
import { asSnapshot, decode } from "./decode";

test("a message of ours comes out as it is", () => {
  expect(decode('{"op":"pong","id":9}')).toEqual({ op: "pong", id: 9 });
});

test("what is no message of ours is left alone", () => {
  for (const text of ["", "{", "null", "[]", "7", '{"op":"dance"}', '{"op":{}}', new ArrayBuffer(2)]) {
    expect(decode(text)).toBeUndefined();
  }
});

test("a REST answer without numbers is not a snapshot", () => {
  expect(asSnapshot({ tick: 1 })).toBeUndefined();
  expect(asSnapshot(null)).toBeUndefined();
});
