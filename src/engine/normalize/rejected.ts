/**
 * What contracts discard: counted, and kept as rows of the table `_loadwright_rejected`, which is committed
 * with the package. The table is ours, so it stands in no dlt schema.
 *
 * A discarded row is kept whole, as it came, with what is nested in it. Of a discarded value only the value is
 * kept, with the `_dlt_id` of its row, so that it can be joined to what was loaded.
 */

import { type JsonDoc, plainJson } from "../interop/json.ts";
import { coerce } from "../schema/coerce.ts";
import type { ContractEntity } from "../schema/contract.ts";
import { REJECTED_TABLE, rejectedTable } from "../schema/rejected-table.ts";
import { putCell } from "./put-cell.ts";
import { TableState } from "./table-state.ts";

/** How much was discarded from a table. */
export interface RejectedCount {
  readonly rows: number;
  readonly values: number;
}

export class RejectedRows {
  readonly counts = new Map<string, { rows: number; values: number }>();
  /** Undefined when rejected rows are only counted. */
  readonly state: TableState | undefined;
  private readonly loadId: string;
  private readonly table = rejectedTable();

  constructor(loadId: string, keep: boolean) {
    this.loadId = loadId;
    this.state = keep ? new TableState(REJECTED_TABLE) : undefined;
  }

  row(table: string, path: string | null, entity: ContractEntity, doc: JsonDoc): void {
    this.count(table, "rows");
    this.keep(table, path, `${entity}: discard_row`, doc);
  }

  value(table: string, path: string, entity: ContractEntity, rowId: JsonDoc, value: JsonDoc): void {
    this.count(table, "values");
    this.keep(
      table,
      path,
      `${entity}: discard_value`,
      new Map<string, JsonDoc>([
        ["_dlt_id", rowId],
        [path, value],
      ]),
    );
  }

  private count(table: string, what: "rows" | "values"): void {
    const known = this.counts.get(table) ?? { rows: 0, values: 0 };
    known[what]++;
    this.counts.set(table, known);
  }

  private keep(table: string, path: string | null, reason: string, doc: JsonDoc): void {
    const { state } = this;
    if (!state) return;
    const at = state.buffer.beginRow();
    state.rowsTotal++;
    // type marks are of no use to whoever reads the row
    const row = coerce("json", "json", doc) ?? plainJson(doc);
    const cells = { load_id: this.loadId, table_name: table, path, reason, row };
    for (const [name, value] of Object.entries(cells)) {
      const slot = state.slot(this.table, name)!;
      if (value !== null) putCell(slot, at, value);
    }
  }
}
