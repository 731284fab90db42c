/**
 * The packages of one pipeline on disk; the states are told in types.ts, and each is a folder here.
 *
 *   <dir>/extracting/<load_id>/   being written, worthless after a crash
 *         extracted/<load_id>/    sealed: manifest.json schema.json state.json new/<jobs>
 *         normalizing/<load_id>/  being written from extracted/<load_id>, worthless after a crash
 *         normalized/<load_id>/   sealed; from here on extracted/<load_id> is worthless
 *         loaded/<load_id>/       committed at the destination; without rows
 *         failed/<load_id>/       set aside with manifest.error; with rows
 *         dropped/<first>/{extracted,normalized}/<load_id>/   one drop, named for the load id it began at
 *         removing/               on its way out
 *         state.json  schemas/<name>.schema.json              as last committed
 *
 * Each transition is one rename, made durable before the call returns; what is to be in the package is
 * durable before the rename. `discardUnfinished` removes what a crash left.
 *
 * The state in a package is the state of the whole pipeline at its end, so a package builds on all earlier
 * ones. Hence packages are loaded oldest first, and when one is dropped or fails, all later pending ones are
 * dropped with it: their cursors would step over its rows. This goes from the newest to the oldest, so that a
 * crash in between leaves a run of packages without a gap.
 *
 * Schema and state are kept as text: they are encoded by interop/, which tells 1.0 from 1.
 */

import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { RunContext } from "../context.ts";
import { EngineError, type ErrorEnvelope } from "../errors.ts";
import { isLoadId } from "./load-id.ts";
import { exists, loadIdsIn, namesIn, readIfThere } from "./read-folder.ts";
import type { Manifest, PackageRef, Stage } from "./types.ts";
import { corrupt, readOrCorrupt, verifyContent, verifyJobs, whatIsWrong } from "./verify.ts";
import { isTempFile, moveDurably, syncFile, syncFolder, writeFileAtomic } from "./write-file.ts";

export type { PackageRef } from "./types.ts";

type WorkStage = "extracting" | "normalizing";
type Place = Stage | WorkStage;
const PLACES: readonly Place[] = ["extracting", "extracted", "normalizing", "normalized", "loaded", "failed"];

export type PendingStage = "extracted" | "normalized";

/** A package that is being written: put job files into `jobsDir`, then seal it. */
export interface OpenPackage {
  readonly load_id: string;
  readonly stage: WorkStage;
  readonly dir: string;
  readonly jobsDir: string;
}

export interface PendingPackage extends PackageRef {
  readonly stage: PendingStage;
}

export interface PackageContent {
  readonly manifest: Manifest;
  /** Encoded schema and state, see interop/. */
  readonly schema: string;
  readonly state: string;
}

export interface SealOptions {
  /**
   * False: the rows get to the disk when the system does it, because they are about to be loaded. After a loss
   * of power such a package is found to be corrupt and its rows are fetched again. Default true.
   */
  readonly sync?: boolean;
}

export interface StoreOptions {
  /** Keep the rows of loaded packages. */
  readonly keepRows?: boolean;
  readonly loadedManifestsMax?: number;
  /** Drops that can be restored. */
  readonly dropsMax?: number;
}

/** A drop that can be restored. */
export interface Drop {
  /** The load id from which on packages were dropped. */
  readonly first: string;
  readonly packages: readonly PackageRef[];
}

export interface Discarded {
  readonly extracting: readonly string[];
  readonly normalizing: readonly string[];
  /** Extracted packages of which the normalized form is complete. */
  readonly extracted: readonly string[];
}

export class PackageStore {
  readonly dir: string;
  readonly #boundary: RunContext["boundary"];
  readonly #keepRows: boolean;
  readonly #loadedManifestsMax: number;
  readonly #dropsMax: number;

  constructor(dir: string, context: Pick<RunContext, "boundary">, options: StoreOptions = {}) {
    this.dir = dir;
    this.#boundary = context.boundary;
    this.#keepRows = options.keepRows ?? false;
    this.#loadedManifestsMax = options.loadedManifestsMax ?? 200;
    this.#dropsMax = options.dropsMax ?? 5;
  }

  // ---- looking ----

  /** Packages of a stage, oldest first. Reads no manifest. */
  async list(stage: Stage): Promise<PackageRef[]> {
    const ids = await loadIdsIn(join(this.dir, stage));
    if (stage !== "extracted" || ids.length === 0) return ids.map((id) => this.#ref(stage, id));
    const normalized = new Set(await loadIdsIn(join(this.dir, "normalized")));
    return ids.filter((id) => !normalized.has(id)).map((id) => this.#ref(stage, id));
  }

  /** Extracted and normalized packages in the order in which they must be loaded. */
  async pendingPackages(): Promise<PendingPackage[]> {
    const pending = [...(await this.list("extracted")), ...(await this.list("normalized"))];
    return pending.sort(byLoadId) as PendingPackage[];
  }

  /** The newest load id in any stage, dropped ones included: a new one must follow it. */
  async newestLoadId(): Promise<string | undefined> {
    const ids = (await Promise.all(PLACES.map((place) => loadIdsIn(join(this.dir, place))))).flat();
    for (const drop of await this.listDrops()) ids.push(...drop.packages.map((each) => each.load_id));
    return ids.sort().at(-1);
  }

  async readManifest(ref: PackageRef): Promise<Manifest> {
    const path = join(ref.dir, "manifest.json");
    const text = await readOrCorrupt(path, ref.load_id);
    let manifest: Partial<Manifest> | null;
    try {
      manifest = JSON.parse(text) as Partial<Manifest> | null;
    } catch (cause) {
      throw corrupt(path, ref.load_id, "is not JSON", cause);
    }
    const wrong = whatIsWrong(manifest, ref.load_id);
    if (wrong !== undefined) throw corrupt(path, ref.load_id, wrong);
    return manifest as Manifest;
  }

  async readSchema(ref: PackageRef): Promise<string> {
    return readOrCorrupt(join(ref.dir, "schema.json"), ref.load_id);
  }

  async readState(ref: PackageRef): Promise<string> {
    return readOrCorrupt(join(ref.dir, "state.json"), ref.load_id);
  }

  /**
   * The manifest of a package whose jobs are all there with the size they were sealed with; with `content`,
   * for a package that another process has written, also with the same bytes where a checksum is known.
   */
  async readVerified(ref: PackageRef, { content = false } = {}): Promise<Manifest> {
    const manifest = await this.readManifest(ref);
    await verifyJobs(ref, manifest);
    if (content) await verifyContent(ref, manifest);
    return manifest;
  }

  // ---- extract ----

  async beginExtract(loadId: string): Promise<OpenPackage> {
    if (!isLoadId(loadId)) throw defect(`"${loadId}" is not a load id`);
    const at = await this.#whereIs(loadId);
    if (at !== undefined) throw defect(`package ${loadId} is already ${at}`);
    const newest = (await this.pendingPackages()).at(-1);
    if (newest !== undefined && loadId < newest.load_id) {
      throw defect(`package ${loadId} would come before the pending package ${newest.load_id}`);
    }
    const open = this.#open("extracting", loadId);
    await mkdir(open.jobsDir, { recursive: true });
    this.#boundary("package:extracting:begun");
    return open;
  }

  /** The extracted rows, the schema and the state become one pending package, or nothing does. */
  async sealExtracted(
    open: OpenPackage,
    content: PackageContent,
    options: SealOptions = {},
  ): Promise<PendingPackage> {
    await this.#mustBeAt("extracting", open.load_id);
    await this.#mustNotBeAt("extracted", open.load_id);
    return (await this.#seal(open, content, "extracted", options)) as PendingPackage;
  }

  /** Throws a package away that was not sealed. */
  async abandon(open: OpenPackage): Promise<void> {
    await rm(open.dir, { recursive: true, force: true });
  }

  // ---- normalize ----

  /**
   * An empty folder for the normalized form of an extracted package, or of one that is being extracted; an earlier
   * attempt is thrown away.
   */
  async beginNormalize(loadId: string, from: "extracting" | "extracted" = "extracted"): Promise<OpenPackage> {
    await this.#mustBeAt(from, loadId);
    await this.#mustNotBeAt("normalized", loadId);
    const open = this.#open("normalizing", loadId);
    await rm(open.dir, { recursive: true, force: true });
    await mkdir(open.jobsDir, { recursive: true });
    this.#boundary("package:normalizing:begun");
    return open;
  }

  /** The normalized form takes the place of the extracted one. */
  async sealNormalized(
    open: OpenPackage,
    content: PackageContent,
    options: SealOptions = {},
  ): Promise<PendingPackage> {
    await this.#mustBeAt("normalizing", open.load_id);
    await this.#mustBeAt("extracted", open.load_id);
    await this.#mustNotBeAt("normalized", open.load_id);
    const sealed = (await this.#seal(open, content, "normalized", options)) as PendingPackage;
    await this.#removeFolder("extracted", open.load_id);
    return sealed;
  }

  // ---- load ----

  /**
   * After the destination's commit: the package's schema and state become the pipeline's, then the package is
   * renamed, then its rows are deleted. May be called again after a crash at any point before the rename.
   */
  async markLoaded(loadId: string, loadedAt: Date): Promise<PackageRef> {
    await this.#mustBeAt("normalized", loadId);
    await this.#mustNotBeAt("loaded", loadId);
    const oldest = (await this.pendingPackages())[0];
    if (oldest?.load_id !== loadId) {
      throw defect(`package ${loadId} is loaded before the older package ${oldest?.load_id}`);
    }
    const ref = this.#ref("normalized", loadId);
    const manifest = await this.readManifest(ref);
    await this.writeCommittedSchema(manifest.schema_name, await this.readSchema(ref));
    await this.writeCommittedState(await this.readState(ref));
    await this.#writeManifest(ref, { ...manifest, loaded_at: loadedAt.toISOString() });
    this.#boundary("package:loaded:manifest");
    const loaded = await this.#move(ref, "loaded");
    if (!this.#keepRows) await rm(loaded.jobsDir, { recursive: true, force: true });
    this.#boundary("package:loaded:rows_removed");
    await this.#pruneLoaded();
    return loaded;
  }

  /**
   * A package whose data is bad goes out of the way with its rows and the error. Later pending packages are
   * dropped first: they build on it. What they held is fetched again, since their cursors go too.
   */
  async setAside(
    loadId: string,
    error: ErrorEnvelope,
  ): Promise<{ readonly failed: PackageRef; readonly dropped: readonly string[] }> {
    const pending = await this.pendingPackages();
    const ref = pending.find((each) => each.load_id === loadId);
    if (ref === undefined) throw await this.#notAt("pending", loadId);
    await this.#mustNotBeAt("failed", loadId);
    const manifest = await this.readManifest(ref);
    const later = pending.filter((each) => each.load_id > loadId);
    await this.#drop(loadId, later);
    await this.#writeManifest(ref, { ...manifest, error });
    this.#boundary("package:failed:manifest");
    const failed = await this.#move(ref, "failed");
    await rm(join(this.dir, "normalizing", loadId), { recursive: true, force: true });
    return { failed, dropped: later.map((each) => each.load_id) };
  }

  /** Deletes a package that is no longer pending. */
  async remove(stage: "loaded" | "failed", loadId: string): Promise<void> {
    await this.#mustBeAt(stage, loadId);
    await this.#removeFolder(stage, loadId);
  }

  // ---- dropping ----

  /** Which packages `dropPending(from)` would drop, oldest first. */
  async wouldDrop(from?: string): Promise<PendingPackage[]> {
    const pending = await this.pendingPackages();
    if (pending.length === 0) throw new EngineError("NOTHING_PENDING", "There is no pending package.");
    if (from === undefined) return pending;
    if (!pending.some((each) => each.load_id === from)) throw await this.#notAt("pending", from);
    return pending.filter((each) => each.load_id >= from);
  }

  /**
   * Drops a pending package and all later ones, or all of them. Works on corrupt packages. They are kept as a
   * backup until there are `dropsMax` newer drops.
   */
  async dropPending(from?: string): Promise<Drop> {
    const packages = await this.wouldDrop(from);
    const first = packages[0]?.load_id ?? "";
    await this.#drop(first, packages);
    return (await this.listDrops()).find((each) => each.first === first) ?? { first, packages: [] };
  }

  /** Drops that can be restored, oldest first. */
  async listDrops(): Promise<Drop[]> {
    const drops: Drop[] = [];
    for (const first of await loadIdsIn(join(this.dir, "dropped"))) {
      const packages: PackageRef[] = [];
      for (const stage of ["extracted", "normalized"] as const) {
        const ids = await loadIdsIn(join(this.dir, "dropped", first, stage));
        packages.push(...ids.map((id) => refAt(join(this.dir, "dropped", first, stage, id), stage, id)));
      }
      if (packages.length > 0) drops.push({ first, packages: packages.sort(byLoadId) });
    }
    return drops;
  }

  /**
   * Makes the packages of a drop pending again. Refused once anything later was extracted or loaded (it has
   * fetched the rows again), or when the package that they build on is not there.
   */
  async restoreDropped(first: string): Promise<string[]> {
    const drop = (await this.listDrops()).find((each) => each.first === first);
    const oldest = drop?.packages[0];
    if (drop === undefined || oldest === undefined) {
      throw new EngineError("PACKAGE_NOT_FOUND", `There is no drop that began at package ${first}.`);
    }
    const present = [...(await this.pendingPackages()), ...(await this.list("loaded"))];
    const newer = present.find((each) => each.load_id > oldest.load_id);
    if (newer !== undefined) {
      throw new EngineError("PACKAGE_SUPERSEDED", `Package ${newer.load_id} came after the dropped ones.`, {
        details: { first, newer: newer.load_id },
      });
    }
    if (oldest.load_id !== first && !present.some((each) => each.load_id === first)) {
      throw new EngineError(
        "PACKAGE_SUPERSEDED",
        `The dropped packages build on ${first}, which was not loaded.`,
        {
          hint: "Leave them dropped: restoring them would step over the rows of the package that is missing.",
          details: { first },
        },
      );
    }
    for (const each of drop.packages) {
      this.#boundary("package:restored:before");
      await moveDurably(each.dir, join(this.dir, each.stage, each.load_id));
      this.#boundary("package:restored:after");
    }
    await rm(join(this.dir, "dropped", first), { recursive: true, force: true });
    return drop.packages.map((each) => each.load_id);
  }

  // ---- recovery ----

  /** At the start of a run, under the lock: removes what a crash left, so that each package is in one place. */
  async discardUnfinished(): Promise<Discarded> {
    const extracting = await loadIdsIn(join(this.dir, "extracting"));
    const normalizing = await loadIdsIn(join(this.dir, "normalizing"));
    for (const place of ["extracting", "normalizing", "removing"]) {
      await rm(join(this.dir, place), { recursive: true, force: true });
    }
    const later = [
      ...(await loadIdsIn(join(this.dir, "normalized"))),
      ...(await loadIdsIn(join(this.dir, "loaded"))),
      ...(await loadIdsIn(join(this.dir, "failed"))),
    ];
    const extracted: string[] = [];
    for (const id of await loadIdsIn(join(this.dir, "extracted"))) {
      if (!later.includes(id)) continue;
      await this.#removeFolder("extracted", id);
      extracted.push(id);
    }
    if (!this.#keepRows) {
      for (const { jobsDir } of await this.list("loaded"))
        await rm(jobsDir, { recursive: true, force: true });
    }
    for (const folder of [this.dir, join(this.dir, "schemas")]) {
      for (const name of await namesIn(folder))
        if (isTempFile(name)) await rm(join(folder, name), { force: true });
    }
    await this.#pruneLoaded();
    return { extracting, normalizing, extracted };
  }

  /** Removes all packages, state and schemas: for a pipeline that begins anew. */
  async forgetAll(): Promise<void> {
    await rm(join(this.dir, "state.json"), { force: true });
    for (const place of [...PLACES, "dropped", "removing", "schemas"]) {
      await rm(join(this.dir, place), { recursive: true, force: true });
    }
  }

  // ---- the pipeline's committed state and schemas ----

  async committedState(): Promise<string | undefined> {
    return readIfThere(join(this.dir, "state.json"));
  }

  async writeCommittedState(text: string): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    await writeFileAtomic(join(this.dir, "state.json"), text);
    this.#boundary("committed:state");
  }

  async committedSchema(name: string): Promise<string | undefined> {
    return readIfThere(this.#schemaPath(name));
  }

  async writeCommittedSchema(name: string, text: string): Promise<void> {
    const path = this.#schemaPath(name);
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, text);
    this.#boundary("committed:schema");
  }

  async committedSchemaNames(): Promise<string[]> {
    const names = await namesIn(join(this.dir, "schemas"));
    return names.flatMap((name) => /^(\w[\w-]*)\.schema\.json$/.exec(name)?.[1] ?? []).sort();
  }

  /** State from which the next package starts: that of the newest pending package, else the committed one. */
  async currentState(): Promise<string | undefined> {
    const newest = (await this.pendingPackages()).at(-1);
    return newest === undefined ? this.committedState() : this.readState(newest);
  }

  // ---- one rename each ----

  async #seal(
    open: OpenPackage,
    content: PackageContent,
    stage: PendingStage,
    { sync = true }: SealOptions,
  ): Promise<PackageRef> {
    const { manifest } = content;
    const wrong = whatIsWrong(manifest, open.load_id);
    if (wrong !== undefined) throw defect(`the manifest of package ${open.load_id} ${wrong}`);
    const ref = refAt(open.dir, stage, open.load_id);
    await verifyJobs(ref, manifest);
    if (sync) for (const job of manifest.jobs) await syncFile(join(open.jobsDir, job.file));
    await syncFolder(open.jobsDir);
    this.#boundary(`package:${stage}:jobs`);
    await writeFileAtomic(join(open.dir, "schema.json"), content.schema);
    this.#boundary(`package:${stage}:schema`);
    await writeFileAtomic(join(open.dir, "state.json"), content.state);
    this.#boundary(`package:${stage}:state`);
    await this.#writeManifest(ref, manifest);
    return this.#move(ref, stage);
  }

  async #move(ref: PackageRef, stage: Stage): Promise<PackageRef> {
    const to = this.#ref(stage, ref.load_id);
    this.#boundary(`package:${stage}:before`);
    await moveDurably(ref.dir, to.dir);
    this.#boundary(`package:${stage}:after`);
    return to;
  }

  async #drop(first: string, packages: readonly PackageRef[]): Promise<void> {
    for (const each of [...packages].sort(byLoadId).reverse()) {
      const to = join(this.dir, "dropped", first, each.stage, each.load_id);
      await rm(to, { recursive: true, force: true });
      this.#boundary("package:dropped:before");
      await moveDurably(each.dir, to);
      this.#boundary("package:dropped:after");
    }
    const others = (await this.listDrops()).map((each) => each.first).filter((each) => each !== first);
    const surplus = others.length + 1 - this.#dropsMax;
    for (const each of surplus > 0 ? others.slice(0, surplus) : []) {
      await rm(join(this.dir, "dropped", each), { recursive: true, force: true });
    }
  }

  /** A rename out of sight first: a half-deleted folder must not look like a package. */
  async #removeFolder(stage: Stage, loadId: string): Promise<void> {
    const to = join(this.dir, "removing", `${stage}-${loadId}`);
    await rm(to, { recursive: true, force: true });
    this.#boundary("package:removed:before");
    await moveDurably(join(this.dir, stage, loadId), to);
    this.#boundary("package:removed:after");
    await rm(to, { recursive: true, force: true });
  }

  async #pruneLoaded(): Promise<void> {
    const ids = await loadIdsIn(join(this.dir, "loaded"));
    const surplus = ids.length - this.#loadedManifestsMax;
    for (const id of surplus > 0 ? ids.slice(0, surplus) : []) await this.#removeFolder("loaded", id);
  }

  async #writeManifest(ref: PackageRef, manifest: Manifest): Promise<void> {
    await writeFileAtomic(join(ref.dir, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  }

  // ---- what must hold ----

  async #mustBeAt(place: Place, loadId: string): Promise<void> {
    if (!isLoadId(loadId) || !(await exists(join(this.dir, place, loadId))))
      throw await this.#notAt(place, loadId);
  }

  async #mustNotBeAt(place: Place, loadId: string): Promise<void> {
    if (await exists(join(this.dir, place, loadId))) throw defect(`package ${loadId} is already ${place}`);
  }

  async #notAt(expected: string, loadId: string): Promise<EngineError> {
    const at = isLoadId(loadId) ? await this.#whereIs(loadId) : undefined;
    if (at === undefined) {
      return new EngineError("PACKAGE_NOT_FOUND", `There is no package ${loadId}.`, {
        details: { load_id: loadId },
      });
    }
    if (expected === "pending") {
      return new EngineError("PACKAGE_NOT_FOUND", `Package ${loadId} is not pending: it is ${at}.`, {
        details: { load_id: loadId, stage: at },
      });
    }
    return defect(`package ${loadId} should be ${expected}, but is ${at}`);
  }

  async #whereIs(loadId: string): Promise<Place | undefined> {
    for (const place of PLACES) if (await exists(join(this.dir, place, loadId))) return place;
    return undefined;
  }

  #ref(stage: Stage, loadId: string): PackageRef {
    return refAt(join(this.dir, stage, loadId), stage, loadId);
  }

  #open(stage: WorkStage, loadId: string): OpenPackage {
    const dir = join(this.dir, stage, loadId);
    return { load_id: loadId, stage, dir, jobsDir: join(dir, "new") };
  }

  #schemaPath(name: string): string {
    if (!/^\w[\w-]*$/.test(name)) {
      throw new EngineError("IDENTIFIER_INVALID", `"${name}" cannot be the name of a schema file.`);
    }
    return join(this.dir, "schemas", `${name}.schema.json`);
  }
}

function refAt(dir: string, stage: Stage, loadId: string): PackageRef {
  return { load_id: loadId, stage, dir, jobsDir: join(dir, "new") };
}

function byLoadId(a: PackageRef, b: PackageRef): number {
  return a.load_id < b.load_id ? -1 : a.load_id > b.load_id ? 1 : 0;
}

function defect(what: string): EngineError {
  return new EngineError("INTERNAL", `Refused: ${what}.`);
}
