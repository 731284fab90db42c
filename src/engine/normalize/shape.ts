/**
 * What the scanner knows about the documents of one root table: for each key of each object, where its value
 * goes. Shapes are learned from rows that took the row path, and only hold what that path decided.
 */

import type { JsonDoc } from "../interop/json.ts";
import { isNested, LIST_INDEX, PARENT_ID, ROOT_ID, ROW_ID } from "../schema/tables.ts";
import type { Flattener } from "./flatten.ts";
import type { NormalizeTables, Slot, TableState } from "./table-state.ts";

const encoder = new TextEncoder();

export class KeyEntry {
  /** The key as it stands in the document: quotes included. */
  readonly bytes: Uint8Array;
  /** The key that followed this one last time. */
  next: KeyEntry | undefined;
  /** Column for scalar values; undefined: only nulls have been seen. */
  slot: Slot | undefined;
  object: ObjectShape | undefined;
  list: ListShape | undefined;
  /** The row path has noted a null here. */
  nullSeen = false;
  /** Dicts and lists of this key stay JSON in a column, empty ones too. */
  staysJson = false;
  /** True: every value of this key takes the row path. */
  refused = false;
  /** The object instance that had this key last: finds a key that is there twice. */
  seenIn = 0;

  constructor(key: string) {
    this.bytes = encoder.encode(JSON.stringify(key));
  }
}

/** An object of a document: the root, a nested dict, or an item of a list. */
export class ObjectShape {
  readonly table: TableState;
  readonly path: readonly string[];
  readonly levels: number;
  readonly entries: KeyEntry[] = [];
  readonly byKey = new Map<string, KeyEntry>();
  first: KeyEntry | undefined;
  /** Is there a list at any depth below, so that rows of other tables need the ids of this one's? */
  hasLists = false;

  constructor(table: TableState, path: readonly string[], levels: number) {
    this.table = table;
    this.path = path;
    this.levels = levels;
  }
}

/** The id columns of a nested table, and the shape of its items. */
export class ListShape {
  readonly table: TableState;
  readonly item: ObjectShape;
  readonly parentId: Slot;
  readonly index: Slot;
  readonly rowId: Slot;
  readonly rootId: Slot | undefined;
  /** `_<table>_`, the middle of each row id's hash input. */
  readonly idMiddle: Uint8Array;
  value: Slot | undefined;
  /** The row path has noted an item that is null. */
  nullSeen = false;

  constructor(
    table: TableState,
    item: ObjectShape,
    ids: { parentId: Slot; index: Slot; rowId: Slot; rootId: Slot | undefined },
  ) {
    this.table = table;
    this.item = item;
    this.parentId = ids.parentId;
    this.index = ids.index;
    this.rowId = ids.rowId;
    this.rootId = ids.rootId;
    this.idMiddle = encoder.encode(`_${table.name}_`);
  }
}

/** Learns shapes from documents; `propagatesRootId` as the schema says for this root table. */
export class ShapeLearner {
  private readonly tables: NormalizeTables;
  private readonly flattener: Flattener;
  private readonly propagatesRootId: boolean;
  /** Which key fills a column or a nested table. */
  private readonly owners = new Map<object, KeyEntry>();
  /** Set when something was learned; whoever reads it resets it. */
  changed = false;

  constructor(tables: NormalizeTables, flattener: Flattener, propagatesRootId: boolean) {
    this.tables = tables;
    this.flattener = flattener;
    this.propagatesRootId = propagatesRootId;
  }

  /** `doc` has just gone through the row path into `shape`'s table. */
  learn(shape: ObjectShape, doc: Map<string, JsonDoc>): void {
    const { table, path, levels } = shape;
    const schemaTable = this.tables.schema.tables.get(table.name);
    if (!schemaTable) return;
    for (const [key, value] of doc) {
      const entry = this.entry(shape, key);
      if (entry.refused) continue;
      const name = this.flattener.keyName(key);
      const column = path.length === 0 ? name : this.tables.naming.join([...path, name]);
      entry.staysJson = this.flattener.staysJson(table.name, column, levels);
      if (name.startsWith("_dlt")) {
        entry.refused = true;
      } else if (value instanceof Map) {
        if (entry.staysJson) entry.refused = true;
        else {
          if (!entry.object) {
            entry.object = new ObjectShape(table, [...path, name], levels - 1);
            this.changed = true;
          }
          this.learn(entry.object, value);
        }
      } else if (Array.isArray(value)) {
        if (entry.staysJson) entry.refused = true;
        else this.learnList(entry, [...path, this.flattener.tableName(key)], table, levels, value);
      } else if (value !== null) {
        this.setSlot(entry, table.slot(schemaTable, column));
      } else {
        entry.nullSeen = true;
      }
      if (entry.list !== undefined || entry.object?.hasLists) shape.hasLists = true;
    }
  }

  private learnList(
    entry: KeyEntry,
    path: readonly string[],
    parent: TableState,
    levels: number,
    items: readonly JsonDoc[],
  ): void {
    if (items.length === 0) return;
    const name = this.tables.naming.join([parent.name, ...path]);
    const schemaTable = this.tables.schema.tables.get(name);
    // a table cut out of its chain by nested hints has rules of its own
    if (!schemaTable || !isNested(schemaTable)) {
      entry.refused = true;
      return;
    }
    const table = this.tables.state(name);
    if (!entry.list) {
      const parentId = table.slot(schemaTable, PARENT_ID);
      const index = table.slot(schemaTable, LIST_INDEX);
      const rowId = table.slot(schemaTable, ROW_ID);
      const rootId = this.propagatesRootId ? table.slot(schemaTable, ROOT_ID) : undefined;
      if (!parentId || !index || !rowId || (this.propagatesRootId && !rootId)) {
        entry.refused = true;
        return;
      }
      entry.list = new ListShape(table, new ObjectShape(table, [], levels - 1), {
        parentId,
        index,
        rowId,
        rootId,
      });
      this.changed = true;
      this.own(table, entry);
    }
    for (const item of items) {
      if (item instanceof Map) this.learn(entry.list.item, item);
      else if (item === null) entry.list.nullSeen = true;
      else if (!Array.isArray(item)) entry.list.value ??= table.slot(schemaTable, "value");
    }
  }

  private entry(shape: ObjectShape, key: string): KeyEntry {
    let entry = shape.byKey.get(key);
    if (!entry) {
      entry = new KeyEntry(key);
      shape.byKey.set(key, entry);
      shape.entries.push(entry);
      shape.first ??= entry;
      this.changed = true;
    }
    return entry;
  }

  private setSlot(entry: KeyEntry, slot: Slot | undefined): void {
    if (slot === undefined || entry.slot !== undefined) return;
    entry.slot = slot;
    this.changed = true;
    this.own(slot, entry);
  }

  /** Keys that end in one column or table need the row path, which tells whether they collide in one row. */
  private own(target: object, entry: KeyEntry): void {
    const owner = this.owners.get(target);
    if (owner === undefined) {
      this.owners.set(target, entry);
    } else if (owner !== entry) {
      owner.refused = true;
      entry.refused = true;
    }
  }
}
