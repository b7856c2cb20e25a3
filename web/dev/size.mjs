// Prints what the first load costs, compressed, and fails past the budget. Run by `npm run build`.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

const BUDGET_BYTES = 100 * 1000;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));

function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(9);
let total = 0;
for (const path of files(dist)) {
  const raw = readFileSync(path);
  const gzip = gzipSync(raw, { level: 9 }).length;
  total += gzip;
  console.log(
    `${kb(raw.length)} ${kb(gzip)} gzip ${kb(brotliCompressSync(raw).length)} br  ${relative(dist, path)}`,
  );
}
console.log(`first load: ${kb(total).trim()} gzip of ${kb(BUDGET_BYTES).trim()}`);
if (total > BUDGET_BYTES) {
  console.error("first load is over its budget");
  process.exit(1);
}
