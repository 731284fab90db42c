/**
 * What can be looked at to tell the causes of an error apart: read-only, each check bounded in time, and nothing
 * but what the workspace's own configuration names is ever contacted.
 */

import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { connect } from "node:net";
import { join, relative } from "node:path";
import { counted } from "../engine/counted.ts";
import { connectionSettings } from "../engine/destinations/postgres/settings.ts";
import { supabaseAddress, supabaseFindings } from "../engine/destinations/postgres/supabase.ts";
import type { CheckName, Flag } from "../engine/diagnose/pattern.ts";
import { EngineError } from "../engine/errors.ts";
import { planChecks } from "../engine/inspect/checks.ts";
import { quoted } from "../engine/inspect/measure.ts";
import type { SchemaView, TableView } from "../engine/inspect/schema.ts";
import { type CursorEntry, inspectState } from "../engine/inspect/state.ts";
import { lockHolder } from "../engine/package/lock.ts";
import { type Inspection, inspectionOf, schemaViewOf } from "./inspection.ts";
import { runFolder } from "./pipeline-info.ts";
import { measuredBy } from "./quality-tools.ts";
import { VERSION } from "./version.ts";
import type { Workspace } from "./workspace.ts";

export interface Evidence {
  readonly check: CheckName;
  readonly finding: string;
  readonly flags: readonly Flag[];
  /** For the fixes: a cursor that should be moved, and where to. */
  readonly cursor?: {
    readonly resource: string;
    readonly source: string;
    readonly path: string;
    readonly value?: string;
  };
}

export interface Where {
  readonly workspace: Workspace;
  readonly pipeline: string | undefined;
  readonly table: string | undefined;
  readonly signal: AbortSignal;
}

const CHECK_MS = 12_000;
const CONNECT_MS = 3_000;
const DISK_LOW_BYTES = 1024 ** 3;
const DAY_MS = 86_400_000;

type Found = Omit<Evidence, "check">;

/** All checks at once; one that fails or takes too long says so. */
export async function gather(checks: readonly CheckName[], where: Where): Promise<Evidence[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([where.signal, stop.signal]);
  const timer = setTimeout(() => stop.abort(), CHECK_MS);
  try {
    return await Promise.all(
      checks.map(async (check): Promise<Evidence> => {
        const found = await withinTime(CHECKS[check]({ ...where, signal }), signal);
        return { check, ...found };
      }),
    );
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

async function withinTime(work: Promise<Found>, signal: AbortSignal): Promise<Found> {
  const { promise, resolve } = Promise.withResolvers<Found>();
  signal.addEventListener("abort", () => resolve(nothing("Not done within the time of a check.")), {
    once: true,
  });
  try {
    return await Promise.race([work, promise]);
  } catch (error) {
    if (error instanceof EngineError) {
      const flags: Flag[] = error.code === "DESTINATION_LOCKED" ? ["database_locked"] : [];
      return { finding: `Could not be looked at: ${error.code}: ${error.message}`, flags };
    }
    return nothing("Could not be looked at.");
  }
}

function nothing(finding: string): Found {
  return { finding, flags: [] };
}

type Check = (where: Where) => Promise<Found>;

/** For checks that need a pipeline. */
function ofPipeline(
  check: (inspection: Inspection, where: Where & { pipeline: string }) => Promise<Found>,
): Check {
  return async (where) => {
    const { pipeline } = where;
    if (pipeline === undefined) return nothing("Name the pipeline to have this looked at.");
    return check(inspectionOf(where.workspace, pipeline, where.signal), { ...where, pipeline });
  };
}

const CHECKS: Readonly<Record<CheckName, Check>> = {
  activity: ofPipeline(async ({ kind, read }) => {
    if (kind === "duckdb") return nothing("DuckDB has no other sessions to look at.");
    const [row = {}] = await read(
      `select count(*) as total, current_setting('max_connections') as most,
       count(*) filter (where state like 'idle in transaction%') as idle,
       count(*) filter (where cardinality(pg_blocking_pids(pid)) > 0) as blocked,
       coalesce(max(extract(epoch from now() - xact_start)) filter (where pid <> pg_backend_pid()), 0)::bigint as oldest,
       pg_is_in_recovery() as replica, current_setting('default_transaction_read_only') as read_only
       from pg_stat_activity`,
    );
    const [total, most, idle, blocked] = [row.total, row.most, row.idle, row.blocked].map(Number);
    const flags: Flag[] = [];
    if (blocked! > 0) flags.push("blocked_sessions");
    if (idle! > 0) flags.push("idle_in_transaction");
    if (total! > most! * 0.8) flags.push("connections_many");
    if (row.replica === true || row.read_only === "on") flags.push("read_only_server");
    return {
      finding: `${total} sessions of at most ${most}; ${blocked} wait for a lock, ${idle} idle inside a transaction; the oldest transaction is ${Number(row.oldest)} s old.${row.replica === true ? " The server is a replica." : ""}${row.read_only === "on" ? " Transactions are read-only by default." : ""}`,
      flags,
    };
  }),

  config: ofPipeline(async ({ databasePath }, { workspace, pipeline }) => {
    if (databasePath !== undefined) {
      const there = existsSync(databasePath);
      return nothing(
        `DuckDB file ${relative(workspace.dir, databasePath)}: ${there ? "is there" : "is not there yet"}.`,
      );
    }
    const settings = connectionSettings(workspace.postgresOptions(pipeline));
    const findings = supabaseFindings(settings);
    const flags: Flag[] = [];
    if (settings.password === undefined) flags.push("password_missing");
    if (findings.some((each) => each.kind === "mistake")) flags.push("supabase_mistake");
    if (findings.some((each) => each.code === "transaction_pooler")) flags.push("transaction_pooler");
    const route = supabaseAddress(settings)?.route;
    const text = findings.map((each) => `${each.text} ${each.hint}`).join(" ");
    return {
      finding: `${settings.username} at ${settings.host}:${settings.port}/${settings.database}, ssl ${settings.ssl}, password ${settings.password === undefined ? "not set" : "set"}${route === undefined ? "" : `, Supabase ${route.replaceAll("_", " ")}`}.${text === "" ? "" : ` ${text}`}`,
      flags,
    };
  }),

  disk: async ({ workspace }) => {
    const { bavail, blocks, bsize } = await statfs(workspace.dir);
    const free = bavail * bsize;
    const low = free < DISK_LOW_BYTES || bavail / blocks < 0.05;
    return {
      finding: `${(free / 1024 ** 3).toFixed(1)} GiB are free where the workspace is (${Math.round((bavail / blocks) * 100)} %).`,
      flags: low ? ["disk_low"] : [],
    };
  },

  keys: ofPipeline(async (inspection, { table }) => {
    const view = await schemaViewOf(inspection);
    const target = oneTable(view, table);
    if (target === undefined)
      return nothing("The error names no table of this pipeline, so no key was looked at.");
    const key = target.columns.filter(
      (each) => each.hints.primary_key === true || each.hints.merge_key === true,
    );
    const flags: Flag[] = key.length === 0 ? ["key_undeclared"] : [];
    const parts = [
      key.length === 0
        ? `Table ${target.name} declares no key (write disposition ${target.write_disposition ?? "append"}).`
        : `Table ${target.name} declares the key ${key.map((each) => each.name).join(", ")} (write disposition ${target.write_disposition ?? "append"}).`,
    ];
    for (const check of planChecks([target], {})) {
      if (!["unique", "not_null"].includes(check.check)) continue;
      const { status, message } = await check.run(measuredBy(inspection));
      if (status !== "fail") continue;
      flags.push(check.check === "unique" ? "duplicate_keys" : "null_keys");
      parts.push(message);
    }
    const indexes = await uniqueIndexes(inspection, target.name);
    flags.push(indexes > 0 ? "unique_index_present" : "unique_index_missing");
    parts.push(
      indexes > 0
        ? `The live table has ${indexes} unique keys or indexes.`
        : "The live table has no unique key.",
    );
    return { finding: parts.join(" "), flags };
  }),

  lock: ofPipeline(async ({ kind, read }, { workspace, pipeline }) => {
    const holder = lockHolder(workspace.pipelineDir(pipeline));
    const flags: Flag[] = [];
    const parts: string[] = [];
    if (holder === undefined) parts.push("No run holds the pipeline.");
    else if (holder.stale)
      parts.push(`Run ${holder.info.run_id} left its lock behind; the next run takes it over.`);
    else {
      flags.push("pipeline_running");
      parts.push(
        `Run ${holder.info.run_id} (PID ${holder.info.pid}) holds the pipeline since ${holder.info.started_at}.`,
      );
    }
    if (kind === "duckdb") {
      try {
        await read("select 1 as one");
        parts.push("The database file can be opened now.");
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        if (error.code === "DESTINATION_LOCKED") flags.push("database_locked");
        parts.push(error.message);
      }
    }
    return { finding: parts.join(" "), flags };
  }),

  network: ofPipeline(async ({ kind }, { workspace, pipeline, signal }) => {
    if (kind === "duckdb") return nothing("The destination is a file; no host was looked up.");
    const { host, port } = connectionSettings(workspace.postgresOptions(pipeline));
    if (host.startsWith("/")) return nothing("The destination is a socket on this machine.");
    const addresses = await lookup(host, { all: true }).catch(() => []);
    if (addresses.length === 0)
      return { finding: `${host} cannot be looked up from here.`, flags: ["dns_failed"] };
    const six = addresses.every((each) => each.family === 6);
    const refused = await reach(host, port, signal);
    const flags: Flag[] = [];
    if (refused !== undefined) flags.push("tcp_failed");
    if (six && refused !== undefined) flags.push("ipv6_only");
    return {
      finding: `${host} has ${addresses.length} addresses${six ? ", all of them IPv6" : ""}; port ${port} ${refused === undefined ? "takes connections" : `cannot be reached (${refused})`}.`,
      flags,
    };
  }),

  packages: ofPipeline(async ({ store }) => {
    const pending = await store.pendingPackages();
    const failed = await store.list("failed");
    const flags: Flag[] = [];
    if (pending.length > 0) flags.push("pending_packages");
    if (failed.length > 0) flags.push("failed_packages");
    const newest = failed.at(-1);
    const error = newest === undefined ? undefined : (await store.readManifest(newest)).error;
    return {
      finding: `${counted(pending.length, "pending package")}, ${failed.length} set aside as failed.${newest === undefined ? "" : ` The newest failed is ${newest.load_id}${error === undefined ? "" : ` (${error.code})`}.`}`,
      flags,
    };
  }),

  runs: ofPipeline(async (_, { workspace, pipeline }) => {
    const { runs } = await runFolder(workspace, pipeline).listRuns({ limit: 5 });
    if (runs.length === 0) return nothing("The pipeline has never run.");
    const told = runs.map(
      (each) => `${each.run_id} ${each.status}${each.error === undefined ? "" : ` (${each.error.code})`}`,
    );
    return nothing(`Last runs: ${told.join("; ")}.`);
  }),

  source: ofPipeline(async ({ config }, { workspace }) => {
    const paths = Object.entries(config.config).filter(
      (each): each is [string, string] =>
        typeof each[1] === "string" && /^(path|file|folder|dir|root|bucket_url|files)$/.test(each[0]),
    );
    const parts: string[] = [];
    const flags: Flag[] = [];
    for (const [key, written] of paths) {
      if (/^[a-z0-9]+:\/\//i.test(written)) continue;
      const fixed = written.split(/[*?[{]/)[0]!;
      const there = existsSync(join(workspace.dir, fixed)) || existsSync(fixed);
      if (!there) flags.push("file_missing");
      parts.push(`${key} = ${written}: ${there ? "is there" : "is not there"}.`);
    }
    return { finding: parts.join(" ") || "The configuration names no local files.", flags };
  }),

  state: ofPipeline(async (inspection, { pipeline }) => {
    const view = await inspectState(inspection.store, inspection.read, pipeline);
    if (view.cursors.length === 0) return nothing("The pipeline has no cursors.");
    const flags: Flag[] = [];
    if (view.destination_changes.length > 0) flags.push("cursor_behind_destination");
    const ahead = view.cursors.find((each) => isInFuture(each.committed ?? each.pending ?? each.destination));
    if (ahead !== undefined) flags.push("cursor_in_future");
    const suggested = ahead ?? view.cursors[0]!;
    const value = ahead === undefined ? undefined : await newestLoaded(inspection, ahead);
    const told = view.cursors
      .slice(0, 10)
      .map(
        (each) =>
          `${each.resource}.${each.path} at ${JSON.stringify(each.committed ?? each.pending ?? null)}`,
      );
    return {
      finding:
        `Cursors: ${told.join("; ")}.` +
        (ahead === undefined ? "" : ` ${ahead.resource}.${ahead.path} lies in the future.`) +
        (value === undefined ? "" : ` The newest value in the table that does not is ${value}.`) +
        (view.destination_changes.length > 0
          ? ` ${view.destination_changes.length} values differ at the destination.`
          : ""),
      flags,
      cursor: {
        resource: suggested.resource,
        source: suggested.source,
        path: suggested.path,
        ...(value === undefined ? {} : { value }),
      },
    };
  }),

  types: ofPipeline(async (inspection, { table }) => {
    const view = await schemaViewOf(inspection);
    const live = await liveColumns(inspection);
    const target = table === undefined ? undefined : view.tables.find((each) => each.name === table);
    const tables = (target === undefined ? view.tables : [target]).filter((each) => each.columns.length > 0);
    const flags = new Set<Flag>();
    const parts: string[] = [];
    for (const each of tables) {
      const there = live.get(each.name);
      if (there === undefined) {
        flags.add("table_missing");
        parts.push(`Table ${each.name} of the schema is not at the destination.`);
        continue;
      }
      for (const column of each.columns) {
        if (/__v_[a-z]+$/.test(column.name)) flags.add("variant_columns");
        const type = there.get(column.name);
        if (type !== undefined && fits(column.data_type, type)) continue;
        flags.add("type_mismatch");
        parts.push(
          `${each.name}.${column.name} is ${column.data_type} in the schema and ${type ?? "absent"} at the destination.`,
        );
      }
    }
    const variants = tables.flatMap((each) =>
      each.columns.filter(({ name }) => /__v_[a-z]+$/.test(name)).map(({ name }) => `${each.name}.${name}`),
    );
    if (variants.length > 0)
      parts.push(`Variant columns hold values of another type: ${variants.slice(0, 5).join(", ")}.`);
    return {
      finding:
        parts.slice(0, 8).join(" ") ||
        `${counted(tables.length, "table")}: live types agree with the schema.`,
      flags: [...flags],
    };
  }),

  versions: async ({ workspace, pipeline, signal }) => {
    const own = `loadwright ${VERSION}, Node ${process.versions.node}`;
    if (pipeline === undefined) return nothing(`${own}.`);
    const { read } = inspectionOf(workspace, pipeline, signal);
    const [row = {}] = await read("select version() as v").catch(() => []);
    return nothing(`${own}${row.v === undefined ? "" : `, destination ${String(row.v).slice(0, 60)}`}.`);
  },
};

/** The table that the error names, else the only root table of the pipeline. */
function oneTable(view: SchemaView, name: string | undefined): TableView | undefined {
  if (name !== undefined) return view.tables.find((each) => each.name === name);
  const roots = view.tables.filter((each) => each.parent === undefined && !each.name.startsWith("_dlt_"));
  return roots.length === 1 ? roots[0] : undefined;
}

async function uniqueIndexes({ kind, read, dataset }: Inspection, table: string): Promise<number> {
  const [row = {}] =
    kind === "postgres"
      ? await read(
          `select count(*) as n from pg_indexes
           where schemaname = $1 and tablename = $2 and indexdef like 'CREATE UNIQUE%' and indexdef not like '%(\\_dlt\\_id)%'`,
          [dataset, table],
        )
      : await read(
          `select count(*) as n from duckdb_constraints()
           where schema_name = $1 and table_name = $2 and constraint_type in ('PRIMARY KEY', 'UNIQUE')`,
          [dataset, table],
        );
  return Number(row.n ?? 0);
}

/** Table -> column -> type as the database names it, in lower case, with its length. */
async function liveColumns({ read, dataset }: Inspection): Promise<Map<string, Map<string, string>>> {
  const rows = await read(
    `select table_name as t, column_name as c, lower(data_type) as d, character_maximum_length as l
     from information_schema.columns where table_schema = $1 limit 5000`,
    [dataset],
  );
  const live = new Map<string, Map<string, string>>();
  for (const row of rows) {
    const columns = live.get(String(row.t)) ?? new Map<string, string>();
    columns.set(String(row.c), `${row.d}${row.l == null ? "" : `(${row.l})`}`);
    live.set(String(row.t), columns);
  }
  return live;
}

const FAMILIES: Readonly<Record<string, RegExp>> = {
  bigint: /^(bigint|hugeint|numeric)/,
  text: /^(text|varchar|character varying)$/,
  double: /^double/,
  decimal: /^(decimal|numeric)/,
  wei: /^(decimal|numeric|hugeint|varchar|text)/,
  bool: /^bool/,
  timestamp: /^timestamp/,
  date: /^date$/,
  time: /^time(?!stamp)/,
  json: /^json/,
  binary: /^(bytea|blob)/,
};

function fits(dataType: string, live: string): boolean {
  return FAMILIES[dataType]?.test(live) ?? true;
}

function isInFuture(value: unknown): boolean {
  if (typeof value !== "string" || !/^\d{4}-\d\d/.test(value)) return false;
  return Date.parse(value) > Date.now() + DAY_MS;
}

/** The greatest value of the cursor's column that is not in the future, where table and column are named alike. */
async function newestLoaded({ read }: Inspection, cursor: CursorEntry): Promise<string | undefined> {
  if (!/^[A-Za-z_]\w*$/.test(cursor.path)) return undefined;
  const column = quoted(cursor.path.toLowerCase());
  const limit = new Date(Date.now() + DAY_MS).toISOString();
  const rows = await read(
    `select cast(max(${column}) as varchar) as v from ${quoted(cursor.resource)}
     where cast(${column} as timestamp with time zone) <= cast($1 as timestamp with time zone)`,
    [limit],
  ).catch((error: unknown) => {
    if (error instanceof EngineError) return [];
    throw error;
  });
  const value = rows[0]?.v;
  return typeof value === "string" ? value.replace(" ", "T").replace(/\+00(:00)?$/, "Z") : undefined;
}

function reach(host: string, port: number, signal: AbortSignal): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect({ host, port, timeout: CONNECT_MS });
  const end = (answer: string | undefined): void => {
    socket.destroy();
    resolve(answer);
  };
  socket.once("connect", () => end(undefined));
  socket.once("timeout", () => end("no answer"));
  socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? "error"));
  signal.addEventListener("abort", () => end("no answer"), { once: true });
  return promise;
}
