/** The configuration of a source against its zod schema; what does not fit is one clear error. */

import type { ZodType } from "zod";
import { EngineError } from "../engine/errors.ts";
import { didYouMean } from "../engine/nearest.ts";

/** Errors: CONFIG_INVALID, CONFIG_MISSING; an unknown key is refused with the nearest known one. */
export function parseSourceConfig<T>(schema: ZodType<T>, raw: unknown, source: string): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const at = issue.path.map(String);
  const where = (keys: readonly string[]): string => keys.join(".");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = keysAt(schema, raw, issue.path);
    const setting = where([...at, key]);
    throw new EngineError("CONFIG_INVALID", `The ${source} source has no setting "${setting}".`, {
      hint:
        didYouMean(
          setting,
          known.map((each) => where([...at, each])),
        ) || `Settings there are: ${known.join(", ")}.`,
      details: { setting, known },
    });
  }
  const setting = where(at);
  const missing = valueAt(raw, issue.path) === undefined;
  throw new EngineError(
    missing ? "CONFIG_MISSING" : "CONFIG_INVALID",
    missing
      ? `The ${source} source needs the setting "${setting}".`
      : `The ${source} source's setting "${setting}" is not valid: ${issue.message}.`,
    { details: { setting } },
  );
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value: unknown = raw;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key];
  return value;
}

/** The parts of a zod schema's definition that lead from a setting to those inside it. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, ZodType>>;
  readonly innerType?: ZodType;
  readonly element?: ZodType;
  readonly valueType?: ZodType;
  readonly out?: ZodType;
  readonly options?: readonly ZodType[];
  readonly discriminator?: string;
}

/** Keys that the object at `path` may have. */
function keysAt(schema: ZodType, raw: unknown, path: readonly PropertyKey[]): string[] {
  const definition = (schema as unknown as { def: Definition }).def;
  const inner = definition.innerType ?? definition.out;
  if (inner !== undefined) return keysAt(inner, raw, path);
  if (definition.options !== undefined) {
    const { discriminator, options } = definition;
    const kind =
      typeof raw === "string" ? raw : (raw as Record<string, unknown> | null)?.[discriminator ?? ""];
    const chosen = options.filter((option) => {
      const tag = (option as unknown as { def: Definition }).def.shape?.[discriminator ?? ""];
      return tag === undefined || tag.safeParse(kind).success;
    });
    return [...new Set(chosen.flatMap((option) => keysAt(option, raw, path)))];
  }
  const [key, ...rest] = path;
  const next = (raw as Record<PropertyKey, unknown> | null | undefined)?.[key as PropertyKey];
  if (key === undefined) return Object.keys(definition.shape ?? {});
  const child = definition.shape?.[String(key)] ?? definition.element ?? definition.valueType;
  return child === undefined ? [] : keysAt(child, next, rest);
}
