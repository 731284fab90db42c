import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface TestWorkspace {
  readonly dir: string;
  write(file: string, text: string): void;
  remove(): void;
}

/** A workspace in a temporary folder; files by relative path. */
export function makeWorkspace(files: Readonly<Record<string, string>>): TestWorkspace {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "loadwright-test-")));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), text);
  };
  for (const [file, text] of Object.entries(files)) write(file, text);
  return { dir, write, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** A source file with one resource whose generator has this body. */
export function sourceFile(name: string, body: string): string {
  return `import { resource, source } from "loadwright";
export default source({ name: "${name}" }, ({ config, secrets }) => [
  resource({ name: "rows" }, async function* ({ signal }: { signal: AbortSignal }) { ${body} }),
]);
`;
}
