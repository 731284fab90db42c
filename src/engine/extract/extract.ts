/**
 * Runs the resources of a source and fills packages with their rows.
 *
 * A package is sealed when it reaches a bound, if every resource that is running allows it: its rows are
 * then complete up to a point that its state names (see `canSplit`). Such resources run first; the others
 * follow and end in the last package. Code of resources runs only while a package is open, and is suspended
 * at a `yield` whenever one is sealed, so state cannot run ahead of rows.
 */

import type { RunContext } from "../context.ts";
import { EngineError } from "../errors.ts";
import { parseTypedJson } from "../interop/json.ts";
import type { PipelineState } from "../interop/state.ts";
import type { JobInfo, ResourceInPackage } from "../package/types.ts";
import { contractViolation } from "../schema/contract.ts";
import { updateTable } from "../schema/merge.ts";
import type { NamingConvention } from "../schema/naming.ts";
import { hasSeenData, isComplete, isNested } from "../schema/tables.ts";
import { isWidening, typeChangeRefused } from "../schema/type-change.ts";
import type { ContractMode, Schema, Table } from "../schema/types.ts";
import { boundaryKey, type CursorName, type StoredBoundaries, writeBoundaryJob } from "./boundary-store.ts";
import { underContract } from "./declare.ts";
import { checkKeys, namesOf, tableFromHints } from "./hints.ts";
import { type BoundaryChunks, CursorRun, type Incremental } from "./incremental.ts";
import { countRows, JobWriter } from "./job-writer.ts";
import { nestedTablesFromHints } from "./nested-hints.ts";
import { checkpoint, JsonlPage, type Row, type Yielded } from "./page.ts";
import type { Resource, Source } from "./resource.ts";
import type { ResourceContext, RunScope } from "./resource-context.ts";
import { sortedLines } from "./sorted-lines.ts";
import { dispositionOf, strategyOf } from "./write-disposition.ts";

const PROGRESS_MS = 100;
/** Different reasons for an end that are kept of a resource; the others are counted together. */
const END_REASONS_MAX = 20;
const LF = 0x0a;

/** Where the rows of the package being extracted go; opened when the first package is begun. */
export interface ExtractTarget {
  readonly jobsDir: string;
}

/** What `seal` gets: everything extracted since the last seal. */
export interface Extracted {
  readonly jobs: readonly JobInfo[];
  readonly resources: readonly ResourceInPackage[];
  /** Tables that their contract keeps out of the schema although there are rows for them. */
  readonly refusedTables: Readonly<Record<string, ContractMode>>;
  /** Rows of such tables that were only counted. */
  readonly discarded: Readonly<Record<string, number>>;
}

export interface ExtractWork {
  readonly pipelineName: string;
  readonly source: Source;
  /** Only these; undefined: all. */
  readonly resources?: readonly string[];
  readonly rowsMax?: number;
  /** Rows of a table that its contract discards are written all the same, to be kept as rejected ones. */
  readonly keepRejected: boolean;
  /** Changed in place: declared tables and hints. `seal` may put a later form of it here. */
  schema: Schema;
  readonly naming: NamingConvention;
  /** Jobs are on the disk when their package is sealed. */
  readonly sync: boolean;
  /** Changed in place: cursors and resource state. */
  readonly state: PipelineState;
  /** What is remembered of rows at the last value of cursors beside the state. */
  readonly boundaries: StoredBoundaries;
  /** Begins a package; called once before the first row and after each seal. */
  readonly begin: () => Promise<ExtractTarget>;
  /** Seals the package that is open. Not called for the last one: its content is returned. */
  readonly seal: (extracted: Extracted) => Promise<void>;
  readonly warn: (message: string) => void;
}

/**
 * May a package be sealed while this resource still has rows to come? Then the package must hold all rows up
 * to its cursor, and committing two parts must leave the same tables as committing the whole.
 */
function canSplit(resource: Resource): boolean {
  const { hints } = resource;
  if (resource.parent || dispositionOf(hints.writeDisposition) === "replace") return false;
  // what a load lacks is retired, so a part of it would retire the rest
  if (strategyOf(hints.writeDisposition) === "scd2") return false;
  if (hints.checkpoints) return true;
  if (hints.incremental === undefined || !goesOnFromCursor(hints.incremental)) return false;
  // a window from outside is read from its start again: only rows with a key may be loaded twice
  if (hints.incremental.endValue !== undefined) {
    if (dispositionOf(hints.writeDisposition) !== "merge" || namesOf(hints.primaryKey).length === 0)
      return false;
  }
  // deleting by merge key, or choosing by dedup_sort, looks at a package as a whole
  return (
    namesOf(hints.mergeKey).length === 0 &&
    !Object.values(hints.columns ?? {}).some((column) => column.merge_key || column.dedup_sort)
  );
}

/** Rows come in the order in which the cursor moves, so that behind any page the cursor says what is there. */
function goesOnFromCursor({ rowOrder, lastValueFunc }: Incremental): boolean {
  return rowOrder === "asc" && (lastValueFunc ?? "max") === "max";
}

/** The resource of a root together with the transformers that its rows feed. */
class Group {
  readonly root: Running;
  readonly splits: boolean;
  iterator: AsyncIterator<Yielded> | Iterator<Yielded> | undefined;
  /** True when the last thing it yielded made it safe to seal. */
  safe = true;
  done = false;
  pages = 0;
  startedAt = 0;

  constructor(root: Running) {
    this.root = root;
    this.splits = canSplit(root.resource) && root.children.length === 0;
  }
}

/** One resource while it runs. */
interface Running {
  readonly resource: Resource;
  readonly children: Running[];
  /** False: its rows only feed children. */
  readonly loads: boolean;
  readonly cursor: CursorRun | undefined;
  readonly context: ResourceContext;
  readonly cursorBefore: unknown;
  readonly tables: Set<string>;
  /** Why reading ended, with how often, in the open package. */
  readonly ended: Map<string, number>;
  /** Rows in the open package. */
  rows: number;
  /** Rows over the whole run. */
  rowsTotal: number;
  stopped: boolean;
}

export async function extractSource(work: ExtractWork, context: RunContext): Promise<Extracted> {
  const extraction = new Extraction(work, context);
  return extraction.run();
}

class Extraction {
  private readonly work: ExtractWork;
  private readonly context: RunContext;
  private readonly running: Running[] = [];
  private writer: JobWriter | undefined;
  private jobsDir = "";
  private rows = 0;
  private bytes = 0;
  private openedAt = 0;
  private readonly startedAt: number;
  private lastProgress = 0;
  private readonly declaredTables = new Set<string>();
  private readonly refusedTables = new Map<string, Exclude<ContractMode, "evolve">>();
  /** Tables that nested hints made roots with a disposition of their own. */
  private readonly cutOut = new Set<string>();
  /** Rows that were not even written, by table. */
  private readonly discarded = new Map<string, number>();
  private readonly tableCounts = new Map<string, { rows: number; bytes: number }>();
  private readonly endings: (() => unknown)[] = [];
  private readonly scope: RunScope = { atEnd: (close) => this.endings.push(close) };

  constructor(work: ExtractWork, context: RunContext) {
    this.work = work;
    this.context = context;
    this.startedAt = context.now();
  }

  async run(): Promise<Extracted> {
    const groups = this.prepare();
    try {
      await this.open();
      await this.runGroups(groups.filter((group) => group.splits));
      await this.runGroups(groups.filter((group) => !group.splits));
      const extracted = await this.close();
      for (const { resource, cursor, loads } of this.running) {
        const coarse = loads ? cursor?.coarseness : undefined;
        if (coarse) this.work.warn(`Resource ${resource.name}: ${coarse}`);
      }
      return extracted;
    } catch (error) {
      await this.writer?.abort();
      throw error;
    } finally {
      await Promise.allSettled(groups.map((group) => closeIterator(group)));
      await Promise.allSettled(this.endings.map(async (close) => close()));
    }
  }

  /** Checks everything that can be checked before any code of the source runs. */
  private prepare(): Group[] {
    const { source, resources } = this.work;
    const chosen = source.chosen(resources);
    for (const resource of chosen) checkKeys(resource);
    const byResource = new Map<Resource, Running>();
    const groups: Group[] = [];
    const add = (resource: Resource, loads: boolean): Running => {
      const known = byResource.get(resource);
      if (known) return known;
      // a resource that was listed and one that is only somebody's parent are the same when they share a name
      const twin = [...byResource.values()].find((other) => other.resource.name === resource.name);
      if (twin) return twin;
      const running = this.makeRunning(resource, loads);
      byResource.set(resource, running);
      this.running.push(running);
      if (resource.parent) add(resource.parent, false).children.push(running);
      return running;
    };
    for (const resource of chosen) add(resource, true);
    for (const running of this.running) {
      if (!running.resource.parent) {
        if (running.resource.data === undefined) {
          throw new EngineError(
            "SOURCE_INVALID",
            `Transformer ${running.resource.name} has no resource to feed it.`,
            {
              hint: "Give it `from`, or pipe a resource into it.",
              details: { resource: running.resource.name },
            },
          );
        }
        groups.push(new Group(running));
      }
      if (running.loads && typeof running.resource.hints.tableName !== "function")
        this.declareTable(running, staticTable(running.resource));
    }
    return groups;
  }

  private makeRunning(resource: Resource, loads: boolean): Running {
    const { state, source, warn } = this.work;
    const { hints } = resource;
    const sourceState = (): Record<string, unknown> => {
      state.sources ??= {};
      state.sources[source.name] ??= {};
      return state.sources[source.name]!;
    };
    const resourceStates = (): Record<string, Record<string, unknown>> => {
      const own = sourceState();
      own.resources ??= {};
      return own.resources as Record<string, Record<string, unknown>>;
    };
    // a replaced table starts anew, and so does what its resource remembers
    if (dispositionOf(hints.writeDisposition) === "replace") {
      const own = sourceState();
      if (own.resources) delete resourceStates()[resource.name];
    }
    const ownState = (): Record<string, unknown> => {
      const all = resourceStates();
      all[resource.name] ??= {};
      return all[resource.name]!;
    };
    let cursor: CursorRun | undefined;
    let cursorBefore: unknown;
    if (hints.incremental) {
      const declared = hints.incremental;
      // a window that is given from outside does not touch what is stored
      let slot: Record<string, unknown> = {};
      if (declared.endValue === undefined) {
        const own = ownState();
        own.incremental ??= {};
        slot = own.incremental as Record<string, unknown>;
      }
      cursorBefore = (slot[declared.cursorPath] as { last_value?: unknown } | undefined)?.last_value ?? null;
      cursor = new CursorRun(declared, {
        resource: resource.name,
        slot,
        primaryKey: hints.primaryKey,
        mergesByKey:
          dispositionOf(hints.writeDisposition) === "merge" && namesOf(hints.primaryKey).length > 0,
        stored: this.work.boundaries.get(boundaryKey({ resource: resource.name, path: declared.cursorPath })),
      });
    }
    const { signal, log } = this.context;
    const ended = new Map<string, number>();
    return {
      resource,
      ended,
      loads,
      cursor,
      cursorBefore,
      children: [],
      tables: new Set(),
      rows: 0,
      rowsTotal: 0,
      stopped: false,
      context: {
        get state() {
          return ownState();
        },
        get sourceState() {
          return sourceState();
        },
        cursor: cursor?.view as ResourceContext["cursor"],
        run: this.scope,
        signal,
        log,
        warn: (message) => warn(`Resource ${resource.name}: ${message}`),
        ended: (reason) => {
          const kept = ended.has(reason) || ended.size < END_REASONS_MAX ? reason : "other reasons";
          ended.set(kept, (ended.get(kept) ?? 0) + 1);
        },
      },
    };
  }

  /** Adds a resource's table to the schema, once per run. */
  private declareTable(running: Running, tableName: string): string {
    const { schema, naming } = this.work;
    const name = naming.path(tableName);
    if (running.tables.has(name)) return name;
    running.tables.add(name);
    // of several resources that fill one table the first one declares it, as in dlt
    if (this.declaredTables.has(name)) return name;
    this.declaredTables.add(name);
    const table = tableFromHints(running.resource, name, naming);
    refuseTypeChanges(schema.tables.get(name), table);
    if (!this.addDeclaration(table)) return name;
    for (const nested of nestedTablesFromHints(running.resource, name, schema, naming)) {
      if (!this.addDeclaration(nested) || nested.resource === undefined) continue;
      if (nested.write_disposition === "replace") running.tables.add(nested.name);
      else this.cutOut.add(nested.name);
    }
    return name;
  }

  /** Puts a declaration into the schema as far as the table's contract lets it; false: not at all. */
  private addDeclaration(declared: Table): boolean {
    const { schema, warn } = this.work;
    const { table, refused, ignored } = underContract(schema, declared);
    for (const column of ignored) {
      warn(`Table ${declared.name}: the declared column ${column} is left out, as its contract says.`);
    }
    if (refused) {
      this.refusedTables.set(declared.name, refused);
      return false;
    }
    updateTable(schema, table, { declared: true });
    return true;
  }

  /** A new table may be refused by contract; that matters once it gets rows. */
  private admits(running: Running, table: string, rows: number): boolean {
    const mode = this.refusedTables.get(table);
    if (mode === undefined || rows === 0) return true;
    if (mode === "freeze") {
      const { name } = running.resource;
      throw contractViolation("tables", table).withDetails({ resource: name, row: 1 });
    }
    // normalizing keeps the rows as rejected ones
    if (this.work.keepRejected) return true;
    this.discarded.set(table, (this.discarded.get(table) ?? 0) + rows);
    return false;
  }

  private async open(): Promise<void> {
    const target = await this.work.begin();
    this.writer = new JobWriter(target.jobsDir, this.context.limits.jobBytesMax, this.work.sync);
    this.jobsDir = target.jobsDir;
    this.rows = 0;
    this.bytes = 0;
    this.openedAt = this.context.now();
    for (const running of this.running) {
      running.rows = 0;
      running.ended.clear();
    }
  }

  private async close(): Promise<Extracted> {
    const boundaries: { name: CursorName; chunks: BoundaryChunks }[] = [];
    for (const { resource, cursor } of this.running) {
      const chunks = cursor?.settle();
      if (cursor && chunks) boundaries.push({ name: this.cursorName(resource, cursor), chunks });
    }
    const boundaryJob = await writeBoundaryJob(this.jobsDir, boundaries);
    const jobs = [...(await this.writer!.finish()), ...(boundaryJob ? [boundaryJob] : [])];
    this.report(true);
    const discarded = Object.fromEntries(this.discarded);
    this.discarded.clear();
    return {
      jobs,
      refusedTables: Object.fromEntries(this.refusedTables),
      discarded,
      resources: this.running.filter((running) => running.loads).map((running) => this.inPackage(running)),
    };
  }

  private cursorName(resource: Resource, { path }: CursorRun): CursorName {
    const { pipelineName, source } = this.work;
    return { pipeline: pipelineName, source: source.name, resource: resource.name, path };
  }

  private inPackage(running: Running): ResourceInPackage {
    const { resource, cursor, rows } = running;
    const disposition = dispositionOf(resource.hints.writeDisposition);
    const tables = new Set(running.tables);
    if (disposition === "replace") {
      // tables that a function named in an earlier run are replaced as well
      for (const table of this.work.schema.tables.values()) {
        if (isNested(table) || table.resource !== resource.name || !hasSeenData(table)) continue;
        if (!this.cutOut.has(table.name)) tables.add(table.name);
      }
    }
    const after = this.cursorAfter(running);
    return {
      name: resource.name,
      write_disposition: disposition,
      tables: [...tables],
      rows,
      ...(cursor && after !== undefined
        ? { cursor: { path: cursor.path, before: running.cursorBefore ?? null, after } }
        : {}),
      ...(running.ended.size > 0 ? { ended: Object.fromEntries(running.ended) } : {}),
    };
  }

  private cursorAfter(running: Running): unknown {
    const { resource, cursor } = running;
    if (!cursor || resource.hints.incremental?.endValue !== undefined) return undefined;
    const slot = running.context.state.incremental as Record<string, { last_value?: unknown }> | undefined;
    return slot?.[cursor.path]?.last_value ?? null;
  }

  private isFull(): boolean {
    const { limits } = this.context;
    return (
      this.rows >= limits.packageRowsMax ||
      this.bytes >= limits.packageBytesMax ||
      (this.rows > 0 && this.context.now() - this.openedAt >= limits.packageSecondsMax * 1000)
    );
  }

  /**
   * Takes pages from several groups at once. When the package is full no group is asked for more once it is
   * safe; when all are, the package is sealed.
   */
  private async runGroups(groups: readonly Group[]): Promise<void> {
    const waiting = [...groups];
    const active = new Set<Group>();
    const inFlight = new Map<Group, Promise<Group>>();
    while (waiting.length > 0 || active.size > 0) {
      this.context.signal.throwIfAborted();
      while (active.size < this.context.limits.parallelResourcesMax && waiting.length > 0)
        active.add(waiting.shift()!);
      const full = this.isFull();
      for (const group of active) {
        if (inFlight.has(group) || (full && group.splits && group.safe)) continue;
        inFlight.set(
          group,
          this.takePage(group).then(() => group),
        );
      }
      if (inFlight.size === 0) {
        await this.work.seal(await this.close());
        await this.open();
        continue;
      }
      const group = await Promise.race(inFlight.values());
      inFlight.delete(group);
      if (group.done) active.delete(group);
    }
  }

  private async takePage(group: Group): Promise<void> {
    const { root } = group;
    if (!group.iterator) {
      group.startedAt = this.context.now();
      group.iterator = await start(root);
    }
    const next = await call(root.resource, () => group.iterator!.next());
    if (next.done) {
      group.done = true;
      group.safe = true;
      return;
    }
    const page = next.value;
    if (page === checkpoint) {
      group.safe = true;
      return;
    }
    group.pages++;
    await this.page(root, page as Yielded & object);
    const { incremental } = root.resource.hints;
    group.safe = incremental !== undefined && goesOnFromCursor(incremental);
    if (root.stopped || this.reached(group)) {
      group.done = true;
      group.safe = true;
      await closeIterator(group);
    }
  }

  private reached(group: Group): boolean {
    const { limit } = group.root.resource;
    if (!limit) return false;
    return (
      (limit.pages !== undefined && group.pages >= limit.pages) ||
      (limit.seconds !== undefined && this.context.now() - group.startedAt >= limit.seconds * 1000)
    );
  }

  private async page(running: Running, page: Row | readonly Row[] | JsonlPage): Promise<void> {
    if (page instanceof JsonlPage) {
      if (this.needsObjects(running)) await this.linePage(running, page);
      else if (running.cursor) {
        const sorted = page.sorted === true && running.cursor.sorted;
        const kept = sorted ? this.cursorLines(running, running.cursor, page) : undefined;
        if (kept === undefined) await this.linePage(running, page);
        else if (kept.bytes.length > 0) await this.bytesPage(running, kept);
      } else await this.bytesPage(running, page);
      return;
    }
    await this.objects(running, Array.isArray(page) ? page : [page as Row]);
  }

  private async bytesPage(running: Running, page: JsonlPage): Promise<void> {
    if (!running.loads) return;
    const table = this.declareTable(running, staticTable(running.resource));
    if (this.refusedTables.has(table) && !this.admits(running, table, countRows(page.bytes))) return;
    const rows = await this.writer!.writePage(table, page);
    this.count(running, table, rows, page.bytes.length);
  }

  /** The lines of a page in cursor order that are new; undefined: each line has to be looked at. */
  private cursorLines(running: Running, cursor: CursorRun, page: JsonlPage): JsonlPage | undefined {
    const bytes = call(running.resource, () => sortedLines(page.bytes, cursor));
    if (bytes === undefined) return undefined;
    cursor.pageDone(bytes.length > 0);
    return bytes === page.bytes ? page : new JsonlPage(bytes, { guesses: page.guesses });
  }

  private needsObjects(running: Running): boolean {
    const { resource } = running;
    return (
      resource.steps.length > 0 ||
      running.children.length > 0 ||
      typeof resource.hints.tableName === "function" ||
      resource.limit?.rows !== undefined ||
      this.work.rowsMax !== undefined
    );
  }

  /** Lines that have to be looked at: parsed one by one, and written as they were unless a step changes them. */
  private async linePage(running: Running, page: JsonlPage): Promise<void> {
    const buffer = Buffer.from(page.bytes.buffer, page.bytes.byteOffset, page.bytes.byteLength);
    const rows: Row[] = [];
    let line = page.origin?.line ?? 1;
    for (let at = 0; at < buffer.length; line++) {
      let end = buffer.indexOf(LF, at);
      if (end < 0) end = buffer.length;
      const text = buffer.toString("utf8", at, end).trim();
      at = end + 1;
      if (text === "") continue;
      try {
        rows.push(parseTypedJson(text) as Row);
      } catch (cause) {
        const where = page.origin
          ? `${page.origin.file}, line ${line}`
          : `a row of resource ${running.resource.name}`;
        const problem = cause instanceof Error ? cause.message : "not JSON";
        throw new EngineError("FILE_FORMAT", `${where}: ${problem}.`, {
          details: {
            resource: running.resource.name,
            ...(page.origin ? { file: page.origin.file, line } : {}),
          },
        });
      }
    }
    await this.objects(running, rows, page.guesses);
  }

  private async objects(
    running: Running,
    page: readonly Row[],
    guesses?: JsonlPage["guesses"],
  ): Promise<void> {
    const { resource, cursor } = running;
    let rows: readonly Row[] = page;
    for (const step of resource.steps) rows = call(resource, () => applyStep(step, rows));
    const rowsMax = Math.min(
      this.work.rowsMax ?? Number.POSITIVE_INFINITY,
      resource.limit?.rows ?? Number.POSITIVE_INFINITY,
    );
    const admitted: Row[] = [];
    for (const row of rows) {
      if (running.rowsTotal + admitted.length >= rowsMax) {
        running.stopped = true;
        break;
      }
      const answer = cursor ? cursor.admit(row) : "yes";
      if (answer === "yes") admitted.push(row);
      else if (answer === "stop") running.stopped = true;
    }
    if (running.rowsTotal + admitted.length >= rowsMax) running.stopped = true;
    cursor?.pageDone(admitted.length > 0);
    if (admitted.length > 0 && running.loads) await this.write(running, admitted, guesses);
    else running.rowsTotal += admitted.length;
    for (const child of running.children) {
      for (const row of admitted) {
        this.context.signal.throwIfAborted();
        if (child.stopped) break;
        const made = await call(child.resource, () => child.resource.transform!(row, child.context));
        if (made === undefined || made === null) continue;
        if (!isMany(made)) {
          await this.objects(child, [made as Row]);
          continue;
        }
        for await (const item of made as AsyncIterable<Row | readonly Row[]>) {
          await this.page(child, item);
        }
      }
    }
  }

  private async write(running: Running, rows: readonly Row[], guesses: JsonlPage["guesses"]): Promise<void> {
    const { tableName } = running.resource.hints;
    if (typeof tableName !== "function") {
      await this.writeTo(running, this.declareTable(running, staticTable(running.resource)), rows, guesses);
      return;
    }
    const byTable = new Map<string, Row[]>();
    for (const row of rows) {
      const name = call(running.resource, () => tableName(row));
      const known = byTable.get(name);
      if (known) known.push(row);
      else byTable.set(name, [row]);
    }
    for (const [name, group] of byTable)
      await this.writeTo(running, this.declareTable(running, name), group, guesses);
  }

  private async writeTo(
    running: Running,
    table: string,
    rows: readonly Row[],
    guesses: JsonlPage["guesses"],
  ): Promise<void> {
    if (!this.admits(running, table, rows.length)) return;
    const bytes = await call(running.resource, () => this.writer!.writeRows(table, rows, guesses));
    this.count(running, table, rows.length, bytes);
  }

  private count(running: Running, table: string, rows: number, bytes: number): void {
    running.rows += rows;
    running.rowsTotal += rows;
    this.rows += rows;
    this.bytes += bytes;
    const counts = this.tableCounts.get(table) ?? { rows: 0, bytes: 0 };
    counts.rows += rows;
    counts.bytes += bytes;
    this.tableCounts.set(table, counts);
    this.report(false);
  }

  private report(all: boolean): void {
    const now = this.context.now();
    if (!all && now - this.lastProgress < PROGRESS_MS) return;
    this.lastProgress = now;
    for (const [table, { rows, bytes }] of this.tableCounts) {
      this.context.progress({
        kind: "progress",
        step: "extract",
        table,
        rows,
        bytes,
        elapsedMs: now - this.startedAt,
      });
    }
  }
}

/**
 * A declared type that the column's table cannot take, found before anything is fetched. Lengths and precisions
 * mean something else at each destination and are compared when the package is loaded.
 */
function refuseTypeChanges(table: Table | undefined, declared: Table): void {
  if (table === undefined || !hasSeenData(table)) return;
  for (const column of declared.columns.values()) {
    const before = table.columns.get(column.name);
    if (!before || !isComplete(before) || !isComplete(column) || before.data_type === column.data_type)
      continue;
    const after = { ...before, ...column };
    if (!isWidening(before, after)) throw typeChangeRefused(table.name, before, after);
  }
}

function staticTable(resource: Resource): string {
  const { tableName } = resource.hints;
  return typeof tableName === "string" ? tableName : resource.name;
}

function applyStep(step: Resource["steps"][number], rows: readonly Row[]): readonly Row[] {
  switch (step.kind) {
    case "map":
      return rows.map(step.apply);
    case "filter":
      return rows.filter(step.apply);
    case "flat_map":
      return rows.flatMap((row) => [...step.apply(row)]);
  }
}

function isMany(value: unknown): boolean {
  return (
    Array.isArray(value) ||
    (typeof value === "object" &&
      value !== null &&
      (Symbol.asyncIterator in value || Symbol.iterator in value))
  );
}

async function start(running: Running): Promise<AsyncIterator<Yielded> | Iterator<Yielded>> {
  const { resource, context } = running;
  const { data } = resource;
  const made = typeof data === "function" ? await call(resource, () => data(context)) : data;
  if (isMany(made)) {
    const many = made as AsyncIterable<Yielded> & Iterable<Yielded>;
    return many[Symbol.asyncIterator] ? many[Symbol.asyncIterator]() : many[Symbol.iterator]();
  }
  if (typeof made === "object" && made !== null) return [made as Row][Symbol.iterator]();
  throw new EngineError("SOURCE_INVALID", `Resource ${resource.name} returned no rows to iterate over.`, {
    hint: "Return an array or a row, or write the function as `async function*` and yield rows.",
    details: { resource: resource.name },
  });
}

/** Lets the source's code clean up behind its `yield`. */
async function closeIterator(group: Group): Promise<void> {
  const { iterator } = group;
  group.iterator = undefined;
  await iterator?.return?.();
}

/** Runs code of the source; what it throws says which resource it was. */
function call<T>(resource: Resource, run: () => T): T {
  try {
    const result = run();
    if (result instanceof Promise) return result.catch((error) => fail(resource, error)) as T;
    return result;
  } catch (error) {
    return fail(resource, error);
  }
}

function fail(resource: Resource, error: unknown): never {
  const details = { resource: resource.name };
  if (error instanceof EngineError) throw error.withDetails(details);
  if (error instanceof Error && error.name === "AbortError") throw error;
  const message = error instanceof Error ? error.message : String(error);
  throw new EngineError("EXTRACT_FAILED", `Resource ${resource.name} failed: ${message}`, {
    details,
    cause: error,
  });
}
