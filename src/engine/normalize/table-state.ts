/** A table of the schema together with the rows of this package that wait to be written. */

import type { NamingConvention } from "../schema/naming.ts";
import { isComplete, isNullable } from "../schema/tables.ts";
import type { Column, DataType, Schema, Table } from "../schema/types.ts";
import { type ColumnBuffer, kindOf, TableBuffer } from "./column-buffer.ts";

/** A complete column and where its cells go. */
export interface Slot {
  readonly column: Column;
  readonly type: DataType;
  readonly cells: ColumnBuffer;
  readonly nullable: boolean;
}

export class TableState {
  readonly name: string;
  readonly buffer: TableBuffer;
  readonly slots = new Map<string, Slot>();
  /** Rows of this package so far, written ones included. */
  rowsTotal = 0;

  constructor(name: string) {
    this.name = name;
    this.buffer = new TableBuffer(name);
  }

  /** The slot of a complete column of the schema's table, made when it is first needed. */
  slot(table: Table, columnName: string): Slot | undefined {
    const known = this.slots.get(columnName);
    if (known) return known;
    const column = table.columns.get(columnName);
    if (!column || !isComplete(column)) return undefined;
    const type = column.data_type!;
    const slot: Slot = {
      column,
      type,
      cells: this.buffer.addColumn(columnName, kindOf(type)),
      nullable: isNullable(column),
    };
    this.slots.set(columnName, slot);
    return slot;
  }
}

/** All tables of the package being normalized. */
export class NormalizeTables {
  readonly schema: Schema;
  readonly naming: NamingConvention;
  readonly loadId: string;
  readonly states = new Map<string, TableState>();

  constructor(schema: Schema, naming: NamingConvention, loadId: string) {
    this.schema = schema;
    this.naming = naming;
    this.loadId = loadId;
  }

  state(name: string): TableState {
    let state = this.states.get(name);
    if (!state) {
      state = new TableState(name);
      this.states.set(name, state);
    }
    return state;
  }
}
