/** A source's configuration checked by its zod schema; unknown keys are refused with the nearest known one. */

import { distance } from "fastest-levenshtein";
import { z } from "zod";
import { EngineError } from "../engine/errors.ts";

/** Errors: CONFIG_INVALID, and CONFIG_MISSING for a required setting that is not there. */
export function parseSourceConfig<S extends z.ZodType>(source: string, schema: S, raw: unknown): z.infer<S> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const at = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = keysAt(schema, at);
    const nearest = known.toSorted((a, b) => distance(key, a) - distance(key, b))[0];
    const setting = [...at, key].join(".");
    throw new EngineError("CONFIG_INVALID", `The ${source} source has no setting "${setting}".`, {
      hint:
        nearest !== undefined && distance(key, nearest) <= Math.max(2, key.length / 2)
          ? `Did you mean "${[...at, nearest].join(".")}"?`
          : `Settings there are: ${known.join(", ")}.`,
      details: { setting, known },
    });
  }
  const setting = at.join(".");
  const missing = at.length > 0 && valueAt(raw, at) === undefined;
  throw new EngineError(
    missing ? "CONFIG_MISSING" : "CONFIG_INVALID",
    `The ${source} source's setting "${setting}" is ${missing ? "missing" : "not valid"}: ${issue.message}.`,
    { hint: missing ? `Set \`${setting}\` in the pipeline's config.` : undefined, details: { setting } },
  );
}

function valueAt(raw: unknown, path: readonly string[]): unknown {
  let value = raw;
  for (const key of path) value = (value as Record<string, unknown> | null | undefined)?.[key];
  return value;
}

/** The keys of the object that the path leads to, through optional values and records. */
function keysAt(schema: z.ZodType, path: readonly string[]): string[] {
  let here: unknown = schema;
  for (const key of [...path, undefined]) {
    while (here instanceof z.ZodOptional || here instanceof z.ZodDefault || here instanceof z.ZodNullable) {
      here = here.unwrap();
    }
    if (key === undefined) break;
    if (here instanceof z.ZodObject) here = here.shape[key];
    else if (here instanceof z.ZodRecord) here = here.valueType;
    else return [];
  }
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}
