/**
 * Naming conventions: how source names become table and column names (`dlt/common/normalizers/naming`).
 * Names decide where data lands, so each rule repeats dlt's to the character.
 */

import { EngineError } from "../errors.ts";
import { digest128 } from "../interop/hash.ts";

export interface NamingConvention {
  readonly name: string;
  readonly caseSensitive: boolean;
  /** Longest name in code points; undefined: no limit. */
  readonly maxLength: number | undefined;
  /** What joins the parts of flattened and nested names. */
  readonly separator: string;
  /** One name as one identifier. A blank name is refused. */
  identifier(name: string): string;
  /** A name whose separators are kept: the rule for column keys and table names. May be empty (`__`). */
  path(name: string): string;
  /** Normalized parts as one name, shortened; blank parts are left out. */
  join(parts: readonly string[]): string;
  /** The name if it fits, else its ends around a tag of `hashInput`. */
  shorten(name: string, hashInput: string): string;
}

export interface NamingOptions {
  /** False for schemas migrated from engine 10 or older, whose paths contract `__`. */
  readonly breakPath?: boolean;
}

/** Characters of the tag inside a shortened name. */
const TAG_LENGTH = 6;

/** dlt's default: lower snake case over ASCII letters, underscores and digits of any script. */
export function snakeCase(maxLength?: number, options: NamingOptions = {}): NamingConvention {
  return convention("snake_case", false, "__", toSnakeCase, maxLength, options);
}

/** Keeps names but for line breaks, quotes and the separator. */
export function direct(maxLength?: number, options: NamingOptions = {}): NamingConvention {
  return convention("direct", true, "▶", (name) => name.replace(/[\n\r'"▶]/g, "_"), maxLength, options);
}

/** Keeps names but for line breaks, double quotes and repeated underscores. */
export function duckCase(maxLength?: number, options: NamingOptions = {}): NamingConvention {
  const rule = (name: string) => name.replace(/[\n\r"]/g, "_").replace(/__+/g, "_");
  return convention("duck_case", true, "__", rule, maxLength, options);
}

/** SQL-safe names in the source's case. */
export function sqlCsV1(maxLength?: number, options: NamingOptions = {}): NamingConvention {
  return convention("sql_cs_v1", true, "__", toSqlName, maxLength, options);
}

/** SQL-safe names in lower case. */
export function sqlCiV1(maxLength?: number, options: NamingOptions = {}): NamingConvention {
  const base = convention("sql_ci_v1", false, "__", toSqlName, maxLength, options);
  const identifier = (name: string) => base.identifier(name).toLowerCase();
  return { ...base, identifier, path: pathRule(base, identifier, options) };
}

/** By the names that dlt stores in schemas. */
const CONVENTIONS: Readonly<
  Record<string, (maxLength?: number, options?: NamingOptions) => NamingConvention>
> = {
  snake_case: snakeCase,
  direct,
  duck_case: duckCase,
  sql_cs_v1: sqlCsV1,
  sql_ci_v1: sqlCiV1,
};

export const NAMING_CONVENTIONS = Object.keys(CONVENTIONS);

/** The convention a schema or configuration names. */
export function namingByName(
  name: string,
  maxLength?: number,
  options: NamingOptions = {},
): NamingConvention {
  const short = name.replace(/^dlt\.common\.normalizers\.naming\./, "");
  const make = Object.hasOwn(CONVENTIONS, short) ? CONVENTIONS[short] : undefined;
  if (make === undefined) {
    throw new EngineError("CONFIG_INVALID", `There is no naming convention "${name}".`, {
      hint: `Use one of ${Object.keys(CONVENTIONS).join(", ")}.`,
    });
  }
  return make(maxLength, options);
}

function convention(
  name: string,
  caseSensitive: boolean,
  separator: string,
  rule: (name: string) => string,
  maxLength: number | undefined,
  options: NamingOptions,
): NamingConvention {
  // dlt treats a limit of 0 as none
  const limit = maxLength === 0 ? undefined : maxLength;
  const shorten = (normalized: string, hashInput: string) => shortenName(normalized, hashInput, limit);
  const identifier = (source: string) => {
    const stripped = stripSpace(source);
    if (stripped === "") throw new EngineError("IDENTIFIER_INVALID", "A name of a field or table is blank.");
    return shorten(rule(stripped), stripped);
  };
  const join = (parts: readonly string[]) => {
    const path = joinParts(parts, separator);
    return shorten(path, path);
  };
  const partial = { name, caseSensitive, maxLength: limit, separator, identifier, join, shorten };
  return { ...partial, path: pathRule(partial, identifier, options) };
}

function pathRule(
  base: Pick<NamingConvention, "separator" | "shorten">,
  identifier: (name: string) => string,
  options: NamingOptions,
): (name: string) => string {
  if (options.breakPath === false) return identifier;
  return (path) => {
    const parts = path.split(base.separator).filter((part) => stripSpace(part) !== "");
    return base.shorten(joinParts(parts.map(identifier), base.separator), path);
  };
}

function joinParts(parts: readonly string[], separator: string): string {
  return parts.filter((part) => stripSpace(part) !== "").join(separator);
}

const REDUCED: Readonly<Record<string, string>> = { "+": "x", "*": "x", "-": "_", "@": "a", "|": "l" };

function toSnakeCase(name: string): string {
  const broken = name
    .replace(/[+\-*@|]/g, (char) => REDUCED[char] as string)
    .replace(/[^a-zA-Z\p{Nd}_]+/gu, "_")
    .replace(/([^_])([A-Z][a-z]+)/gu, "$1_$2")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase();
  const prefixed = /^\p{Nd}/u.test(broken) ? "_" + broken : broken;
  // one x for each trailing underscore, so that `id_` and `id` stay different names
  const stem = prefixed.replace(/_+$/, "");
  return (stem + "x".repeat(prefixed.length - stem.length)).replace(/__+/g, "_");
}

function toSqlName(name: string): string {
  const safe = name.replace(/[^a-zA-Z\p{Nd}_]+/gu, "_");
  const prefixed = /^\p{Nd}/u.test(safe) ? "_" + safe : safe;
  const stem = prefixed === "_" ? prefixed : prefixed.replace(/_+$/, "");
  return stem.replace(/__+/g, "_");
}

/**
 * A name over the limit keeps both ends around a tag: `ceil((max-6)/2)` code points, 6 of tag, the rest.
 * The tag is the hash of the source name, so names that only differ in the middle stay different.
 */
function shortenName(name: string, hashInput: string, limit: number | undefined): string {
  if (limit === undefined || name.length <= limit) return name;
  const points = Array.from(name);
  if (points.length <= limit) return name;
  if (limit < TAG_LENGTH) {
    throw new EngineError(
      "CONFIG_INVALID",
      `Names of at most ${limit} characters are too short to stay unique.`,
    );
  }
  const room = limit - TAG_LENGTH;
  const tail = Math.floor(room / 2);
  return (
    points.slice(0, room - tail).join("") + nameTag(hashInput) + points.slice(points.length - tail).join("")
  );
}

function nameTag(hashInput: string): string {
  return digest128(hashInput, 4).replaceAll("/", "a").replaceAll("+", "b").toLowerCase();
}

/** Python's `str.strip()`: it counts U+001C..U+001F and U+0085 as space, and U+FEFF not. */
export function stripSpace(text: string): string {
  return text.replace(/^[\p{White_Space}\x1c-\x1f]+|[\p{White_Space}\x1c-\x1f]+$/gu, "");
}
