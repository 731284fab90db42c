/** The packages that one extraction fills, one after the other: at most one is open. */

import { counted } from "../counted.ts";
import type { Extracted } from "../extract/work.ts";
import { bumpState, type PipelineState } from "../interop/state.ts";
import { nextLoadId } from "../package/load-id.ts";
import type { OpenPackage, PendingPackage } from "../package/store.ts";
import type { Manifest } from "../package/types.ts";
import { stateToText } from "../pipeline-state.ts";
import type { TableReset } from "../reset/refresh.ts";
import { schemaToText } from "../schema/documents.ts";
import { completeColumns, hasSeenData } from "../schema/tables.ts";
import type { Schema } from "../schema/types.ts";
import { bumpSchema } from "../schema/version.ts";
import { writeImportFile } from "../schema-files.ts";
import { bytesOf, rowsOf, rowsPerTable } from "./jobs.ts";
import type { Run } from "./run.ts";
import { writeStateJob } from "./state-package.ts";

export class ExtractedPackages {
  private readonly run: Run;
  private readonly schemaName: string;
  private readonly state: PipelineState;
  /** Goes with the first package. */
  private reset: TableReset | undefined;
  private open: OpenPackage | undefined;
  private openedAt = 0;
  /** Of the state in the package before. */
  private sealedHash: string | undefined;

  /** `state` is the live one: it is changed by the source's code, and given the version that was sealed. */
  constructor(run: Run, schemaName: string, state: PipelineState, reset: TableReset | undefined) {
    this.run = run;
    this.schemaName = schemaName;
    this.state = state;
    this.reset = reset;
    this.sealedHash = state._version_hash;
  }

  /** Does the next package drop or empty tables? */
  get resets(): boolean {
    const { dropTables = [], truncateTables = [] } = this.reset ?? {};
    return dropTables.length + truncateTables.length > 0;
  }

  async begin(): Promise<OpenPackage> {
    const { context, store } = this.run;
    this.open = await store.beginExtract(nextLoadId(context.now(), await store.newestLoadId()));
    this.openedAt = context.now();
    return this.open;
  }

  /**
   * Undefined: there was nothing to seal, and the package is gone. `otherMs`: what another step has taken of the time
   * since the package was begun.
   */
  async seal(schema: Schema, extracted: Extracted, otherMs: number): Promise<PendingPackage | undefined> {
    const { recorder, store, pipeline, durable } = this.run;
    const open = this.open!;
    const sealed = this.sealState();
    const drops = (this.reset?.dropTables.length ?? 0) > 0;
    const { resets } = this;
    const stateChanged = sealed._version_hash !== this.sealedHash || drops;
    const newTables = pipeline.options.createEmptyTables ? emptyTablesOf(schema, extracted) : [];
    for (const [table, count] of Object.entries(extracted.discarded)) {
      recorder.warn(`Table ${table} is new, so its contract discarded ${counted(count, "row")}.`);
    }
    const hasWork = resets || newTables.length > 0 || replacesData(schema, extracted);
    if (rowsOf(extracted.jobs) === 0 && !stateChanged && !hasWork) {
      await store.abandon(open);
      this.open = undefined;
      return undefined;
    }
    const jobs = [...extracted.jobs];
    if (stateChanged) jobs.push(...(await writeStateJob(this.run, schema, sealed, open)));
    const { importSchemaPath } = pipeline.options;
    if (importSchemaPath) await writeImportFile(importSchemaPath, schema);
    bumpSchema(schema);
    const manifest = this.manifestOf(open, extracted, {
      jobs,
      state_changed: stateChanged,
      ...(drops ? { drop_tables: this.reset?.dropTables } : {}),
      ...(resets && !drops ? { truncate_tables: this.reset?.truncateTables } : {}),
    });
    this.reset = undefined;
    const content = { manifest, schema: schemaToText(schema), state: stateToText(sealed) };
    const pending = await store.sealExtracted(open, content, { sync: durable });
    this.open = undefined;
    this.sealedHash = sealed._version_hash;
    await this.record(pending, extracted, otherMs);
    return pending;
  }

  /** After a failure: what is open is removed, and the step is recorded as failed. */
  async abandon(error: unknown): Promise<void> {
    if (!this.open) return;
    const { recorder, store } = this.run;
    await recorder.addStep("extract", this.open.load_id, this.openedAt, {}, error);
    await store.abandon(this.open);
  }

  /** The state as it is stored; the live one gets its version. */
  private sealState(): PipelineState {
    const sealed = withoutEmptyStates(this.state);
    bumpState(sealed);
    this.state._state_version = sealed._state_version;
    this.state._version_hash = sealed._version_hash;
    return sealed;
  }

  private manifestOf(
    open: OpenPackage,
    extracted: Extracted,
    content: Pick<Manifest, "jobs" | "state_changed" | "drop_tables" | "truncate_tables">,
  ): Manifest {
    const { context, recorder, pipeline } = this.run;
    const { refusedTables, discarded } = extracted;
    return {
      format: 1,
      load_id: open.load_id,
      pipeline_name: pipeline.name,
      schema_name: this.schemaName,
      run_id: recorder.runId,
      created_at: new Date(context.now()).toISOString(),
      resources: extracted.resources,
      ...content,
      ...(Object.keys(refusedTables).length > 0 ? { refused_tables: refusedTables } : {}),
      ...(Object.keys(discarded).length > 0 ? { rejected: discardedRows(extracted) } : {}),
    };
  }

  private async record(
    { load_id }: PendingPackage,
    { resources, jobs }: Extracted,
    otherMs: number,
  ): Promise<void> {
    const { recorder } = this.run;
    recorder.package({ load_id, schema_name: this.schemaName, status: "extracted", resources });
    const work = { rows: rowsPerTable(jobs), bytes: bytesOf(jobs), otherMs };
    await recorder.addStep("extract", load_id, this.openedAt, work);
  }
}

/** Declared tables that no row has ever come for. */
function emptyTablesOf(schema: Schema, extracted: Extracted): string[] {
  return extracted.resources
    .flatMap(({ tables }) => tables)
    .filter((name) => {
      const table = schema.tables.get(name);
      return table !== undefined && !hasSeenData(table) && completeColumns(table).length > 0;
    });
}

function replacesData(schema: Schema, extracted: Extracted): boolean {
  return extracted.resources.some(
    ({ write_disposition, tables }) =>
      write_disposition === "replace" &&
      tables.some((name) => {
        const table = schema.tables.get(name);
        return table !== undefined && hasSeenData(table);
      }),
  );
}

function discardedRows({ discarded }: Extracted): Manifest["rejected"] {
  return Object.fromEntries(Object.entries(discarded).map(([table, rows]) => [table, { rows, values: 0 }]));
}

/** Looking at a resource's state makes it; one that stayed empty is left out. The live state keeps it. */
function withoutEmptyStates(state: PipelineState): PipelineState {
  if (!state.sources) return state;
  const sources: NonNullable<PipelineState["sources"]> = {};
  for (const [source, content] of Object.entries(state.sources)) {
    if (!content.resources) {
      sources[source] = content;
      continue;
    }
    const filled = Object.entries(content.resources as Record<string, object>).filter(
      ([, resource]) => Object.keys(resource).length > 0,
    );
    sources[source] = { ...content, resources: Object.fromEntries(filled) };
  }
  return { ...state, sources };
}
