/**
 * Runs the resources of a source and fills packages with their rows.
 *
 * A package is sealed when it reaches a bound, if every resource that is running allows it: its rows are
 * then complete up to a point that its state names (see `canSplit`). Such resources run first; the others
 * follow and end in the last package. Code of resources runs only while a package is open, and is suspended
 * at a `yield` whenever one is sealed, so state cannot run ahead of rows. A refresh is one package, whatever its
 * size: it takes away what was there.
 */

import type { RunContext } from "../context.ts";
import { EngineError } from "../errors.ts";
import type { CursorName } from "./boundary-store.ts";
import type { CursorRun } from "./cursor-run.ts";
import { Group } from "./group.ts";
import { PackageWriter } from "./package-writer.ts";
import type { Resource } from "./resource.ts";
import { RowPages } from "./row-pages.ts";
import type { BoundaryChunks } from "./rows-at-last.ts";
import { inPackage, type Running, runningResources } from "./running.ts";
import { SourceTables, staticTable } from "./source-tables.ts";
import type { Extracted, ExtractWork } from "./work.ts";

/** Returns the content of the last package; those before it were given to `work.seal`. */
export async function extractSource(work: ExtractWork, context: RunContext): Promise<Extracted> {
  const extraction = new Extraction(work, context);
  return extraction.run();
}

class Extraction {
  private readonly work: ExtractWork;
  private readonly context: RunContext;
  private readonly tables: SourceTables;
  private readonly writer: PackageWriter;
  private readonly pages: RowPages;
  private running: readonly Running[] = [];
  private readonly endings: (() => unknown)[] = [];

  constructor(work: ExtractWork, context: RunContext) {
    this.work = work;
    this.context = context;
    this.tables = new SourceTables(work);
    this.writer = new PackageWriter(context, work.sync);
    this.pages = new RowPages(this.tables, this.writer, work.rowsMax, context.signal);
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
      await this.writer.abort();
      throw error;
    } finally {
      await Promise.allSettled(groups.map((group) => group.close()));
      await Promise.allSettled(this.endings.map(async (close) => close()));
    }
  }

  /** Checks everything that can be checked before any code of the source runs. */
  private prepare(): Group[] {
    this.running = runningResources(this.work, this.context, {
      atEnd: (close) => this.endings.push(close),
    });
    const groups: Group[] = [];
    for (const running of this.running) {
      const { resource } = running;
      if (!resource.parent) {
        if (resource.data === undefined) {
          throw new EngineError(
            "SOURCE_INVALID",
            `Transformer ${resource.name} has no resource to feed it.`,
            {
              hint: "Give it `from`, or pipe a resource into it.",
              details: { resource: resource.name },
            },
          );
        }
        groups.push(new Group(running, this.context.now, this.work.whole));
      }
      if (running.loads && typeof resource.hints.tableName !== "function")
        this.tables.declareTable(running, staticTable(resource));
    }
    return groups;
  }

  private async open(): Promise<void> {
    this.writer.open(await this.work.begin());
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
    return {
      jobs: await this.writer.finish(boundaries),
      refusedTables: this.tables.refusedTables(),
      discarded: this.tables.takeDiscarded(),
      resources: this.running
        .filter((running) => running.loads)
        .map((running) => inPackage(running, this.tables.inPackage(running))),
    };
  }

  private cursorName(resource: Resource, { path }: CursorRun): CursorName {
    const { pipelineName, source } = this.work;
    return { pipeline: pipelineName, source: source.name, resource: resource.name, path };
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
      const full = this.writer.isFull();
      for (const group of active) {
        if (inFlight.has(group) || (full && group.splits && group.safe)) continue;
        inFlight.set(
          group,
          group.takePage((page) => this.pages.page(group.root, page)).then(() => group),
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
}
