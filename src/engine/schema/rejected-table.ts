/** The table of what contracts discarded. It is ours: it stands in no dlt schema and has no `_dlt_` columns. */

import type { Table } from "./types.ts";

export const REJECTED_TABLE = "_loadwright_rejected";

/** The dead-letter table; `row` is what was dropped, as JSON. */
export function rejectedTable(): Table {
  const text = (name: string, nullable: boolean) => ({ name, data_type: "text" as const, nullable });
  const columns = [
    text("load_id", false),
    text("table_name", false),
    text("path", true),
    text("reason", false),
    { name: "row", data_type: "json" as const, nullable: true },
  ];
  return {
    name: REJECTED_TABLE,
    columns: new Map(columns.map((column) => [column.name, column])),
    write_disposition: "append",
    resource: REJECTED_TABLE,
  };
}
