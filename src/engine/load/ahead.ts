/**
 * Loading begun while rows of the package are still to come. The first job that is full opens the destination;
 * nothing of it can be seen there before the package is committed.
 */

import type {
  DestinationSession,
  PackageLoad,
  PackageStart,
  TableJobs,
} from "../destinations/destination.ts";
import type { Schema } from "../schema/types.ts";

export class LoadAhead {
  private readonly open: () => Promise<DestinationSession>;
  private session: DestinationSession | undefined;
  private load: PackageLoad | undefined;
  private begun: Promise<void> | undefined;
  private closed: Promise<void> | undefined;
  private pauseMs: number | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(open: () => Promise<DestinationSession>) {
    this.open = open;
  }

  /**
   * From now on it is closed when no job has come for so long: a load that has begun keeps others from the
   * destination's file, or from tables that it changes.
   */
  closeInPause(pauseMs: number): void {
    this.pauseMs = pauseMs;
    this.awaitNext();
  }

  /** All rows are there: no pause matters any more. */
  allCame(): void {
    clearTimeout(this.timer);
    this.pauseMs = undefined;
  }

  /** Returns at once; what fails is met again, and reported, when the whole package is loaded. */
  add(start: PackageStart, schema: Schema, job: TableJobs): void {
    if (this.closed) return;
    this.awaitNext();
    this.begun ??= this.begin(start);
    this.begun = this.begun.then(() => this.load?.add(schema, job));
  }

  private awaitNext(): void {
    clearTimeout(this.timer);
    if (this.pauseMs === undefined) return;
    this.timer = setTimeout(() => void this.close().catch(() => {}), this.pauseMs);
    this.timer.unref();
  }

  private async begin(start: PackageStart): Promise<void> {
    try {
      const session = await this.open();
      this.load = session.beginPackage?.(start);
      if (this.load === undefined) await session.close();
      else this.session = session;
    } catch {}
  }

  /** Returns when nothing is read from the jobs any more. */
  async idle(): Promise<void> {
    await this.begun;
    await this.load?.idle();
    await this.closed?.catch(() => {});
  }

  /** What was begun, for who commits the package and closes the session. */
  async take(): Promise<{ session: DestinationSession; load: PackageLoad } | undefined> {
    await this.begun;
    const { session, load } = this;
    if (session === undefined || load === undefined) return undefined;
    this.session = undefined;
    this.load = undefined;
    return { session, load };
  }

  /** Undoes what nobody has taken. Nothing is added from now on. */
  close(): Promise<void> {
    clearTimeout(this.timer);
    this.closed ??= this.undo();
    return this.closed;
  }

  private async undo(): Promise<void> {
    const begun = await this.take();
    await begun?.load.abandon();
    await begun?.session.close();
  }
}
