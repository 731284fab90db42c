/** Who loads a case. Each is a process of its own. */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "./child.ts";
import { DATA_DIR, type Format } from "./data.ts";
import { DATASET, type Job } from "./job.ts";

export interface Contender {
  /** Files that it can read, the best first. */
  readonly reads: readonly Format[];
  /** The option that says how many rows it loads, if fewer: then its rate is compared. */
  readonly rows?: "dlt-rows" | "tuned-rows";
  /** Reads the file itself where a case has it on S3. */
  readonly local?: boolean;
  /** Why it cannot take part, if so. */
  missing(job: { readonly s3: boolean }): string | undefined;
  /** Done before the clock starts. */
  prepare?(job: Job): void;
  command(job: Job): Command;
}

const script = (name: string): string => join(import.meta.dirname, "contenders", name);
const root = dirname(import.meta.dirname);
/** As the command has it, for whoever runs on Node. */
const NODE_ENV = { NODE_COMPILE_CACHE: join(DATA_DIR, "compile-cache") };

const loadwright = (options: object = {}): Contender => ({
  reads: ["jsonl", "csv"],
  missing: () => undefined,
  command: (job) => ({
    command: process.execPath,
    args: [script("loadwright.ts"), JSON.stringify({ ...job, ...options })],
    env: NODE_ENV,
  }),
});

const dlt = (options: object, env: Record<string, string> = {}): Contender => ({
  reads: ["jsonl", "csv"],
  rows: "dlt-rows",
  missing({ s3 }) {
    const python = process.env.DLT_PYTHON;
    if (python === undefined) return "DLT_PYTHON names no Python that has it";
    const needed = s3 ? "import dlt, s3fs" : "import dlt";
    return spawnSync(python, ["-c", needed]).status === 0 ? undefined : `${python} cannot ${needed}`;
  },
  command: (job) => ({
    command: process.env.DLT_PYTHON!,
    args: [script("dlt_load.py"), JSON.stringify({ ...job, ...options })],
    env: { RUNTIME__DLTHUB_TELEMETRY: "false", RUNTIME__LOG_LEVEL: "ERROR", ...env },
  }),
});

/** What dlt's documentation on performance asks for: large buffers, files to normalize by two processes. */
const DLT_TUNED = {
  DATA_WRITER__BUFFER_MAX_ITEMS: "50000",
  EXTRACT__DATA_WRITER__FILE_MAX_ITEMS: "50000",
  NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS: "200000",
  NORMALIZE__WORKERS: "2",
};

const psql = (statementsOf: (job: Job) => readonly string[]): Contender => ({
  reads: ["tsv", "csv"],
  local: true,
  missing: () => (isThere("psql") ? undefined : "there is no psql"),
  command: (job) => ({
    command: "psql",
    args: [
      ...["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", job.address],
      ...statementsOf(job).flatMap((sql) => ["--command", sql.replaceAll("{path}", job.path)]),
    ],
  }),
});

export const CONTENDERS = {
  loadwright: loadwright(),
  /** Without the unique index on `_dlt_id`, which no other loader makes but dlt. */
  "loadwright, no index": loadwright({ createIndexes: false }),
  "loadwright, one cursor value": loadwright({ input: { kind: "rows", cursor: "one" } }),
  /** The command as a user calls it. */
  "loadwright run": {
    reads: ["jsonl"],
    missing: () => undefined,
    prepare: ({ folder, table, address, path }) => writeWorkspace(folder, { table, address, path }),
    command: ({ folder }) => ({
      command: process.execPath,
      args: [join(root, "bin", "loadwright.cjs"), "run", "bench", "--workspace", folder],
      env: NODE_ENV,
    }),
  },
  duckdb: {
    reads: ["jsonl", "csv"],
    missing: () => undefined,
    command: (job) => ({ command: process.execPath, args: [script("duckdb.ts"), JSON.stringify(job)] }),
  },
  psql: psql(({ sql }) => sql),
  "psql, with ids": psql(({ sqlWithIds }) => sqlWithIds ?? []),
  sling: {
    reads: ["csv"],
    missing() {
      if (process.env.SLING === undefined) return "SLING names no binary of it";
      return isThere(process.env.SLING) ? undefined : `${process.env.SLING} does not run`;
    },
    command: ({ address, table, path, folder, s3 }) => ({
      command: process.env.SLING!,
      args: [
        "run",
        ...(s3 === undefined
          ? ["--src-stream", `file://${path}`]
          : ["--src-conn", "BENCH_S3", "--src-stream", `s3://${s3.bucket}/${path}`]),
        ...["--tgt-conn", "BENCH_POSTGRES", "--tgt-object", `${DATASET}.${table}`],
        ...["--mode", "full-refresh"],
      ],
      env: {
        SLING_HOME_DIR: folder,
        BENCH_POSTGRES: `${address}?sslmode=disable`,
        ...(s3 === undefined
          ? {}
          : {
              BENCH_S3: JSON.stringify({
                type: "s3",
                bucket: s3.bucket,
                endpoint: s3.endpoint,
                region: "us-east-1",
                access_key_id: s3.accessKeyId,
                secret_access_key: s3.secretAccessKey,
              }),
            }),
      },
    }),
  },
  dlt: dlt({}),
  "dlt, tuned": { ...dlt({ tuned: true }, DLT_TUNED), rows: "tuned-rows" },
  /** CSV that pyarrow reads stays in its columns all the way: fast enough to load all rows. */
  "dlt, arrow": { ...dlt({ tuned: true }, DLT_TUNED), rows: undefined },
  "dlt, one cursor value": dlt({ input: { kind: "rows", cursor: "one" } }),
  /** Reads files that are newer than those of the last run, by its filesystem source. */
  "dlt, unchanged": dlt({ unchanged: true }),
} as const satisfies Record<string, Contender>;

export type ContenderName = keyof typeof CONTENDERS;

function isThere(program: string): boolean {
  return spawnSync(program, ["--version"]).status === 0;
}

function writeWorkspace(
  folder: string,
  { table, address, path }: Pick<Job, "table" | "address" | "path">,
): void {
  writeFileSync(
    join(folder, "loadwright.toml"),
    `[pipelines.bench]
source = "filesystem"
dataset = ${JSON.stringify(DATASET)}

[pipelines.bench.config]
path = ${JSON.stringify(dirname(path))}

[pipelines.bench.config.resources.${table}]

[destinations.duckdb]
type = "duckdb"
path = ${JSON.stringify(address)}
`,
  );
}
