/** The shape of a JSON value: from a schema that declares it, or from a sample that shows it. */

export type Shape =
  | {
      readonly kind: "object";
      readonly fields: ReadonlyMap<string, Shape>;
      readonly required: ReadonlySet<string>;
    }
  | { readonly kind: "list"; readonly items: Shape }
  | {
      readonly kind: "value";
      readonly type: "string" | "integer" | "number" | "boolean" | "null" | "unknown";
      readonly format?: string;
      /** What a sample showed. */
      readonly seen?: readonly unknown[];
    };

export const UNKNOWN: Shape = { kind: "value", type: "unknown" };
const DEPTH_MAX = 8;

/** The shape of sample values that stand in the same place. */
export function shapeOfValues(values: readonly unknown[], depth = 0): Shape {
  const present = values.filter((value) => value !== null && value !== undefined);
  if (present.length === 0) return { kind: "value", type: "null", seen: values };
  if (depth < DEPTH_MAX && present.every((value) => Array.isArray(value))) {
    return { kind: "list", items: shapeOfValues(present.flat(1), depth + 1) };
  }
  if (depth < DEPTH_MAX && present.every((value) => typeof value === "object" && !Array.isArray(value))) {
    const objects = present as Record<string, unknown>[];
    const keys = [...new Set(objects.flatMap((one) => Object.keys(one)))];
    return {
      kind: "object",
      fields: new Map(
        keys.map((key) => [
          key,
          shapeOfValues(
            objects.map((one) => one[key]),
            depth + 1,
          ),
        ]),
      ),
      required: new Set(
        keys.filter((key) => values.length === objects.length && objects.every((one) => one[key] != null)),
      ),
    };
  }
  const types = new Set(present.map(typeOf));
  if (types.size === 2 && types.has("integer") && types.has("number")) types.delete("integer");
  const type = types.size === 1 ? [...types][0]! : "unknown";
  const format = formatOf(present, type);
  return { kind: "value", type, seen: values, ...(format === undefined ? {} : { format }) };
}

function typeOf(value: unknown): "string" | "integer" | "number" | "boolean" | "unknown" {
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  if (typeof value === "string" || typeof value === "boolean") return typeof value as "string" | "boolean";
  return "unknown";
}

const FORMATS: readonly (readonly [string, RegExp])[] = [
  ["date-time", /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/],
  ["date", /^\d{4}-\d\d-\d\d$/],
  ["uuid", /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i],
  ["uri", /^(https?:\/\/|\/|\?)\S+/],
];

function formatOf(values: readonly unknown[], type: string): string | undefined {
  if (type === "integer" || type === "number") {
    const epoch = values.every((value) => Number(value) > 1e9 && Number(value) < 4e12);
    return epoch ? "epoch" : undefined;
  }
  if (type !== "string") return undefined;
  return FORMATS.find(([, pattern]) => values.every((value) => pattern.test(String(value))))?.[0];
}

/** The shape at a path of keys. */
export function shapeAt(shape: Shape, path: readonly string[]): Shape | undefined {
  return path.reduce<Shape | undefined>(
    (at, key) => (at?.kind === "object" ? at.fields.get(key) : undefined),
    shape,
  );
}

/** Paths of keys to lists outside lists, nearest first. */
export function listsIn(shape: Shape, path: readonly string[] = []): (readonly string[])[] {
  if (shape.kind === "list") return [path];
  if (shape.kind !== "object" || path.length >= 4) return [];
  return [...shape.fields]
    .flatMap(([key, inner]) => listsIn(inner, [...path, key]))
    .sort((a, b) => a.length - b.length);
}

/** Paths to values outside lists. */
export function valuesIn(
  shape: Shape,
  path: readonly string[] = [],
): { path: readonly string[]; shape: Extract<Shape, { kind: "value" }> }[] {
  if (shape.kind === "value") return [{ path, shape }];
  if (shape.kind !== "object" || path.length >= 4) return [];
  return [...shape.fields].flatMap(([key, inner]) => valuesIn(inner, [...path, key]));
}

/** A path as settings write it: `data.items`, or `$['a b']` where a key is no word. */
export function writtenPath(path: readonly string[]): string {
  if (path.length === 0) return "$";
  return path.every((key) => /^\w+$/.test(key))
    ? path.join(".")
    : `$${path.map((key) => `['${key}']`).join("")}`;
}
