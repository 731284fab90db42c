import { existsSync, readFileSync, statSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { EngineError } from "../engine/errors.ts";
import { didYouMean } from "../engine/nearest.ts";
import { writeFileAtomic } from "../engine/package/write-file.ts";
import { lintSource } from "./building/lint.ts";
import { secretName, secretPath } from "./building/secret-names.ts";
import { defineTool, FORMAT, PIPELINE } from "./define-tool.ts";
import { ENV_FILE, SECRETS_FILE } from "./secrets.ts";
import type { Workspace } from "./workspace.ts";

/** Of a file that is new; one that is there keeps its own. */
const PRIVATE = 0o600;

export const requestSecretTool = defineTool({
  name: "request_secret",
  title: "A place for a secret",
  description:
    "Says whether a secret of a pipeline's source is set, and where it is not, writes an empty entry for it into the " +
    "workspace's .env (or secrets.toml where only that is there), for a person to fill in. Takes no value and shows " +
    "none. validate_source lists the secrets that a source asks for.",
  mode: "write",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({
    pipeline: PIPELINE,
    key: z
      .string()
      .regex(/^[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*$/, "a name such as api_key or credentials.password")
      .max(100)
      .describe("Name of the secret, never its value"),
    response_format: FORMAT,
  }),
  output: z.object({
    pipeline: z.string(),
    key: z.string(),
    status: z.enum(["set", "missing"]),
    environment_variable: z.string(),
    file: z.string().optional().describe("Where the entry stands"),
    line: z.number().optional(),
    entry_written: z.boolean(),
    git_ignored: z.boolean().describe("The workspace's .gitignore names the file"),
  }),
  async execute({ pipeline, key }, { workspace, gates, signal }) {
    gates.require("write", "Writing an entry for a secret");
    const { source } = workspace.pipelineConfig(pipeline);
    const place = workspace.secrets(pipeline).locate(source, key);
    if (place.found) {
      const file = place.provider === "environment" ? undefined : place.provider;
      return {
        summary: `The secret ${key} of ${pipeline} is set (${place.provider}).`,
        data: {
          pipeline,
          key,
          status: "set" as const,
          environment_variable: place.name,
          ...(file === undefined ? {} : { file }),
          entry_written: false,
          git_ignored: file === undefined || isIgnored(workspace, file),
        },
        next_steps: [{ tool: "test_source", arguments: { pipeline }, why: "the secret is there" }],
      };
    }
    const { secrets } = await lintSource(workspace, pipeline, signal);
    const asked = secrets.map((one) => one.key);
    const known = asked.includes(key) || /^credentials(\.\w+)?$/.test(key);
    if (!known && asked.length > 0) {
      throw new EngineError(
        "UNKNOWN_KEY",
        `The source of ${pipeline} asks for no secret ${JSON.stringify(key)}.`,
        {
          hint: didYouMean(key, asked) || `It asks for: ${asked.join(", ")}.`,
          details: { pipeline, key, asked },
        },
      );
    }
    const stub = await writeStub(workspace, secretPath(pipeline, source, key));
    const ignored = isIgnored(workspace, stub.file);
    return {
      summary: `The secret ${key} of ${pipeline} is missing. A person fills it in at ${stub.file}:${stub.line}.${ignored ? "" : ` ${stub.file} is not in .gitignore.`}`,
      data: {
        pipeline,
        key,
        status: "missing" as const,
        environment_variable: secretName(workspace, pipeline, source, key),
        file: stub.file,
        line: stub.line,
        entry_written: stub.written,
        git_ignored: ignored,
      },
      next_steps: [
        { tool: "request_secret", arguments: { pipeline, key }, why: "see whether it is set by then" },
      ],
    };
  },
});

/** An empty entry at the end of the file, unless there is one. An empty entry counts as not set. */
async function writeStub(
  workspace: Workspace,
  path: readonly string[],
): Promise<{ file: string; line: number; written: boolean }> {
  const has = (file: string): boolean => existsSync(join(workspace.dir, file));
  const file = !has(ENV_FILE) && has(SECRETS_FILE) ? SECRETS_FILE : ENV_FILE;
  const absolute = workspace.inside(file);
  const text = existsSync(absolute) ? readFileSync(absolute, "utf8") : "";
  const name = path.join("__").toUpperCase();
  const table = path.slice(0, -1).join(".");
  const entry = file === ENV_FILE ? `${name}=` : `[${table}]\n${path.at(-1)} = ""`;
  const lines = text.split("\n");
  const there = lines.findIndex((line) =>
    line
      .replace(/^export\s+/, "")
      .trim()
      .startsWith(`${name}=`),
  );
  if (file === ENV_FILE && there >= 0) return { file, line: there + 1, written: false };
  let next: string;
  const at = file === SECRETS_FILE ? lines.findIndex((line) => line.trim() === `[${table}]`) : -1;
  if (at >= 0) {
    if (lines.some((line, i) => i > at && line.trim() === `${path.at(-1)} = ""`)) {
      return {
        file,
        line: lines.findIndex((line, i) => i > at && line.trim() === `${path.at(-1)} = ""`) + 1,
        written: false,
      };
    }
    lines.splice(at + 1, 0, `${path.at(-1)} = ""`);
    next = lines.join("\n");
  } else next = `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${entry}\n`;
  if (text === "" && !existsSync(absolute)) await writeFile(absolute, next, { mode: PRIVATE, flag: "wx" });
  else {
    const mode = statSync(absolute).mode & 0o777;
    await writeFileAtomic(absolute, next);
    await chmod(absolute, mode);
  }
  const wanted = file === ENV_FILE ? `${name}=` : `${path.at(-1)} = ""`;
  return { file, line: next.split("\n").findLastIndex((line) => line.trim() === wanted) + 1, written: true };
}

function isIgnored(workspace: Workspace, file: string): boolean {
  const path = join(workspace.dir, ".gitignore");
  if (!existsSync(path)) return false;
  return readFileSync(path, "utf8")
    .split("\n")
    .some((line) => [file, `/${file}`, `**/${file}`].includes(line.trim()));
}
