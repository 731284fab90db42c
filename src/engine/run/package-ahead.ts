/**
 * What is done of a package while its rows still come: jobs that are full are normalized, and what that makes is
 * loaded, in the transaction that will commit the package. Nothing of it counts before the package is sealed; if
 * anything went wrong, or the sealed package says more than could be foreseen, that is normalized and loaded as if
 * this had never been.
 */

import { LoadAhead } from "../load/ahead.ts";
import type { OpenPackage } from "../package/store.ts";
import type { JobInfo, Manifest } from "../package/types.ts";
import type { Schema } from "../schema/types.ts";
import { DeclaredSchema } from "./declared-schema.ts";
import { jobsByTable } from "./jobs.ts";
import { addJob, type Normalizing, normalizing } from "./normalizing.ts";
import { packageStart } from "./package-start.ts";
import type { Run } from "./run.ts";
import { openSession } from "./session.ts";

interface Begun {
  readonly declared: DeclaredSchema;
  readonly normalizing: Normalizing;
}

export class PackageAhead {
  private readonly run: Run;
  private readonly extracting: OpenPackage;
  /** The schema that the source's tables are declared in. */
  private readonly declared: () => Schema;
  private begun: Begun | undefined;
  private givenUp = false;
  private sealed = false;
  private load: LoadAhead;
  /** The first full job of the source, and when it was full. */
  private first: { readonly job: JobInfo; readonly at: number } | undefined;

  constructor(run: Run, extracting: OpenPackage, declared: () => Schema) {
    this.run = run;
    this.extracting = extracting;
    this.declared = declared;
    this.load = this.newLoad();
  }

  /**
   * Normalizes a job of the package that is being extracted. Never fails. The first waits for the second, which tells
   * how fast they come.
   */
  async add(job: JobInfo): Promise<void> {
    if (this.givenUp) return;
    const { first } = this;
    const now = performance.now();
    if (first === undefined) {
      this.first = { job, at: now };
      this.load.closeInPause(this.run.pipeline.destination.capabilities.ahead.pauseMs);
      return;
    }
    try {
      const { bytesPerSecondMax } = this.run.pipeline.destination.capabilities.ahead;
      if (this.begun === undefined && job.bytes > (bytesPerSecondMax * (now - first.at)) / 1000) {
        await this.giveUp("the source is read too fast");
        return;
      }
      this.begun ??= await this.begin();
      const { declared, normalizing } = this.begun;
      if (!declared.follow(this.declared())) {
        await this.giveUp("rows have made a table that was declared later");
        return;
      }
      for (const each of [first.job, job]) await addJob(normalizing, each, this.extracting.jobsDir);
    } catch (error) {
      // the sealed package will meet it again, and report it
      await this.giveUp(String(error));
    }
  }

  /** What normalizing has taken of the time in which rows were extracted. */
  get busyMs(): number {
    return this.begun?.normalizing.normalizer.busyMs ?? 0;
  }

  /** After the seal: goes on with what was normalized, or begins anew if the sealed package says anything else. */
  async normalize(manifest: Manifest, schema: Schema): Promise<Normalizing> {
    this.sealed = true;
    this.load.allCame();
    const { begun, run } = this;
    if (begun && !this.givenUp) {
      const asForeseen = manifest.refused_tables === undefined && begun.declared.become(schema);
      run.context.log("debug", "normalize.ahead", { load_id: manifest.load_id, used: asForeseen });
      if (asForeseen) return begun.normalizing;
      await this.giveUp("the sealed package declares something else");
    }
    const open = await run.store.beginNormalize(manifest.load_id);
    const onFull = await this.loading(manifest, schema, open);
    return normalizing(run, open, schema, { onFull, refusedTables: manifest.refused_tables });
  }

  /** Returns when nothing is read from the jobs any more. */
  idle(): Promise<void> {
    return this.load.idle();
  }

  /** What of the load has begun, for who commits the package. */
  take(): ReturnType<LoadAhead["take"]> {
    return this.load.take();
  }

  /** Undoes what nobody has taken. */
  async close(): Promise<void> {
    if (!this.sealed) await this.giveUp("the package was not sealed");
    await this.load.close();
  }

  private async begin(): Promise<Begun> {
    const { run, extracting } = this;
    const declared = new DeclaredSchema(this.declared());
    const { schema } = declared;
    const open = await run.store.beginNormalize(extracting.load_id, "extracting");
    const known = { load_id: extracting.load_id, schema_name: schema.name, resources: [] };
    const onFull = await this.loading(known, schema, open);
    return { declared, normalizing: normalizing(run, open, schema, { onFull }) };
  }

  /** What is done with full jobs. */
  private async loading(
    known: Parameters<typeof packageStart>[1],
    schema: Schema,
    { jobsDir }: OpenPackage,
  ): Promise<(job: JobInfo) => void> {
    const start = await packageStart(this.run, known);
    return (job) => this.load.add(start, schema, jobsByTable([job], jobsDir)[0]!);
  }

  private async giveUp(cause: string): Promise<void> {
    this.givenUp = true;
    const { begun, run } = this;
    this.begun = undefined;
    await this.load.close();
    this.load = this.newLoad();
    if (begun === undefined) return;
    run.context.log("debug", "normalize.ahead_given_up", { load_id: this.extracting.load_id, cause });
    await begun.normalizing.normalizer.abort();
    await run.store.abandon(begun.normalizing.open);
  }

  private newLoad(): LoadAhead {
    return new LoadAhead(() => openSession(this.run));
  }
}
