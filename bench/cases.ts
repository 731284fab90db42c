/** What is loaded, by whom, and what is wanted: one case for each row of the table in docs/performance.md. */

import type { ContenderName } from "./contenders.ts";
import type { ComparedTable } from "./databases.ts";
import type { Input } from "./job.ts";

export interface Load {
  readonly input: Input;
  /** What the database's own client runs for it. */
  readonly sql: readonly string[];
  readonly sqlWithIds?: readonly string[];
}

export interface Target {
  readonly who: ContenderName;
  readonly of: ContenderName;
  /** The rate of `who` is to be at least so many times that of `of`. */
  readonly times: number;
}

export interface Case {
  readonly name: string;
  readonly title: string;
  readonly destination: "duckdb" | "postgres";
  /** Resource, and so root table. */
  readonly table: string;
  readonly s3?: boolean;
  readonly primaryKey?: string;
  /** Instead of --rows. */
  readonly rows?: number;
  /** One after the other into one database; only the last is timed. */
  readonly loads: readonly [Load, ...Load[]];
  /** The first tells what the tables have to hold, and its rate is what others are told against. */
  readonly contenders: readonly [ContenderName, ...ContenderName[]];
  readonly compared: readonly ComparedTable[];
  readonly targets: readonly Target[];
  /** Seconds that the whole process may take. */
  readonly secondsMax?: { readonly who: ContenderName; readonly seconds: number };
}

const EVENTS: ComparedTable["columns"] = {
  id: "integer",
  account: "integer",
  quantity: "integer",
  big: "integer",
  price: "double",
  rate: "double",
  created_at: "time",
  active: "bool",
  code: "text",
  note: "text",
};
const CSV_EVENTS: ComparedTable["columns"] = { ...EVENTS, city: "text", day: "date" };

const EVENTS_SQL = `id bigint, account bigint, quantity bigint, big bigint, price double precision, rate double precision,
  created_at timestamp with time zone, active boolean, code varchar, note varchar`;
const CSV_EVENTS_SQL = `${EVENTS_SQL}, city varchar, day date`;

const file = (
  set: "flat" | "changes" | "nested",
  sql: readonly string[],
  sqlWithIds?: readonly string[],
): Load => ({ input: { kind: "file", set, format: "jsonl" }, sql, sqlWithIds });
const csv = (sql: readonly string[]): Load => ({ input: { kind: "file", set: "csv", format: "csv" }, sql });

/** How the peers do beside us, in both their ways. */
const timesDlt = (times: number, tuned: ContenderName = "dlt, tuned"): Target[] => [
  { who: "loadwright", of: "dlt", times },
  { who: "loadwright", of: tuned, times },
];

const DUCKDB_FLAT = [
  "create schema bench",
  "create table bench.events as select * from read_json('{path}', format = 'newline_delimited')",
];
const POSTGRES_FLAT = [
  `create schema bench; create table bench.events (${EVENTS_SQL})`,
  "\\copy bench.events from '{path}'",
];
const COLUMNS = Object.keys(EVENTS).join(", ");
const POSTGRES_FLAT_WITH_IDS = [
  `create schema bench; create table bench.events (${EVENTS_SQL}, _dlt_load_id varchar not null default '1800000000.5',
    _dlt_id varchar not null default substr(md5(random()::text), 1, 14))`,
  `\\copy bench.events (${COLUMNS}) from '{path}'`,
  "alter table bench.events add unique (_dlt_id)",
];
const POSTGRES_CSV = [
  `create schema bench; create table bench.events (${CSV_EVENTS_SQL})`,
  "\\copy bench.events from '{path}' (format csv, header)",
];

/**
 * The fastest that stays one transaction and keeps the table that it is: half the time of `merge into` or
 * `on conflict`, which need a unique index besides.
 */
const MERGE_STAGED = [
  "begin",
  "delete from bench.events where id in (select id from staged)",
  `insert into bench.events (${COLUMNS}) select ${COLUMNS} from staged`,
  "commit",
];

const POSTGRES_STAGED = [
  `create temp table staged (${EVENTS_SQL})`,
  "\\copy staged from '{path}'",
  "analyze staged",
];

export const CASES: readonly Case[] = [
  {
    name: "flat",
    title: "JSONL → DuckDB, flat",
    destination: "duckdb",
    table: "events",
    loads: [file("flat", DUCKDB_FLAT)],
    contenders: ["duckdb", "loadwright", "dlt", "dlt, tuned"],
    compared: [{ name: "events", columns: EVENTS }],
    targets: [{ who: "loadwright", of: "duckdb", times: 0.6 }, ...timesDlt(10)],
  },
  {
    // The JSON is read twice: one parse into a table of structs that is taken apart later takes 1.5 times as long.
    name: "nested",
    title: "JSONL → DuckDB, nested",
    destination: "duckdb",
    table: "issues",
    loads: [
      file("nested", [
        "create schema bench",
        `create table bench.issues as
select
  * exclude (user, labels),
  user.login as user__login,
  user.id as user__id,
  user.node_id as user__node_id,
  user.avatar_url as user__avatar_url,
  user.url as user__url,
  user.type as user__type,
  user.site_admin as user__site_admin
from read_json('{path}', format = 'newline_delimited')`,
        `create table bench.issues__labels as
select id as issue_id, unnest(range(len(labels))) as _dlt_list_idx, unnest(labels, max_depth := 2)
from (
  select id as issue_id, labels
  from read_json('{path}', format = 'newline_delimited')
) as issues(id, labels)`,
      ]),
    ],
    contenders: ["duckdb", "loadwright", "dlt", "dlt, tuned"],
    compared: [
      {
        name: "issues",
        columns: {
          id: "integer",
          node_id: "text",
          number: "integer",
          title: "text",
          url: "text",
          state: "text",
          locked: "bool",
          comments: "integer",
          created_at: "time",
          updated_at: "time",
          closed_at: "time",
          author_association: "text",
          body: "text",
          score: "double",
          milestone: "integer",
          user__login: "text",
          user__id: "integer",
          user__node_id: "text",
          user__avatar_url: "text",
          user__url: "text",
          user__type: "text",
          user__site_admin: "bool",
        },
      },
      {
        name: "issues__labels",
        columns: {
          _dlt_list_idx: "integer",
          id: "integer",
          node_id: "text",
          url: "text",
          name: "text",
          color: "text",
          default: "bool",
        },
      },
    ],
    targets: [{ who: "loadwright", of: "duckdb", times: 0.65 }, ...timesDlt(10)],
  },
  {
    name: "csv",
    title: "CSV → DuckDB",
    destination: "duckdb",
    table: "events",
    loads: [csv(["create schema bench", "create table bench.events as select * from read_csv('{path}')"])],
    contenders: ["duckdb", "loadwright", "dlt", "dlt, arrow"],
    compared: [{ name: "events", columns: CSV_EVENTS }],
    targets: [{ who: "loadwright", of: "duckdb", times: 0.8 }],
  },
  {
    // DuckDB reads the same rows from a file.
    name: "rows-duckdb",
    title: "rows of a TypeScript source → DuckDB",
    destination: "duckdb",
    table: "events",
    loads: [{ input: { kind: "rows" }, sql: DUCKDB_FLAT }],
    contenders: ["duckdb", "loadwright", "dlt", "dlt, tuned"],
    compared: [{ name: "events", columns: EVENTS }],
    targets: timesDlt(8),
    secondsMax: { who: "loadwright", seconds: 5 },
  },
  {
    name: "rows-postgres",
    title: "rows of a TypeScript source → Postgres",
    destination: "postgres",
    table: "events",
    loads: [{ input: { kind: "rows" }, sql: POSTGRES_FLAT, sqlWithIds: POSTGRES_FLAT_WITH_IDS }],
    contenders: ["psql", "psql, with ids", "loadwright", "loadwright, no index", "dlt", "dlt, tuned"],
    compared: [{ name: "events", columns: EVENTS }],
    targets: [
      { who: "loadwright", of: "psql", times: 0.7 },
      { who: "loadwright", of: "psql, with ids", times: 0.7 },
      { who: "loadwright, no index", of: "psql", times: 0.7 },
      ...timesDlt(8),
    ],
  },
  {
    name: "csv-postgres",
    title: "CSV → Postgres",
    destination: "postgres",
    table: "events",
    loads: [csv(POSTGRES_CSV)],
    contenders: ["psql", "loadwright", "loadwright, no index", "sling", "dlt", "dlt, arrow"],
    compared: [{ name: "events", columns: CSV_EVENTS }],
    targets: [{ who: "loadwright", of: "sling", times: 1 }, ...timesDlt(6, "dlt, arrow")],
  },
  {
    // psql reads a local copy.
    name: "csv-s3-postgres",
    title: "CSV on S3 → Postgres",
    destination: "postgres",
    table: "events",
    s3: true,
    loads: [csv(POSTGRES_CSV)],
    contenders: ["psql", "loadwright", "loadwright, no index", "sling", "dlt", "dlt, arrow"],
    compared: [{ name: "events", columns: CSV_EVENTS }],
    targets: [{ who: "loadwright", of: "sling", times: 1 }, ...timesDlt(6, "dlt, arrow")],
  },
  {
    name: "merge-duckdb",
    title: "merge, half updates → DuckDB",
    destination: "duckdb",
    table: "events",
    primaryKey: "id",
    loads: [
      file("flat", DUCKDB_FLAT),
      file("changes", [
        "create temp table staged as select * from read_json('{path}', format = 'newline_delimited')",
        ...MERGE_STAGED,
      ]),
    ],
    contenders: ["duckdb", "loadwright", "dlt", "dlt, tuned"],
    compared: [{ name: "events", columns: EVENTS }],
    targets: [{ who: "loadwright", of: "duckdb", times: 0.5 }, ...timesDlt(4)],
  },
  {
    name: "merge-postgres",
    title: "merge, half updates → Postgres",
    destination: "postgres",
    table: "events",
    primaryKey: "id",
    loads: [
      file("flat", POSTGRES_FLAT, POSTGRES_FLAT_WITH_IDS),
      file("changes", [...POSTGRES_STAGED, ...MERGE_STAGED], [...POSTGRES_STAGED, ...MERGE_STAGED]),
    ],
    contenders: ["psql", "psql, with ids", "loadwright", "loadwright, no index", "dlt", "dlt, tuned"],
    compared: [{ name: "events", columns: EVENTS }],
    targets: [
      { who: "loadwright", of: "psql", times: 0.5 },
      { who: "loadwright", of: "psql, with ids", times: 0.5 },
      { who: "loadwright, no index", of: "psql", times: 0.5 },
      ...timesDlt(4),
    ],
  },
  {
    name: "incremental",
    title: "incremental, all rows at one value of the cursor",
    destination: "duckdb",
    table: "events",
    loads: [{ input: { kind: "rows", cursor: "distinct" }, sql: [] }],
    contenders: ["loadwright", "loadwright, one cursor value", "dlt", "dlt, one cursor value"],
    compared: [{ name: "events", columns: EVENTS }],
    targets: [{ who: "loadwright, one cursor value", of: "loadwright", times: 1 / 1.2 }],
  },
  {
    name: "empty",
    title: "a run that finds nothing new",
    destination: "duckdb",
    table: "events",
    rows: 10_000,
    loads: [file("flat", []), file("flat", [])],
    contenders: ["loadwright run", "dlt, unchanged"],
    compared: [{ name: "events", columns: EVENTS }],
    targets: [],
    secondsMax: { who: "loadwright run", seconds: 0.4 },
  },
];
