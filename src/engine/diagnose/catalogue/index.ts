/** The error catalogue, all areas. */

import type { Pattern } from "../pattern.ts";
import { DLT } from "./dlt.ts";
import { DUCKDB } from "./duckdb.ts";
import { ENGINE } from "./engine.ts";
import { HTTP } from "./http.ts";
import { MACHINE } from "./machine.ts";
import { PARSING } from "./parsing.ts";
import { POSTGRES } from "./postgres.ts";
import { S3 } from "./s3.ts";
import { SILENT } from "./silent.ts";
import { SUPABASE } from "./supabase.ts";

export const CATALOGUE: readonly Pattern[] = [
  ...POSTGRES,
  ...SUPABASE,
  ...DUCKDB,
  ...S3,
  ...HTTP,
  ...PARSING,
  ...MACHINE,
  ...DLT,
  ...ENGINE,
  ...SILENT.map((each) => ({ ...each, weak: true })),
];

export function patternOf(code: string): Pattern | undefined {
  return CATALOGUE.find((each) => each.code === code);
}
