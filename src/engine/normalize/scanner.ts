/**
 * The fast path from bytes to columns: reads JSON Lines without building objects. For each key it expects
 * the key that followed last time, and writes the value straight into its column. It decides nothing: at
 * anything it has not seen, or cannot prove to be what the row path would do with it, it takes the row back
 * and hands it over. `test/unit/scanner.test.ts` runs both paths over the same documents.
 */

import { type JsonDoc, parseJsonDocument } from "../interop/json.ts";
import { NestedIdHasher } from "../interop/keccak.ts";
import { ROW_ID_LENGTH, writeFreshRowId } from "../interop/row-id.ts";
import { propagationOf } from "../schema/merge.ts";
import { LOAD_ID, ROOT_ID, ROW_ID } from "../schema/tables.ts";
import type { ColumnBuffer } from "./column-buffer.ts";
import { isPlainDecimal, POWERS, putCoerced, putText, slicedBuffer } from "./put-text.ts";
import type { RowPath } from "./row-path.ts";
import { type KeyEntry, type ListShape, ObjectShape, ShapeLearner } from "./shape.ts";
import type { NormalizeTables, Slot, TableState } from "./table-state.ts";
import { unescapeJson } from "./unescape-json.ts";

const LF = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
/** First byte of the UTF-8 form of dlt's type marks (U+F026…U+F02E). */
const MARK_LEAD = 0xef;
const DEPTH_MAX = 200;
/** Row ids are hashed so many at a time. */
const IDS_AT_ONCE = 256;

/** The scanner gives the row up. */
const BAIL = -1;

export interface ScanCounts {
  rows: number;
  /** Rows that took the row path. */
  slow: number;
}

/** Scans the extracted rows of one root table. */
export class Scanner {
  readonly counts: ScanCounts = { rows: 0, slow: 0 };
  private readonly tables: NormalizeTables;
  private readonly rowPath: RowPath;
  private readonly rootTable: string;
  private readonly hasher = new NestedIdHasher(IDS_AT_ONCE);
  /** Where the ids that wait in the hasher belong: a column, and the place in its texts. */
  private readonly idCells: ColumnBuffer[] = [];
  private readonly idPlaces = new Uint32Array(IDS_AT_ONCE);
  private waitingAtMark = 0;
  private readonly idBytes = Buffer.alloc(ROW_ID_LENGTH * DEPTH_MAX);
  private shape: ObjectShape;
  private learner: ShapeLearner;
  private rowIdSlot: Slot | undefined;
  private loadIdSlot: Slot | undefined;
  private readonly loadId: Buffer;
  private touched: TableState[] = [];
  private readonly marks: number[] = [];
  private instance = 0;
  private bytes = slicedBuffer(new Uint8Array(0));
  private scratch = Buffer.alloc(4096);
  private eligible: boolean;

  constructor(tables: NormalizeTables, rowPath: RowPath, rootTable: string) {
    this.tables = tables;
    this.rowPath = rowPath;
    this.rootTable = rootTable;
    this.loadId = Buffer.from(tables.loadId);
    this.shape = this.rootShape();
    this.learner = this.newLearner();
    this.eligible = this.isEligible();
  }

  /** Are its rows, once their columns are known, none of the row path's business? */
  get takesRows(): boolean {
    return this.eligible && this.rowIdSlot !== undefined;
  }

  /** Only fresh row ids and dlt's own propagation of the root's id are known here. */
  private isEligible(): boolean {
    const { schema } = this.tables;
    if (this.rowPath.flattener.rowIdKind(this.rootTable) !== "random") return false;
    const propagated = Object.entries(propagationOf(schema, this.rootTable, true));
    if (propagated.some(([from, to]) => from !== ROW_ID || to !== ROOT_ID)) return false;
    for (const column of schema.tables.get(this.rootTable)?.columns.values() ?? []) {
      if (column.nullable === false && column.data_type === undefined) return false;
    }
    return true;
  }

  private rootShape(): ObjectShape {
    const state = this.tables.state(this.rootTable);
    return new ObjectShape(state, [], this.rowPath.flattener.levelsOf(this.rootTable));
  }

  private newLearner(): ShapeLearner {
    const propagates = Object.keys(propagationOf(this.tables.schema, this.rootTable, true)).length > 0;
    return new ShapeLearner(this.tables, this.rowPath.flattener, propagates);
  }

  /**
   * Scans `bytes[start, end)`, whole lines each ended by a line feed. `onError` gets the offset of the line
   * at fault and throws.
   */
  scan(
    bytes: Uint8Array,
    start: number,
    end: number,
    onError: (lineAt: number, error: unknown) => never,
  ): void {
    this.bytes = slicedBuffer(bytes);
    let at = start;
    while (at < end) {
      let first = bytes[at]!;
      while (first === 0x20 || first === 0x09 || first === 0x0d) first = bytes[++at]!;
      if (first === LF) {
        at++;
        continue;
      }
      let after = BAIL;
      if (first === OPEN_OBJECT && this.eligible && this.rowIdSlot !== undefined) {
        this.mark();
        after = this.rootRow(at);
        if (after === BAIL) this.takeBack();
      }
      if (after === BAIL) {
        let lineEnd = bytes.indexOf(LF, at);
        if (lineEnd < 0 || lineEnd >= end) lineEnd = end;
        try {
          this.addDocument(parseJsonDocument(this.bytes, at, lineEnd));
        } catch (error) {
          onError(at, error);
        }
        after = lineEnd;
      } else {
        this.counts.rows++;
      }
      at = after + 1;
    }
    this.writeIds();
  }

  /** Hashes the ids that wait, and puts them where they belong. */
  private writeIds(): void {
    const { hasher, idCells, idPlaces } = this;
    const { count } = hasher;
    if (count === 0) return;
    const ids = hasher.run();
    // what waits from now on is of the present row
    this.waitingAtMark = 0;
    for (let n = 0; n < count; n++) {
      const { text } = idCells[n]!;
      const to = idPlaces[n]!;
      const from = n * ROW_ID_LENGTH;
      for (let i = 0; i < ROW_ID_LENGTH; i++) text[to + i] = ids[from + i]!;
    }
  }

  /** A row for the row path; what that decides is learned. */
  addDocument(doc: JsonDoc): void {
    this.rowPath.add(this.rootTable, doc);
    this.counts.slow++;
    this.counts.rows++;
    this.learn(doc);
  }

  private learn(doc: JsonDoc): void {
    if (!(doc instanceof Map)) return;
    // a contract may have discarded every row so far, and the table with them
    const table = this.tables.schema.tables.get(this.rootTable);
    if (!table) return;
    if (this.rowIdSlot === undefined) {
      const state = this.tables.state(this.rootTable);
      this.rowIdSlot = state.slot(table, ROW_ID);
      this.loadIdSlot = state.slot(table, LOAD_ID);
      this.eligible = this.isEligible();
      // a first row without any key teaches nothing, but the next one may have to be taken back
      this.touched = this.statesBelow();
    }
    this.learner.learn(this.shape, doc);
    if (this.learner.changed) {
      this.touched = this.statesBelow();
      this.learner.changed = false;
    }
  }

  /** Every table a row of this root may write to. */
  private statesBelow(): TableState[] {
    const found = new Set<TableState>();
    const visit = (shape: ObjectShape): void => {
      found.add(shape.table);
      for (const entry of shape.entries) {
        if (entry.object) visit(entry.object);
        if (entry.list) visit(entry.list.item);
      }
    };
    visit(this.shape);
    return [...found];
  }

  private mark(): void {
    const { touched, marks } = this;
    this.waitingAtMark = this.hasher.count;
    let at = 0;
    for (let i = 0; i < touched.length; i++) at = touched[i]!.buffer.mark(marks, at);
  }

  private takeBack(): void {
    const { touched, marks } = this;
    this.hasher.truncate(this.waitingAtMark);
    let at = 0;
    for (let i = 0; i < touched.length; i++) {
      const state = touched[i]!;
      const before = state.buffer.rows;
      at = state.buffer.takeBack(marks, at);
      state.rowsTotal -= before - state.buffer.rows;
    }
  }

  /** A whole line; returns the offset of its line feed. */
  private rootRow(at: number): number {
    const state = this.shape.table;
    const row = state.buffer.beginRow();
    state.rowsTotal++;
    const ids = this.idBytes;
    writeFreshRowId(ids, 0);
    this.rowIdSlot!.cells.setBytes(row, ids, 0, ROW_ID_LENGTH);
    this.loadIdSlot!.cells.setBytes(row, this.loadId, 0, this.loadId.length);
    let after = this.object(this.shape, row, at, 0);
    if (after === BAIL) return BAIL;
    const bytes = this.bytes;
    while (bytes[after] === 0x0d || bytes[after] === 0x20 || bytes[after] === 0x09) after++;
    return bytes[after] === LF ? after : BAIL;
  }

  private space(at: number): number {
    const bytes = this.bytes;
    let byte = bytes[at]!;
    while (byte === 0x20 || byte === 0x09 || byte === 0x0d) byte = bytes[++at]!;
    return at;
  }

  /** `at` is the opening brace; returns the offset after the closing one. `depth` is that of the row's id. */
  private object(shape: ObjectShape, row: number, at: number, depth: number): number {
    const bytes = this.bytes;
    const instance = ++this.instance;
    at = this.space(at + 1);
    if (bytes[at] === CLOSE_OBJECT) return at + 1;
    let expected = shape.first;
    let previous: KeyEntry | undefined;
    for (;;) {
      if (bytes[at] !== QUOTE) return BAIL;
      let entry = expected !== undefined && keyIs(bytes, at, expected.bytes) ? expected : undefined;
      if (entry === undefined) {
        entry = findKey(shape, bytes, at);
        if (entry === undefined) return BAIL;
        if (previous !== undefined) previous.next = entry;
      }
      if (entry.refused || entry.seenIn === instance) return BAIL;
      entry.seenIn = instance;
      at += entry.bytes.length;
      if (bytes[at] !== COLON) {
        at = this.space(at);
        if (bytes[at] !== COLON) return BAIL;
      }
      at++;
      let first = bytes[at]!;
      if (first === 0x20) {
        at = this.space(at);
        first = bytes[at]!;
      }
      if (entry.staysJson && (first === OPEN_OBJECT || first === OPEN_LIST)) return BAIL;
      if (first === OPEN_OBJECT) {
        const inner = entry.object;
        if (inner !== undefined) {
          if (depth >= DEPTH_MAX - 1) return BAIL;
          at = this.object(inner, row, at, depth);
        } else {
          at = this.space(at + 1);
          if (bytes[at] !== CLOSE_OBJECT) return BAIL;
          at++;
        }
      } else if (first === OPEN_LIST) {
        const list = entry.list;
        if (list !== undefined) {
          at = this.list(list, at, depth);
        } else {
          at = this.space(at + 1);
          if (bytes[at] !== CLOSE_LIST) return BAIL;
          at++;
        }
      } else {
        at = this.scalar(entry.slot, entry.nullSeen, row, at, first);
      }
      if (at === BAIL) return BAIL;
      let byte = bytes[at]!;
      if (byte !== COMMA && byte !== CLOSE_OBJECT) {
        at = this.space(at);
        byte = bytes[at]!;
      }
      if (byte === CLOSE_OBJECT) return at + 1;
      if (byte !== COMMA) return BAIL;
      at++;
      if (bytes[at] !== QUOTE) at = this.space(at);
      previous = entry;
      expected = entry.next;
    }
  }

  private list(list: ListShape, at: number, depth: number): number {
    const bytes = this.bytes;
    at = this.space(at + 1);
    if (bytes[at] === CLOSE_LIST) return at + 1;
    if (depth >= DEPTH_MAX - 1) return BAIL;
    const { table } = list;
    const { buffer } = table;
    const { hasher } = this;
    const ids = this.idBytes;
    const own = (depth + 1) * ROW_ID_LENGTH;
    const parent = depth * ROW_ID_LENGTH;
    for (let index = 0; ; index++) {
      const row = buffer.beginRow();
      table.rowsTotal++;
      if (list.rootId !== undefined) list.rootId.cells.setBytes(row, ids, 0, ROW_ID_LENGTH);
      list.parentId.cells.setBytes(row, ids, parent, parent + ROW_ID_LENGTH);
      list.index.cells.setInt(row, index);
      const id = list.rowId.cells;
      // the bytes come with writeIds
      id.setBytes(row, ids, own, own + ROW_ID_LENGTH);
      const position = hasher.add(ids, parent, parent + ROW_ID_LENGTH, list.idMiddle, index);
      this.idCells[position] = id;
      this.idPlaces[position] = id.textLength - ROW_ID_LENGTH;
      if (hasher.full || list.item.hasLists) {
        this.writeIds();
        // rows below are told their parent's id
        if (list.item.hasLists) id.text.copy(ids, own, id.textLength - ROW_ID_LENGTH, id.textLength);
      }
      const first = bytes[at]!;
      if (first === OPEN_OBJECT) at = this.object(list.item, row, at, depth + 1);
      else if (first === OPEN_LIST) return BAIL;
      else at = this.scalar(list.value, list.nullSeen, row, at, first);
      if (at === BAIL) return BAIL;
      at = this.space(at);
      const byte = bytes[at]!;
      if (byte === CLOSE_LIST) return at + 1;
      if (byte !== COMMA) return BAIL;
      at = this.space(at + 1);
    }
  }

  private scalar(slot: Slot | undefined, nullSeen: boolean, row: number, at: number, first: number): number {
    const bytes = this.bytes;
    if (first === QUOTE) return slot === undefined ? BAIL : this.string(slot, row, at + 1);
    if (first === 0x6e) {
      // null
      if (bytes[at + 1] !== 0x75 || bytes[at + 2] !== 0x6c || bytes[at + 3] !== 0x6c) return BAIL;
      // without a column, the row path notes the first null for its report
      return (slot === undefined ? nullSeen : slot.nullable) ? at + 4 : BAIL;
    }
    if (slot === undefined) return BAIL;
    if (first === MINUS || (first >= ZERO && first <= NINE)) return this.number(slot, row, at, first);
    if (slot.type !== "bool") return BAIL;
    if (first === 0x74 && bytes[at + 1] === 0x72 && bytes[at + 2] === 0x75 && bytes[at + 3] === 0x65) {
      slot.cells.setBool(row, true);
      return at + 4;
    }
    if (
      first === 0x66 &&
      bytes[at + 1] === 0x61 &&
      bytes[at + 2] === 0x6c &&
      bytes[at + 3] === 0x73 &&
      bytes[at + 4] === 0x65
    ) {
      slot.cells.setBool(row, false);
      return at + 5;
    }
    return BAIL;
  }

  private number(slot: Slot, row: number, at: number, first: number): number {
    const bytes = this.bytes;
    const start = at;
    const negative = first === MINUS;
    let byte = negative ? bytes[++at]! : first;
    if (byte < ZERO || byte > NINE) return BAIL;
    const leadingZero = byte === ZERO;
    const digitsAt = at;
    let mantissa = 0;
    while (byte >= ZERO && byte <= NINE) {
      mantissa = mantissa * 10 + (byte - ZERO);
      byte = bytes[++at]!;
    }
    const integerDigits = at - digitsAt;
    if (leadingZero && integerDigits > 1) return BAIL;
    const { type } = slot;
    if (byte !== DOT && byte !== 0x65 && byte !== 0x45) {
      if (type === "bigint") {
        if (integerDigits <= 15) slot.cells.setInt(row, negative && mantissa !== 0 ? -mantissa : mantissa);
        else if (integerDigits <= 18) slot.cells.setBigInt(row, BigInt(bytes.latin1Slice(start, at)));
        else return BAIL;
        return at;
      }
      if (type === "double" && integerDigits <= 15) {
        slot.cells.setFloat(row, negative && mantissa !== 0 ? -mantissa : mantissa);
        return at;
      }
      return BAIL;
    }
    if (type !== "double") return BAIL;
    let fractionDigits = 0;
    if (byte === DOT) {
      byte = bytes[++at]!;
      const fractionAt = at;
      while (byte >= ZERO && byte <= NINE) {
        mantissa = mantissa * 10 + (byte - ZERO);
        byte = bytes[++at]!;
      }
      fractionDigits = at - fractionAt;
      if (fractionDigits === 0) return BAIL;
    }
    if (byte === 0x65 || byte === 0x45) {
      byte = bytes[++at]!;
      if (byte === PLUS || byte === MINUS) byte = bytes[++at]!;
      if (byte < ZERO || byte > NINE) return BAIL;
      while (byte >= ZERO && byte <= NINE) byte = bytes[++at]!;
      const value = Number(bytes.latin1Slice(start, at));
      if (!Number.isFinite(value)) return BAIL;
      slot.cells.setFloat(row, value);
      return at;
    }
    // up to 15 digits and a power of ten below 10^23 are exact, and so is their quotient's rounding
    const value =
      integerDigits + fractionDigits <= 15
        ? mantissa / POWERS[fractionDigits]!
        : Number(bytes.latin1Slice(digitsAt, at));
    slot.cells.setFloat(row, negative ? -value : value);
    return at;
  }

  /** `at` is after the opening quote; returns the offset after the closing one. */
  private string(slot: Slot, row: number, at: number): number {
    const bytes = this.bytes;
    const start = at;
    let byte = bytes[at]!;
    // a string that may carry a type mark is the row path's
    if (byte === MARK_LEAD) return this.marked(slot, row, at);
    while (byte !== QUOTE) {
      if (byte === BACKSLASH) {
        if (slot.type === "text") return this.escaped(slot, row, start, at);
        return slot.type === "json" ? this.escapedJson(slot, row, start, at) : BAIL;
      }
      if (byte < 0x20) return BAIL;
      byte = bytes[++at]!;
    }
    return putText(slot, row, bytes, start, at) ? at + 1 : BAIL;
  }

  /** JSON in a string: `at` is at the first backslash. */
  private escapedJson(slot: Slot, row: number, start: number, at: number): number {
    const bytes = this.bytes;
    let end = at;
    let byte = bytes[end]!;
    while (byte !== QUOTE) {
      if (byte < 0x20) return BAIL;
      end += byte === BACKSLASH ? 2 : 1;
      byte = bytes[end]!;
      if (byte === undefined) return BAIL;
    }
    let text: string;
    try {
      text = JSON.parse(bytes.utf8Slice(start - 1, end + 1));
    } catch {
      return BAIL;
    }
    return putCoerced(slot, row, text) ? end + 1 : BAIL;
  }

  /** Marked datetimes and decimals are common where a source yields typed rows; others take the row path. */
  private marked(slot: Slot, row: number, at: number): number {
    const bytes = this.bytes;
    const isMark = bytes[at + 1] === 0x80 && bytes[at + 2]! >= 0xa6 && bytes[at + 2]! <= 0xae;
    let end = at;
    let byte = bytes[end]!;
    while (byte !== QUOTE) {
      if (byte === BACKSLASH || byte < 0x20) return BAIL;
      byte = bytes[++end]!;
    }
    if (!isMark) return putText(slot, row, bytes, at, end) ? end + 1 : BAIL;
    const kind = bytes[at + 2];
    if (
      (kind === 0xa6 && slot.type === "decimal" && isPlainDecimal(bytes, at + 3, end)) ||
      (kind === 0xa7 && slot.type === "timestamp") ||
      (kind === 0xa8 && slot.type === "date")
    ) {
      return putText(slot, row, bytes, at + 3, end) ? end + 1 : BAIL;
    }
    return BAIL;
  }

  /** A text with escapes: `at` is at the first backslash. */
  private escaped(slot: Slot, row: number, start: number, at: number): number {
    const bytes = this.bytes;
    let end = at;
    let byte = bytes[end]!;
    while (byte !== QUOTE) {
      if (byte < 0x20) return BAIL;
      end += byte === BACKSLASH ? 2 : 1;
      byte = bytes[end]!;
      // a line that ends inside the string
      if (byte === undefined) return BAIL;
    }
    // an escape is never shorter than what it stands for
    if (this.scratch.length < end - start) this.scratch = Buffer.alloc((end - start) * 2);
    const length = unescapeJson(bytes, start, end, this.scratch);
    if (length < 0) return BAIL;
    slot.cells.setBytes(row, this.scratch, 0, length);
    return end + 1;
  }
}

function keyIs(bytes: Uint8Array, at: number, key: Uint8Array): boolean {
  for (let i = 1; i < key.length; i++) if (bytes[at + i] !== key[i]) return false;
  return true;
}

function findKey(shape: ObjectShape, bytes: Uint8Array, at: number): KeyEntry | undefined {
  for (const entry of shape.entries) if (keyIs(bytes, at, entry.bytes)) return entry;
  return undefined;
}
