/** What is read together: a resource and the transformers that its rows feed. */

import { EngineError } from "../errors.ts";
import { call } from "./call.ts";
import { canSplit, goesOnFromCursor } from "./can-split.ts";
import { checkpoint, isMany, type Page, type Row, type Yielded } from "./page.ts";
import type { Running } from "./running.ts";

export class Group {
  readonly root: Running;
  readonly splits: boolean;
  /** True when the last thing it yielded made it safe to seal. */
  safe = true;
  done = false;
  private readonly now: () => number;
  private iterator: AsyncIterator<Yielded> | Iterator<Yielded> | undefined;
  private pages = 0;
  private startedAt = 0;

  constructor(root: Running, now: () => number, whole: boolean) {
    this.root = root;
    this.now = now;
    this.splits = !whole && canSplit(root.resource) && root.children.length === 0;
  }

  /** Reads one page and hands it to `use`; or finds a checkpoint, or the end. */
  async takePage(use: (page: Page) => Promise<void>): Promise<void> {
    const { root } = this;
    if (!this.iterator) {
      this.startedAt = this.now();
      this.iterator = await start(root);
    }
    const next = await call(root.resource, () => this.iterator!.next());
    if (next.done) {
      this.done = true;
      this.safe = true;
      return;
    }
    const page = next.value;
    if (page === checkpoint) {
      this.safe = true;
      return;
    }
    this.pages++;
    await use(page as Page);
    const { incremental } = root.resource.hints;
    this.safe = incremental !== undefined && goesOnFromCursor(incremental);
    if (root.stopped || this.reachedLimit()) {
      this.done = true;
      this.safe = true;
      await this.close();
    }
  }

  /** Lets the source's code clean up behind its `yield`. */
  async close(): Promise<void> {
    const { iterator } = this;
    this.iterator = undefined;
    await iterator?.return?.();
  }

  private reachedLimit(): boolean {
    const { limit } = this.root.resource;
    if (!limit) return false;
    return (
      (limit.pages !== undefined && this.pages >= limit.pages) ||
      (limit.seconds !== undefined && this.now() - this.startedAt >= limit.seconds * 1000)
    );
  }
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
