/**
 * What a pipeline's source is on disk: its section of loadwright.toml, and the files of `sources/<source>/` where
 * the source is the workspace's own. A change is written as a whole or not at all; every state that was written
 * is kept as a revision in `.loadwright/revisions/<pipeline>/`.
 *
 *   current --plan(change)--> planned (new texts, diff) --write--> written, revision kept
 *                                                    \-- check fails --> put back as it was
 */

import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { createTwoFilesPatch } from "diff";
import { EngineError } from "../../engine/errors.ts";
import { writeFileAtomic } from "../../engine/package/write-file.ts";
import { CONFIG_FILE, parseConfig, type WorkspaceConfig } from "../config.ts";
import { canonical } from "../confirm.ts";
import { WORKING_DIR, type Workspace } from "../workspace.ts";
import { localPathsOf } from "./local-paths.ts";
import { sectionOf, withSection } from "./toml-section.ts";

const FILE_BYTES_MAX = 512 * 1024;
const FILES_MAX = 200;

export interface SourceState {
  /** Undefined: the pipeline is not registered. */
  readonly section: string | undefined;
  /** Path in the workspace -> text. */
  readonly files: Readonly<Record<string, string>>;
}

export interface Revision {
  readonly number: number;
  readonly revision: string;
  readonly at: string;
  readonly note: string;
}

interface StoredRevision extends Revision {
  readonly state: SourceState;
}

export interface Planned {
  readonly pipeline: string;
  readonly before: SourceState;
  readonly after: SourceState;
  readonly configText: string;
  readonly diff: string;
  readonly changes: readonly { readonly path: string; readonly action: "create" | "change" | "delete" }[];
}

export class SourceFiles {
  readonly #workspace: Workspace;
  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  current(pipeline: string): SourceState {
    const section = sectionOf(this.#configText(), pipeline);
    const source = this.#workspace.config.pipelines.get(pipeline)?.source;
    return { section, files: source === undefined ? {} : this.filesOfSource(source) };
  }

  /**
   * The texts after a change, checked: every file inside the workspace's `sources/` (PATH_OUTSIDE), the config
   * parsed by the real parser (INVALID_PATCH), every other pipeline and destination as it was.
   */
  plan(pipeline: string, after: SourceState): Planned {
    const before = this.current(pipeline);
    const text = this.#configText();
    const configText = withSection(text, pipeline, after.section);
    this.#checkConfig(pipeline, configText, after.section !== undefined);
    const changes: { path: string; action: "create" | "change" | "delete" }[] = [];
    const diffs: string[] = [];
    const record = (path: string, old: string | undefined, next: string | undefined): void => {
      if (old === next) return;
      changes.push({ path, action: old === undefined ? "create" : next === undefined ? "delete" : "change" });
      diffs.push(
        createTwoFilesPatch(`a/${path}`, `b/${path}`, old ?? "", next ?? "", undefined, undefined, {
          context: 3,
        }).replace(/^=+\n/, ""),
      );
    };
    record(CONFIG_FILE, text, configText);
    for (const path of [...new Set([...Object.keys(before.files), ...Object.keys(after.files)])].sort()) {
      const absolute = this.#fileInside(path);
      const next = after.files[path];
      if (next !== undefined && Buffer.byteLength(next) > FILE_BYTES_MAX) {
        throw new EngineError("INVALID_PATCH", `${path} would have more than ${FILE_BYTES_MAX} bytes.`);
      }
      record(path, before.files[path] ?? readIfThere(absolute), next);
    }
    return { pipeline, before, after, configText, diff: diffs.join("\n"), changes };
  }

  /** Writes, runs `check`, and puts everything back when it throws. Answers the revision. */
  async write<T>(
    planned: Planned,
    note: string,
    check: () => Promise<T>,
  ): Promise<{ revision: string; checked: T }> {
    const { pipeline, before, after } = planned;
    const config = join(this.#workspace.dir, CONFIG_FILE);
    const oldConfig = this.#configText();
    const touched = planned.changes.filter(({ path }) => path !== CONFIG_FILE);
    const old = new Map(touched.map(({ path }) => [path, readIfThere(this.#fileInside(path))] as const));
    const put = async (path: string, text: string | undefined): Promise<void> => {
      const absolute = this.#fileInside(path);
      if (text === undefined) rmSync(absolute, { force: true });
      else {
        mkdirSync(dirname(absolute), { recursive: true });
        await writeFileAtomic(absolute, text);
      }
    };
    try {
      for (const { path } of touched) await put(path, after.files[path]);
      if (planned.configText !== oldConfig) await writeFileAtomic(config, planned.configText);
      const checked = await check();
      // what a person wrote between two calls is worth a revision of its own
      if (before.section !== undefined) await this.#keep(pipeline, before, "before this change");
      await this.#keep(pipeline, after, note);
      return { revision: revisionOf(after), checked };
    } catch (error) {
      for (const [path, text] of old) await put(path, text);
      if (this.#configText() !== oldConfig) await writeFileAtomic(config, oldConfig);
      this.#removeEmptyFolders(touched.map(({ path }) => path));
      throw error;
    }
  }

  revisions(pipeline: string): Revision[] {
    return this.#stored(pipeline).map(({ state: _, ...revision }) => revision);
  }

  /** Errors: NO_MATCH. */
  revision(pipeline: string, revision: string): SourceState {
    const stored = this.#stored(pipeline);
    const found = stored.findLast((one) => one.revision === revision);
    if (found !== undefined) return found.state;
    throw new EngineError("NO_MATCH", `The pipeline ${pipeline} has no revision ${revision}.`, {
      hint: `There are: ${stored.map((one) => one.revision).join(", ") || "none yet"}.`,
      details: { pipeline, revisions: stored.map((one) => one.revision) },
    });
  }

  async #keep(pipeline: string, state: SourceState, note: string): Promise<void> {
    const stored = this.#stored(pipeline);
    const revision = revisionOf(state);
    if (stored.at(-1)?.revision === revision) return;
    const number = (stored.at(-1)?.number ?? 0) + 1;
    const dir = this.#revisionsDir(pipeline);
    mkdirSync(dir, { recursive: true });
    const entry: StoredRevision = { number, revision, at: new Date().toISOString(), note, state };
    await writeFileAtomic(
      join(dir, `${String(number).padStart(5, "0")}-${revision}.json`),
      `${JSON.stringify(entry, null, 2)}\n`,
    );
  }

  #stored(pipeline: string): StoredRevision[] {
    const dir = this.#revisionsDir(pipeline);
    try {
      return readdirSync(dir)
        .filter((name) => /^\d{5}-[0-9a-f]{12}\.json$/.test(name))
        .sort()
        .map((name) => JSON.parse(readFileSync(join(dir, name), "utf8")) as StoredRevision);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  #revisionsDir(pipeline: string): string {
    if (!/^\w+$/.test(pipeline))
      throw new EngineError("PATH_OUTSIDE", `${pipeline} is no name of a pipeline.`);
    return join(this.#workspace.dir, WORKING_DIR, "revisions", pipeline);
  }

  #configText(): string {
    return readFileSync(join(this.#workspace.dir, CONFIG_FILE), "utf8");
  }

  #checkConfig(pipeline: string, text: string, registered: boolean): void {
    const now = this.#workspace.config;
    let next: ReturnType<typeof parseConfig>;
    try {
      next = parseConfig(text);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError("INVALID_PATCH", `The change was not written: ${error.message}`, {
        details: { ...error.details },
        cause: error,
      });
    }
    const others = (config: typeof now): string =>
      canonical([[...config.pipelines].filter(([name]) => name !== pipeline), [...config.destinations]]);
    if (others(now) !== others(next)) {
      throw new EngineError(
        "INVALID_PATCH",
        `The change would alter more of ${CONFIG_FILE} than the pipeline ${pipeline}.`,
        {
          hint: "The section may hold only tables whose names begin with pipelines.<name>.",
        },
      );
    }
    this.#checkPaths(pipeline, next);
    if (registered !== next.pipelines.has(pipeline)) {
      throw new EngineError("INVALID_PATCH", `The section does not define the pipeline ${pipeline}.`, {
        hint: `Begin it with [pipelines.${pipeline}].`,
      });
    }
  }

  /** A person may let a pipeline read what lies elsewhere, a tool may not. Errors: PATH_OUTSIDE. */
  #checkPaths(pipeline: string, next: WorkspaceConfig): void {
    const pathsIn = (config: WorkspaceConfig): string[] => {
      const section = config.pipelines.get(pipeline);
      return section === undefined ? [] : localPathsOf(section);
    };
    const known = pathsIn(this.#workspace.config);
    for (const path of pathsIn(next)) if (!known.includes(path)) this.#workspace.inside(path);
  }

  /** Errors: PATH_OUTSIDE, for what is not a file below `sources/`. */
  #fileInside(path: string): string {
    const absolute = this.#workspace.inside(path);
    const sources = join(this.#workspace.dir, "sources") + "/";
    const hidden = path.split("/").some((part) => part.startsWith(".") || part === "node_modules");
    if (absolute.startsWith(sources) && !hidden) return absolute;
    throw new EngineError("PATH_OUTSIDE", `${path} is not below the workspace's folder sources.`, {
      details: { path },
    });
  }

  /** Text files of the workspace's source of that name; none for a built-in source. */
  filesOfSource(source: string): Record<string, string> {
    if (!/^[\w-]+$/.test(source)) return {};
    const files: Record<string, string> = {};
    const visit = (path: string): void => {
      for (const entry of readdirSync(join(this.#workspace.dir, path), { withFileTypes: true })) {
        const inner = `${path}/${entry.name}`;
        if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
        if (entry.isDirectory()) visit(inner);
        else if (
          entry.isFile() &&
          statSync(join(this.#workspace.dir, inner)).size <= FILE_BYTES_MAX &&
          Object.keys(files).length < FILES_MAX
        ) {
          files[inner] = readFileSync(join(this.#workspace.dir, inner), "utf8");
        }
      }
    };
    const root = `sources/${source}`;
    // a folder that is a link belongs to somebody else
    if (lstatSync(join(this.#workspace.dir, root), { throwIfNoEntry: false })?.isDirectory()) visit(root);
    return files;
  }

  #removeEmptyFolders(paths: readonly string[]): void {
    for (const path of paths) {
      for (let dir = dirname(path); dir.startsWith("sources"); dir = dirname(dir)) {
        const absolute = join(this.#workspace.dir, dir);
        const there = statSync(absolute, { throwIfNoEntry: false })?.isDirectory() === true;
        if (!there || readdirSync(absolute).length > 0) break;
        rmSync(absolute, { recursive: true });
      }
    }
  }
}

/** Names a state by its content. */
export function revisionOf(state: SourceState): string {
  return createHash("sha256")
    .update(canonical([state.section ?? null, state.files]))
    .digest("hex")
    .slice(0, 12);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
