/**
 * A nested document as rows of tables: dlt's relational normalizer (common/normalizers/json/relational.py).
 * Dicts become columns `parent__child`, lists become tables `parent__key`. The order in which columns and
 * rows come out is part of the format, because it becomes the order of the columns.
 */

import { EngineError } from "../errors.ts";
import { digest128, nestedRowId } from "../interop/hash.ts";
import { type JsonDoc, plainJson } from "../interop/json.ts";
import { freshRowId } from "../interop/row-id.ts";
import { propagationOf } from "../schema/merge.ts";
import type { NamingConvention } from "../schema/naming.ts";
import {
  columnsWith,
  DEFAULT_NESTING,
  isNested,
  LIST_INDEX,
  LOAD_ID,
  maxNesting,
  mergeStrategy,
  PARENT_ID,
  ROW_ID,
  relationalConfig,
} from "../schema/tables.ts";
import type { Schema } from "../schema/types.ts";

/** Stands for a key that is blank. */
const EMPTY_KEY = "_empty";
const VALUE = "value";
const ID_BYTES = 10;

export type FlatRow = Map<string, JsonDoc>;
/** Takes a row and the item it was made from; false: do not descend into the tables below it. */
export type TakeRow = (table: string, parent: string | undefined, row: FlatRow, item: JsonDoc) => boolean;

export class Flattener {
  private readonly schema: Schema;
  private readonly naming: NamingConvention;
  private readonly loadId: string;
  private readonly names = new Map<string, string>();

  constructor(schema: Schema, naming: NamingConvention, loadId: string) {
    this.schema = schema;
    this.naming = naming;
    this.loadId = loadId;
  }

  /** The column name of a key at the top of its object. */
  keyName(key: string): string {
    let name = this.names.get(key);
    if (name === undefined) {
      name = key.trim() === "" ? EMPTY_KEY : this.normalize(key);
      this.names.set(key, name);
    }
    return name;
  }

  tableName(key: string): string {
    return this.normalize(key);
  }

  private normalize(name: string): string {
    const breakPath = this.schema.normalizers.use_break_path_on_normalize !== false;
    return breakPath ? this.naming.path(name) : this.naming.identifier(name);
  }

  /** Is a dict or list at this place kept as JSON in one column? */
  staysJson(table: string, column: string, levelsLeft: number): boolean {
    if (levelsLeft <= 0) return true;
    return this.schema.tables.get(table)?.columns.get(column)?.data_type === "json";
  }

  levelsOf(table: string): number {
    return maxNesting(this.schema, this.schema.tables.get(table)) ?? DEFAULT_NESTING;
  }

  /** A table made by the normalizer is nested; a declared one says itself. */
  isNestedTable(table: string): boolean {
    const known = this.schema.tables.get(table);
    return known ? isNested(known) : true;
  }

  /** Emits the document's root row, then the rows of the tables below it, depth first. */
  document(rootTable: string, doc: JsonDoc, take: TakeRow): void {
    const row = doc instanceof Map ? doc : new Map([[VALUE, doc]]);
    this.row(row, new Map(), [rootTable], [], undefined, 0, this.levelsOf(rootTable), true, take);
  }

  private row(
    doc: Map<string, JsonDoc>,
    extend: FlatRow,
    path: readonly string[],
    parentPath: readonly string[],
    parentId: string | undefined,
    index: number,
    levelsLeft: number,
    asRoot: boolean,
    take: TakeRow,
  ): void {
    const table = this.naming.join([...parentPath, ...path]);
    const lists = new Map<string, { path: string[]; items: JsonDoc[] }>();
    const flat = this.flatten(table, doc, levelsLeft, lists);
    for (const [name, value] of extend) flat.set(name, value);
    const isRoot = asRoot || !this.isNestedTable(table);
    if (isRoot) flat.set(LOAD_ID, this.loadId);
    const given = flat.get(ROW_ID);
    const rowId =
      typeof given === "string" && given !== ""
        ? given
        : this.addRowId(table, doc, flat, parentId, index, isRoot);

    let below = extend;
    if (relationalConfig(this.schema)?.propagation) {
      for (const [from, to] of Object.entries(propagationOf(this.schema, table, isRoot))) {
        if (flat.has(from)) {
          if (below === extend) below = new Map(extend);
          below.set(to, flat.get(from)!);
        }
      }
    }

    const parent = parentPath.length === 0 ? undefined : this.naming.join(parentPath);
    if (!take(table, parent, flat, doc)) return;
    if (lists.size === 0) return;
    const newParentPath = [...parentPath, ...path];
    for (const list of lists.values()) {
      this.list(list.items, below, list.path, newParentPath, rowId, levelsLeft - 1, take);
    }
  }

  private list(
    items: readonly JsonDoc[],
    extend: FlatRow,
    path: readonly string[],
    parentPath: readonly string[],
    parentId: string,
    levelsLeft: number,
    take: TakeRow,
  ): void {
    const table = this.naming.join([...parentPath, ...path]);
    const isRoot = !this.isNestedTable(table);
    const parent = this.naming.join(parentPath);
    items.forEach((item, index) => {
      if (item instanceof Map) {
        this.row(item, extend, path, parentPath, parentId, index, levelsLeft, false, take);
      } else if (Array.isArray(item)) {
        const tracking = new Map<string, JsonDoc>([["list", item]]);
        this.row(tracking, extend, path, parentPath, parentId, index, levelsLeft - 1, false, take);
      } else {
        const flat: FlatRow = new Map([[VALUE, item]]);
        for (const [name, value] of extend) flat.set(name, value);
        if (isRoot) flat.set(LOAD_ID, this.loadId);
        this.addRowId(table, flat, flat, parentId, index, isRoot);
        take(table, parent, flat, item);
      }
    });
  }

  /**
   * Scalars of the current object come first; nested dicts wait on a stack, so the last of them comes out
   * first. Two keys of one row that end in one column are refused: dlt lets the later one win silently.
   */
  private flatten(
    table: string,
    doc: Map<string, JsonDoc>,
    levels: number,
    lists: Map<string, { path: string[]; items: JsonDoc[] }>,
  ): FlatRow {
    const flat: FlatRow = new Map();
    const stack: { object: Map<string, JsonDoc>; levels: number; path: string[] }[] = [
      { object: doc, levels, path: [] },
    ];
    for (let frame = stack.pop(); frame; frame = stack.pop()) {
      const { object, path } = frame;
      for (const [key, value] of object) {
        const name = this.keyName(key);
        const column = path.length === 0 ? name : this.naming.join([...path, name]);
        if (value instanceof Map) {
          if (!this.staysJson(table, column, frame.levels)) {
            stack.push({ object: value, levels: frame.levels - 1, path: [...path, name] });
            continue;
          }
        } else if (Array.isArray(value)) {
          if (!this.staysJson(table, column, frame.levels)) {
            // an empty list makes no table, and so nothing that another key could meet in
            if (value.length === 0) continue;
            const listPath = [...path, this.tableName(key)];
            const id = listPath.join("\u0000");
            if (lists.has(id)) throw collision(table, this.naming.join(listPath), key);
            lists.set(id, { path: listPath, items: value });
            continue;
          }
        }
        if (flat.has(column)) throw collision(table, column, key);
        flat.set(column, value);
      }
    }
    return flat;
  }

  private addRowId(
    table: string,
    doc: Map<string, JsonDoc>,
    flat: FlatRow,
    parentId: string | undefined,
    index: number,
    isRoot: boolean,
  ): string {
    let id: string;
    if (!isRoot) {
      id = nestedRowId(parentId!, table, index);
      flat.set(PARENT_ID, parentId!);
      flat.set(LIST_INDEX, index);
    } else {
      id = this.rootRowId(table, doc, flat);
    }
    flat.set(ROW_ID, id);
    return id;
  }

  private rootRowId(table: string, doc: Map<string, JsonDoc>, flat: FlatRow): string {
    switch (this.rowIdKind(table)) {
      case "random":
        return freshRowId();
      case "key_hash": {
        const key = new Map<string, JsonDoc>();
        for (const name of columnsWith(this.schema.tables.get(table)!, "primary_key")) {
          const value = flat.get(name);
          if (value === undefined) {
            throw new EngineError(
              "NULL_IN_REQUIRED",
              `A row of table ${table} has no value for its key column ${name}.`,
              {
                details: { table, column: name },
              },
            );
          }
          key.set(name, value);
        }
        return digest128(plainJson(key, { sortKeys: true }), ID_BYTES);
      }
      case "row_hash": {
        const hashed = new Map([...doc].filter(([key]) => !key.startsWith("_dlt")));
        return digest128(plainJson(hashed, { sortKeys: true }), ID_BYTES);
      }
    }
  }

  rowIdKind(table: string): "random" | "key_hash" | "row_hash" {
    const known = this.schema.tables.get(table);
    if (!known) return "random";
    const strategy = mergeStrategy(known);
    if (strategy === "upsert" || strategy === "insert-only") return "key_hash";
    if (strategy === "scd2" && columnsWith(known, "x-row-version")[0] === ROW_ID) return "row_hash";
    return "random";
  }
}

function collision(table: string, column: string, key: string): EngineError {
  return new EngineError(
    "NAME_COLLISION",
    `Two fields of one row of table ${table} become the same column ${column}; the later one is ${JSON.stringify(key)}.`,
    { details: { table, column, field: key } },
  );
}
