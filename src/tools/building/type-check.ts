/** The TypeScript of a source, checked by the compiler where there is one: the workspace's, else one beside this package. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PassedChecks } from "./type-check-memory.ts";

const TIME_MAX_MS = 60_000;
const ERRORS_TOLD = 20;
const HERE = fileURLToPath(import.meta.url);
/** The one state of this module: it only spares work. */
const PASSED = new PassedChecks();

export interface TypeCheck {
  readonly status: "passed" | "failed" | "not_checked";
  readonly why?: string;
  readonly errors: readonly { readonly file: string; readonly line: number; readonly message: string }[];
}

/** `files` are paths in the workspace. */
export async function typeCheck(
  workspaceDir: string,
  files: readonly string[],
  signal: AbortSignal,
): Promise<TypeCheck> {
  const sources = files.filter((file) => /\.m?ts$/.test(file));
  if (sources.length === 0) return { status: "not_checked", why: "there is no TypeScript in it", errors: [] };
  const compiler = compilerOf(workspaceDir);
  if (compiler === undefined) {
    return {
      status: "not_checked",
      why: "TypeScript is installed neither in the workspace nor beside loadwright",
      errors: [],
    };
  }
  const program = JSON.stringify([compiler, workspaceDir, sources]);
  if (PASSED.holds(program)) return { status: "passed", errors: [] };
  const began = Date.now();
  const dir = await mkdtemp(join(tmpdir(), "loadwright-types-"));
  try {
    const types = nodeTypes(workspaceDir);
    const config = {
      compilerOptions: {
        target: "es2024",
        lib: ["es2024", "esnext.disposable", "esnext.array", "esnext.iterator"],
        module: "nodenext",
        moduleResolution: "nodenext",
        strict: true,
        noUncheckedIndexedAccess: true,
        erasableSyntaxOnly: true,
        allowImportingTsExtensions: true,
        skipLibCheck: true,
        noEmit: true,
        paths: { loadwright: [entry("engine")], "loadwright/sources": [entry("sources")] },
        ...(types === undefined ? { types: [] } : { types: ["node"], typeRoots: [types] }),
      },
      files: sources.map((file) => join(workspaceDir, file)),
    };
    const project = join(dir, "tsconfig.json");
    await writeFile(project, JSON.stringify(config));
    const output = await run(
      compiler,
      ["-p", project, "--pretty", "false", "--listFiles"],
      workspaceDir,
      signal,
    );
    if (output === undefined)
      return { status: "not_checked", why: "the compiler did not come to an end", errors: [] };
    const errors = [...output.matchAll(/^(.+?)\((\d+),\d+\): error (TS\d+: .*)$/gm)]
      .map((match) => ({
        file: relativeTo(workspaceDir, match[1]!),
        line: Number(match[2]),
        message: match[3]!,
      }))
      // errors elsewhere are not this source's
      .filter(({ file }) => sources.includes(file));
    if (!/: error TS\d+: /.test(output)) {
      const read = output.split(/\r?\n/).filter((line) => isAbsolute(line));
      PASSED.remember(program, [...read, join(workspaceDir, "package.json")], began);
    }
    return { status: errors.length === 0 ? "passed" : "failed", errors: errors.slice(0, ERRORS_TOLD) };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function compilerOf(workspaceDir: string): string | undefined {
  for (const from of [join(workspaceDir, "package.json"), HERE]) {
    try {
      const tsc = join(dirname(createRequire(from).resolve("typescript/package.json")), "bin", "tsc");
      if (existsSync(tsc)) return tsc;
    } catch {
      // not there: the next place
    }
  }
  return undefined;
}

/** The folder with the types of Node, without which `fetch` and `process` are unknown. */
function nodeTypes(workspaceDir: string): string | undefined {
  for (const from of [join(workspaceDir, "package.json"), HERE]) {
    try {
      return dirname(dirname(createRequire(from).resolve("@types/node/package.json")));
    } catch {
      // not there: the next place
    }
  }
  return undefined;
}

/** In the checkout the types are the sources, in the published package the declarations. */
function entry(layer: "engine" | "sources"): string {
  return join(dirname(HERE), "..", "..", layer, HERE.endsWith(".ts") ? "index.ts" : "index.d.ts");
}

function relativeTo(workspaceDir: string, path: string): string {
  const absolute = join(workspaceDir, path);
  if (existsSync(absolute)) return path.replaceAll("\\", "/");
  return path.startsWith(`${workspaceDir}/`) ? path.slice(workspaceDir.length + 1) : path;
}

async function run(
  file: string,
  args: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const child = spawn(process.execPath, [file, ...args], { cwd, stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString("utf8");
  });
  let late = false;
  const stop = (): void => {
    late = true;
    child.kill("SIGKILL");
  };
  const timer = setTimeout(stop, TIME_MAX_MS);
  signal.addEventListener("abort", stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => child.once("error", reject).once("close", () => resolve()));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
  return late ? undefined : output;
}
