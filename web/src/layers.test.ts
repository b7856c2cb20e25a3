import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const SRC = new URL(".", import.meta.url).pathname;
/** Who may import whom: a layer those after it, and never one before. */
const LAYERS = ["pages", "components", "charts", "state", "wire"];

const files = LAYERS.flatMap((layer) =>
  readdirSync(join(SRC, layer))
    .filter((name) => /\.tsx?$/.test(name) && !name.includes(".test."))
    .map((name) => ({ layer, name, text: readFileSync(join(SRC, layer, name), "utf8") })),
);

test("pages stand on components, charts, state and wire, in this order", () => {
  for (const { layer, name, text } of files) {
    for (const [, imported] of text.matchAll(/from "\.\.\/(\w+)\//g)) {
      expect(LAYERS.indexOf(imported ?? ""), `${layer}/${name} imports ${imported}`).toBeGreaterThan(
        LAYERS.indexOf(layer),
      );
    }
  }
});

test("only wire touches the network", () => {
  for (const { layer, name, text } of files) {
    if (layer === "wire") continue;
    expect(/\bnew WebSocket\(|(?<![\w.`"])fetch\((?!")/.test(text), `${layer}/${name}`).toBe(false);
  }
});

test("every file says what it is for", () => {
  for (const { layer, name, text } of files) expect(text.startsWith("// "), `${layer}/${name}`).toBe(true);
});
