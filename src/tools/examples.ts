/** A call of each tool for help texts, made from its input schema: what it requires, with values that are valid. */

import { z } from "zod";
import type { Tool } from "./define-tool.ts";

/** By name of the argument; names mean the same in every tool. */
const VALUES: Readonly<Record<string, unknown>> = {
  pipeline: "shop",
  table: "orders",
  resource: "orders",
  source: "shop",
  name: "shop",
  sql: "select count(*) from orders",
  query: "incremental cursor",
  load_id: "1700000000.1",
  run_id: "20261122T160245-1e7a3c",
  text: "connection refused",
  key: "api_key",
  action: "restore_from_destination",
};

/** What an argument may be that is optional, but without which the tool has nothing to do. */
const SUBJECTS: readonly (readonly [string, ...string[]])[] = [
  ["text"],
  ["pipeline"],
  ["run_id"],
  ["source"],
];

/** A valid input; undefined when the tool requires something that has no value here. */
export function exampleOf(tool: Tool): Record<string, unknown> | undefined {
  const schema = z.toJSONSchema(tool.input, { io: "input" });
  const input: Record<string, unknown> = {};
  for (const key of schema.required ?? []) input[key] = VALUES[key] ?? firstOf(schema.properties?.[key]);
  if (Object.keys(input).length === 0) {
    const subject = SUBJECTS.flat().find((key) => key in (schema.properties ?? {}));
    if (subject !== undefined) input[subject] = VALUES[subject];
  }
  // of the things that a source can be built from, the one that needs nothing
  if ("empty" in (schema.properties ?? {})) input.empty = true;
  return tool.input.safeParse(input).success ? input : undefined;
}

function firstOf(property: unknown): unknown {
  if (typeof property !== "object" || property === null) return undefined;
  const {
    enum: values,
    const: only,
    type,
  } = property as { enum?: unknown[]; const?: unknown; type?: string };
  if (only !== undefined) return only;
  if (values !== undefined) return values[0];
  return { string: "example", integer: 1, number: 1, boolean: true, array: ["example"], object: {} }[
    type ?? ""
  ];
}
