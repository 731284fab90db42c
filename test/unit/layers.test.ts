import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { expect, test } from "vitest";

const SRC = resolve(import.meta.dirname, "../../src");
const LAYERS = ["engine", "sources", "tools"] as const;

function filesOf(layer: string): string[] {
  return readdirSync(join(SRC, layer), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join(SRC, layer, file));
}

/** The relative imports of a file, static and dynamic, as paths below src. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map(([, path]) =>
    relative(SRC, resolve(dirname(file), path!)),
  );
}

test.each([
  ["engine", ["sources", "tools"]],
  ["sources", ["tools"]],
] as const)("%s imports nothing of the layers above it", (layer, above) => {
  const files = filesOf(layer);
  expect(files.length).toBeGreaterThan(10);
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((path) => above.some((each) => path.startsWith(`${each}${sep}`)))
      .map((path) => `${relative(SRC, file)} imports ${path}`),
  );
  expect(wrong).toEqual([]);
});

test("every file of src belongs to a layer", () => {
  expect(readdirSync(SRC).sort()).toEqual([...LAYERS]);
});

test("no imports of the engine go in a circle, those of types included", () => {
  const imports = new Map(
    filesOf("engine").map((file) => [
      relative(SRC, file),
      importsOf(file).filter((path) => path.startsWith("engine")),
    ]),
  );
  // files whose imports lead to the end are taken away until none is left
  for (let before = -1; before !== imports.size; ) {
    before = imports.size;
    for (const [file, paths] of imports) if (!paths.some((path) => imports.has(path))) imports.delete(file);
  }
  expect([...imports.keys()]).toEqual([]);
});
