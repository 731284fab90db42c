/** Which fields of a row may be its key or its cursor, and what speaks for it. */

import { type Evidence, singular, snakeName } from "./draft.ts";
import type { Shape } from "./shape.ts";

export interface FieldFacts {
  readonly name: string;
  /** `date-time`, `date`, `epoch`, `uuid`; or the type: `string`, `integer`, … */
  readonly type: string;
  readonly required: boolean;
  /** From rows that were seen: how many, without a value, and different. */
  readonly rows?: number;
  readonly nulls?: number;
  readonly distinct?: number;
}

export interface CursorCandidate {
  readonly field: string;
  readonly why: string;
  /** `changed` moves when a row changes; `created` does not, so updates would be missed. */
  readonly kind: "changed" | "created" | "time";
}

export function factsOf(row: Shape): FieldFacts[] {
  if (row.kind !== "object") return [];
  return [...row.fields].flatMap(([name, shape]): FieldFacts[] => {
    if (shape.kind !== "value") return [];
    const { seen } = shape;
    const counted =
      seen === undefined
        ? {}
        : {
            rows: seen.length,
            nulls: seen.filter((value) => value === null || value === undefined).length,
            distinct: new Set(seen.filter((value) => value != null).map((value) => JSON.stringify(value)))
              .size,
          };
    return [{ name, type: shape.format ?? shape.type, required: row.required.has(name), ...counted }];
  });
}

/** The key by its name, refused when the rows that were seen speak against it. */
export function suggestKey(
  resource: string,
  fields: readonly FieldFacts[],
): { readonly key: string | undefined; readonly evidence: readonly Evidence[] } {
  const about = `${resource}.primary_key`;
  const own = singular(snakeName(resource).split("__").at(-1)!);
  const byName = [
    "id",
    `${own}_id`,
    `${own}_uuid`,
    "uuid",
    "guid",
    "_id",
    "key",
    `${own}_key`,
    `${own}_number`,
  ];
  const evidence: Evidence[] = [];
  const candidates = byName
    .map((name) => fields.find((field) => snakeName(field.name) === snakeName(name)))
    .filter((field) => field !== undefined);
  const unlike = (field: FieldFacts) =>
    ["boolean", "number", "date", "date-time", "null"].includes(field.type);
  for (const field of [...new Set(candidates)]) {
    if (unlike(field)) continue;
    const against = contradiction(field);
    if (against !== undefined) {
      evidence.push({ about, finding: `${field.name} has the name of a key, but ${against}` });
      continue;
    }
    evidence.push({ about, finding: `${field.name}: ${supportOf(field)}` });
    return { key: field.name, evidence };
  }
  const unique = fields.find(
    (field) =>
      (field.rows ?? 0) >= 3 &&
      !unlike(field) &&
      field.type !== "epoch" &&
      contradiction(field) === undefined &&
      /(^|_)(id|uuid|key|code|number|no|sku)$/.test(snakeName(field.name)),
  );
  if (unique !== undefined) {
    evidence.push({ about, finding: `${unique.name}: ${supportOf(unique)}` });
    return { key: unique.name, evidence };
  }
  evidence.push({ about, finding: "no field has the name of a key and only different values" });
  return { key: undefined, evidence };
}

function contradiction({ rows = 0, nulls = 0, distinct = rows - nulls }: FieldFacts): string | undefined {
  if (nulls > 0) return `${nulls} of ${rows} rows have none`;
  if (distinct < rows) return `${rows} rows have only ${distinct} different values`;
  return undefined;
}

function supportOf({ rows, type, required }: FieldFacts): string {
  const seen = rows === undefined || rows === 0 ? "" : `, different and present in all ${rows} rows seen`;
  return `named like a key, ${type}${required ? ", required" : ""}${seen}`;
}

const CHANGED =
  /^(last_)?(updated|modified|changed|edited|update|modification)(_(at|on|time|date|ts|timestamp|datetime|utc))*$|^(updated|modified|changed)$|^last_(update|change|modified)(_\w+)?$/;
const CREATED =
  /^(created|inserted|creation|added|occurred|received|ingested)(_(at|on|time|date|ts|timestamp|datetime|utc))*$/;

/** Fields that may serve as a cursor, the best first. */
export function suggestCursors(fields: readonly FieldFacts[]): CursorCandidate[] {
  const rank = { changed: 0, created: 1, time: 2 };
  return fields
    .flatMap((field): CursorCandidate[] => {
      const name = snakeName(field.name);
      const timed = ["date-time", "date", "epoch", "timestamp", "timestamptz"].includes(field.type);
      const kind = CHANGED.test(name) ? "changed" : CREATED.test(name) ? "created" : "time";
      if (!timed && (kind === "time" || !["string", "integer", "unknown"].includes(field.type))) return [];
      if (!timed && field.rows !== undefined) return [];
      if (field.type === "epoch" && kind === "time" && !/time|_at$|_ts$|^ts$|date/.test(name)) return [];
      const missing =
        field.nulls !== undefined && field.nulls > 0
          ? `; ${field.nulls} of ${field.rows} rows have none`
          : "";
      const told = {
        changed: "named like the time of a change",
        created: "named like a time of creation: later changes of a row would be missed",
        time: "a time",
      };
      return [{ field: field.name, kind, why: `${told[kind]}, ${field.type}${missing}` }];
    })
    .sort((a, b) => rank[a.kind] - rank[b.kind]);
}

const COLUMNS_MAX = 60;

/** Types to declare: JavaScript writes 1.0 as 1, so a number that begins whole would become an integer column. */
export function decimalColumns(fields: readonly FieldFacts[]): {
  readonly columns?: Record<string, unknown>;
} {
  const decimal = fields.filter((field) => field.type === "number").slice(0, COLUMNS_MAX);
  if (decimal.length === 0) return {};
  return { columns: Object.fromEntries(decimal.map(({ name }) => [name, { data_type: "double" }])) };
}
