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
