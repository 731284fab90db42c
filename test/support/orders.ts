/** Orders with their items: the tables and rows that the tests of destinations load. */

import type { Table } from "../../src/engine/schema/types.ts";
import { LOAD_ID, PARENT_ID, ROOT_ID, ROW_ID, table, type Value } from "./packages.ts";

export const PK = { data_type: "bigint", primary_key: true, nullable: false } as const;

export function orders(more: Partial<Table> = {}, columns: Parameters<typeof table>[1] = {}): Table {
  return table(
    "orders",
    { id: PK, name: "text", ...columns, _dlt_load_id: LOAD_ID, _dlt_id: ROW_ID },
    { write_disposition: "merge", ...more },
  );
}

export const items = table(
  "orders__items",
  { sku: "text", _dlt_root_id: ROOT_ID, _dlt_parent_id: PARENT_ID, _dlt_list_idx: "bigint", _dlt_id: ROW_ID },
  { parent: "orders" },
);

export function order(
  id: number,
  name: string,
  row = `r${id}${name}`,
  more: Record<string, Value> = {},
): Record<string, Value> {
  return { id, name, _dlt_load_id: "l", _dlt_id: row, ...more };
}

export function item(root: string, index: number, sku: string): Record<string, Value> {
  return {
    sku,
    _dlt_root_id: root,
    _dlt_parent_id: root,
    _dlt_list_idx: index,
    _dlt_id: `${root}-${index}`,
  };
}
