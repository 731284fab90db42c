/**
 * Column hints from a zod model, as dlt takes them from a Pydantic one: types, nullability, descriptions.
 * Objects, arrays and records become json columns; what has no type of its own (unions, unknown) is left to
 * the data. Only hints are taken: rows are not validated.
 *
 *     columns: z.object({ id: z.int(), paid: z.boolean().nullable().describe("Has the invoice been paid?") })
 */

import type { $ZodObject, $ZodType } from "zod/v4/core";
import { globalRegistry } from "zod/v4/core";
import type { DataType } from "../schema/types.ts";
import type { ColumnHints } from "./column-hints.ts";

export type ColumnModel = $ZodObject;
type Columns = Readonly<Record<string, ColumnHints>>;

export function isColumnModel(columns: Columns | ColumnModel): columns is ColumnModel {
  return "_zod" in columns && (columns as ColumnModel)._zod.def.type === "object";
}

export function columnsOfModel(model: ColumnModel): Columns {
  return Object.fromEntries(
    Object.entries(model._zod.def.shape).map(([name, type]) => [name, columnOf(type)]),
  );
}

export function descriptionOfModel(model: ColumnModel): string | undefined {
  return globalRegistry.get(model)?.description;
}

/** Types whose value may be null or missing. */
const NO_VALUE: readonly string[] = ["null", "undefined", "void", "any", "unknown"];

/** `.meta({ column: { … } })` adds hints that zod has no word for, and wins over what is derived. */
function columnOf(type: $ZodType): ColumnHints {
  let nullable = false;
  let meta = globalRegistry.get(type) as { description?: string; column?: ColumnHints } | undefined;
  let inner = type;
  for (let next = wrapped(inner); next !== undefined; next = wrapped(inner)) {
    // a default is for the reader of a document: the cell of a missing field stays null
    nullable ||= ["optional", "nullable", "default", "prefault"].includes(inner._zod.def.type);
    inner = next;
    meta = { ...globalRegistry.get(inner), ...meta };
  }
  const dataType = dataTypeOf(inner);
  return {
    ...(dataType === undefined ? {} : { data_type: dataType }),
    nullable: nullable || NO_VALUE.includes(inner._zod.def.type),
    ...(meta?.description === undefined ? {} : { description: meta.description }),
    ...meta?.column,
  };
}

/** The type inside a wrapper, or undefined when this is no wrapper. */
function wrapped(type: $ZodType): $ZodType | undefined {
  const def = type._zod.def as { type: string; innerType?: $ZodType; in?: $ZodType };
  // rows come as they are before a transform
  return def.type === "pipe" ? def.in : def.innerType;
}

interface Def {
  readonly type: string;
  readonly format?: string;
  readonly checks?: readonly { readonly _zod: { readonly def: { readonly format?: string } } }[];
  readonly values?: readonly unknown[];
  readonly entries?: Readonly<Record<string, unknown>>;
}

function dataTypeOf(type: $ZodType): DataType | undefined {
  const def = type._zod.def as Def;
  switch (def.type) {
    case "string":
    case "template_literal":
      return stringType(formatsOf(def));
    case "number":
      return formatsOf(def).some((format) => /int/.test(format)) ? "bigint" : "double";
    case "int":
    case "bigint":
      return "bigint";
    case "boolean":
      return "bool";
    case "date":
      return "timestamp";
    case "file":
      return "binary";
    case "object":
    case "array":
    case "record":
    case "tuple":
    case "map":
    case "set":
      return "json";
    case "enum":
      return commonType(Object.values(def.entries ?? {}));
    case "literal":
      return commonType(def.values ?? []);
    default:
      return undefined;
  }
}

function formatsOf(def: Def): string[] {
  const formats = [def.format, ...(def.checks ?? []).map((check) => check._zod.def.format)];
  return formats.filter((format) => format !== undefined);
}

function stringType(formats: readonly string[]): DataType {
  if (formats.includes("datetime")) return "timestamp";
  if (formats.includes("date")) return "date";
  if (formats.includes("time")) return "time";
  return "text";
}

function commonType(values: readonly unknown[]): DataType | undefined {
  if (values.every((value) => typeof value === "string")) return "text";
  if (values.every((value) => typeof value === "boolean")) return "bool";
  if (values.every((value) => Number.isInteger(value))) return "bigint";
  return undefined;
}
