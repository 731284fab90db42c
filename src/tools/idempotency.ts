/**
 * Which run a key of `run_pipeline` started: one small file for each key, in the workspace, so that a server
 * that is started again, and a second one beside it, answer the same run.
 *
 *   claim (file made, only if absent) -> run started under the claimed id
 *
 * A claim whose run left no trace was made by a server that died in between; it can be taken over.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WORKING_DIR, type Workspace } from "./workspace.ts";

export interface Claim {
  readonly run_id: string;
  readonly pipeline: string;
  /** The arguments, as canonical JSON. */
  readonly wish: string;
}

const KEPT_MS = 7 * 24 * 3600_000;
/** Old claims are looked for only when so many have come together. */
const CLAIMS_MANY = 1_000;

export class IdempotencyKeys {
  readonly #dir: string;

  constructor(workspace: Workspace) {
    this.#dir = join(workspace.dir, WORKING_DIR, "idempotency");
  }

  /** Makes the claim, or answers the one that is there. */
  claim(key: string, claim: Claim): { readonly claim: Claim; readonly mine: boolean } {
    mkdirSync(this.#dir, { recursive: true });
    try {
      writeFileSync(this.#file(key), JSON.stringify(claim), { flag: "wx" });
      this.#forgetOld();
      return { claim, mine: true };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      return { claim: JSON.parse(readFileSync(this.#file(key), "utf8")) as Claim, mine: false };
    }
  }

  release(key: string): void {
    rmSync(this.#file(key), { force: true });
  }

  #file(key: string): string {
    return join(this.#dir, `${createHash("sha256").update(key).digest("hex")}.json`);
  }

  #forgetOld(): void {
    const files = readdirSync(this.#dir);
    if (files.length < CLAIMS_MANY) return;
    for (const file of files) {
      const path = join(this.#dir, file);
      const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
      if (made !== undefined && made < Date.now() - KEPT_MS) rmSync(path, { force: true });
    }
  }
}
