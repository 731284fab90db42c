/** A resource in plain words, for checks that look at no data. */

import type { Resource } from "../../engine/extract/resource.ts";
import type { DescribedResource } from "./probe-protocol.ts";

export function describeResource(resource: Resource, all: readonly Resource[]): DescribedResource {
  const { hints, parent } = resource;
  const { incremental, writeDisposition = "append", columns = {} } = hints;
  const flagged = (flag: "primary_key" | "merge_key") =>
    Object.entries(columns).flatMap(([name, column]) => (column[flag] === true ? [name] : []));
  const disposition = typeof writeDisposition === "string" ? writeDisposition : writeDisposition.disposition;
  const strategy =
    typeof writeDisposition === "object" && "strategy" in writeDisposition
      ? writeDisposition.strategy
      : undefined;
  // a transformer keeps its parent even where the source does not list it
  const known = parent === undefined ? undefined : (all.find((one) => one.name === parent.name) ?? parent);
  return {
    name: resource.name,
    selected: resource.selected,
    ...(known === undefined ? {} : { parent: known.name }),
    write_disposition: disposition,
    ...(strategy === undefined ? {} : { strategy }),
    primary_key: [...new Set([...names(hints.primaryKey), ...flagged("primary_key")])],
    merge_key: [...new Set([...names(hints.mergeKey), ...flagged("merge_key")])],
    columns: Object.keys(columns),
    ...(incremental === undefined
      ? {}
      : {
          cursor: {
            path: incremental.cursorPath,
            has_initial_value: incremental.initialValue !== undefined,
            ...(incremental.rowOrder === undefined ? {} : { row_order: incremental.rowOrder }),
            ...(incremental.endValue === undefined ? {} : { end_value: true }),
          },
        }),
  };
}

export function names(key: string | readonly string[] | undefined): string[] {
  if (key === undefined) return [];
  return typeof key === "string" ? [key] : [...key];
}
