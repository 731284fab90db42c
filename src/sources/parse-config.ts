/** A source's `config` table, checked against its schema at the edge. */

import type { z } from "zod";
import { EngineError } from "../engine/errors.ts";
import { didYouMean } from "../engine/nearest.ts";

/** The configuration, typed. Errors: CONFIG_INVALID, or CONFIG_MISSING for a setting that is not there. */
export function parseSourceConfig<S extends z.ZodObject>(
  source: string,
  schema: S,
  raw: unknown,
): z.infer<S> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  if (issue.code === "unrecognized_keys") {
    const setting = [...issue.path.map(String), issue.keys[0]!].join(".");
    const known = issue.path.length === 0 ? Object.keys(schema.shape) : [];
    const guess = didYouMean(issue.keys[0]!, known);
    throw new EngineError("CONFIG_INVALID", `The ${source} source has no setting "${setting}".`, {
      hint:
        guess !== "" || known.length === 0 ? guess || undefined : `Settings there are: ${known.join(", ")}.`,
      details: { source, setting, known },
    });
  }
  const setting = issue.path.map(String).join(".");
  const [first] = issue.path;
  const missing =
    issue.path.length === 1 && (raw as Record<PropertyKey, unknown> | null)?.[first!] === undefined;
  throw new EngineError(
    missing ? "CONFIG_MISSING" : "CONFIG_INVALID",
    missing
      ? `The ${source} source needs the setting "${setting}".`
      : `The ${source} source's setting "${setting}" is not valid: ${issue.message}.`,
    {
      ...(missing ? { hint: `Add ${setting} to the pipeline's config table in loadwright.toml.` } : {}),
      details: { source, setting },
    },
  );
}
