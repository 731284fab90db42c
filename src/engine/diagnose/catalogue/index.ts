/** The error catalogue, all areas. */

import { ERRORS } from "../../errors.ts";
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

/** What can be told of an error besides its code; entries for codes of this engine carry those as names. */
const AREAS = [...POSTGRES, ...SUPABASE, ...DUCKDB, ...S3, ...HTTP, ...PARSING, ...MACHINE, ...DLT].map(
  (each): Pattern =>
    Object.hasOwn(ERRORS, each.code) && !each.names?.includes(each.code)
      ? { ...each, names: [each.code, ...(each.names ?? [])] }
      : each,
);
const TOLD = new Set(AREAS.map((each) => each.code));

export const CATALOGUE: readonly Pattern[] = [
  ...AREAS,
  ...ENGINE.filter((each) => !TOLD.has(each.code)),
  ...SILENT.map((each) => ({ ...each, weak: true })),
];

export function patternOf(code: string): Pattern | undefined {
  return CATALOGUE.find((each) => each.code === code);
}
