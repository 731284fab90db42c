/** Cursor values in the form that a service wants them in its parameters. */

import { EngineError } from "../../engine/errors.ts";
import type { IncrementalConfig } from "./config.ts";

type Conversion = NonNullable<IncrementalConfig["convert"]>;

/** Numbers beyond this are milliseconds. */
const SECONDS_MAX = 1e11;

export function convert(value: unknown, conversion: Conversion | undefined): unknown {
  if (value === undefined || value === null || conversion === undefined) return value ?? undefined;
  if (typeof conversion === "function") return conversion(value);
  const ms = instantOf(value);
  switch (conversion) {
    case "epoch_seconds":
      return Math.floor(ms / 1000);
    case "epoch_milliseconds":
      return ms;
    case "date":
      return new Date(ms).toISOString().slice(0, 10);
    case "datetime":
      return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
  }
}

/** Milliseconds since 1970; text without a zone is UTC. */
function instantOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  if (typeof value === "number" || typeof value === "bigint") {
    const number = Number(value);
    return number < SECONDS_MAX ? number * 1000 : number;
  }
  const text = String(value).trim().replace(" ", "T");
  const ms = Date.parse(/T.*(?:Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes("T") ? text : `${text}Z`);
  if (!Number.isNaN(ms)) return ms;
  throw new EngineError("CURSOR_TYPE", "The cursor's value is not a time, which `convert` needs.", {
    hint: "Remove `convert`, or use a function.",
  });
}
