/** One contender's loads of a case, from a fresh database to the checksums of what it holds. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import type { Case } from "./cases.ts";
import { type Measured, runChild } from "./child.ts";
import { CONTENDERS, type Contender, type ContenderName } from "./contenders.ts";
import { DATA_DIR, dataFile, type Format } from "./data.ts";
import type { Checksums, Databases } from "./databases.ts";
import type { Input, Job, S3Place } from "./job.ts";

/** What a case needs besides files. */
export interface Services {
  readonly databases: Databases;
  readonly s3?: { readonly place: S3Place; put(path: string): Promise<void> };
}

export async function measure(
  name: ContenderName,
  wanted: Case,
  rows: number,
  services: Services,
): Promise<Measured & { readonly checksums: Checksums }> {
  const contender: Contender = CONTENDERS[name];
  mkdirSync(DATA_DIR, { recursive: true });
  const folder = mkdtempSync(join(DATA_DIR, "run-"));
  try {
    const database = await services.databases.fresh(folder);
    let measured: Measured | undefined;
    for (const { input, ...statements } of wanted.loads) {
      const local = await dataFile(setOf(input), rows, formatFor(input, contender));
      const object = wanted.s3 === true && !contender.local ? services.s3 : undefined;
      await object?.put(local);
      const job: Job = {
        destination: wanted.destination,
        address: database.address,
        folder,
        table: wanted.table,
        input,
        rows,
        path: object === undefined ? local : basename(local),
        ...(object === undefined ? {} : { s3: object.place }),
        ...(wanted.primaryKey === undefined ? {} : { primaryKey: wanted.primaryKey }),
        ...statements,
      };
      contender.prepare?.(job);
      measured = await runChild(contender.command(job));
    }
    const checksums = await database.checksums(wanted.compared);
    await database.drop();
    return { ...measured!, checksums };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function setOf(input: Input): "rows" | Extract<Input, { kind: "file" }>["set"] {
  return input.kind === "rows" ? "rows" : input.set;
}

/** A client of a database may read another form of the same rows faster. */
function formatFor(input: Input, { reads }: Contender): Format {
  const given = input.kind === "rows" ? "jsonl" : input.format;
  return reads.includes(given) ? given : reads[0]!;
}
