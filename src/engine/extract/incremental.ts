/**
 * The incremental cursor (dlt/extract/incremental): which rows of this run are new, and where the next run
 * starts. One hash per row at most, and only for rows at a boundary: linear in rows whatever their values.
 *
 * The hashes are in the state, as dlt's `unique_hashes`, while there are at most 1,000 of them. Beyond that they
 * travel in the package to a table of ours (schema/boundary-table.ts), and the state says which must be there.
 * There they are of a faster kind (row-hash.ts); dlt's are made at the end, when the rows prove to be few.
 *
 * State, per resource under `incremental.<cursor path>`: initial_value, last_value (the farthest value seen),
 * unique_hashes (of the rows that have it), start_value (last_value of the run before).
 */

import { EngineError } from "../errors.ts";
import { shake128 } from "../interop/hash.ts";
import { plainJson, TypedValue } from "../interop/json.ts";
import { NestedIdHasher } from "../interop/keccak.ts";
import { timestampMicros } from "../schema/values.ts";
import { type BoundaryHashes, DLT_HASH_BYTES, hashText, KnownRows } from "./boundary-hashes.ts";
import { type CursorOrder, cursorOrder } from "./cursor-order.ts";
import { applyLag, boundLike, type CursorValue, publicValue, storable } from "./cursor-value.ts";
import { type CompiledPath, compilePath, findFirst } from "./json-path.ts";
import type { CursorView } from "./resource-context.ts";
import { RowHasher } from "./row-hash.ts";

export interface IncrementalOptions {
  /** Where the first run starts. Its type must be the field's type. */
  readonly initialValue?: unknown;
  /** Loads a window up to here, without touching the stored cursor. */
  readonly endValue?: unknown;
  /**
   * `max` (default): the cursor goes up; `min`: it goes down. A function gets a row's value and, unless it is
   * the first, the last value, and answers the new last value: the row is new when that differs from the old
   * one. Dates reach it as ISO text, and what it answers must be JSON.
   */
  readonly lastValueFunc?: "max" | "min" | LastValueFunction;
  /** What identifies a row at the boundary; default the resource's primary key, else the whole row. `[]`: no dedup. */
  readonly primaryKey?: string | readonly string[];
  /** Set when the source returns rows in cursor order: packages can then be committed one by one, and reading stops early. */
  readonly rowOrder?: "asc" | "desc";
  /** `closed` (default): rows at the start value are read again and deduplicated; `open`: they are skipped. */
  readonly rangeStart?: "closed" | "open";
  readonly rangeEnd?: "closed" | "open";
  /** Read again this far behind the cursor: seconds for date-times, days for dates, else a number. */
  readonly lag?: number;
  readonly onCursorValueMissing?: "raise" | "include" | "exclude";
  /** True: the run's `interval`, which a scheduler gives, sets the bounds; within those that are declared. */
  readonly allowExternalSchedulers?: boolean;
}

export type LastValueFunction = (values: readonly [value: unknown, last?: unknown]) => unknown;

/** A declared incremental: `incremental("updated_at", { initialValue: "2024-01-01" })`. */
export interface Incremental extends IncrementalOptions {
  /** A field's name, or a JSONPath such as `$.meta.updated_at`. Names as in the source. */
  readonly cursorPath: string;
  /** Set by the engine: the bounds are texts of a command line, to be read as the type of `like`, or of the first row. */
  readonly textBounds?: { readonly like: unknown; readonly refuseEmpty: boolean };
}

export function incremental(cursorPath: string, options: IncrementalOptions = {}): Incremental {
  return { ...options, cursorPath };
}

/** What is stored; keys as dlt's, but for ours. */
export interface CursorState {
  initial_value: unknown;
  last_value: unknown;
  unique_hashes: string[];
  start_value: unknown;
  /** Present when the rows at the last value are too many for `unique_hashes`; see schema/boundary-table.ts. */
  loadwright_boundary?: BoundaryMark;
}

/** Says which hashes the destination must hold. dlt keeps this key, and moves on without it. */
export interface BoundaryMark {
  readonly rows: number;
  readonly chunks: number;
  /** Of each hash in dlt's form. */
  readonly bytes: number;
  /** See KnownRows.digest. */
  readonly digest: string;
  /** The value that the rows have: when dlt has moved the cursor on, these hashes are no concern any more. */
  readonly last_value: unknown;
}

/** Hashes to store with the package, each entry one chunk; the first chunk replaces what was there. */
export interface BoundaryChunks {
  readonly first: number;
  readonly chunks: readonly BoundaryChunk[];
}

export interface BoundaryChunk {
  readonly form: "dlt" | "own";
  readonly hashes: Uint8Array;
}

/** What a run of a cursor is given besides its declaration. */
export interface CursorContext {
  readonly resource: string;
  /** The `incremental` object of the resource's state; untouched when an end value is given. */
  readonly slot: Record<string, unknown>;
  readonly primaryKey?: string | readonly string[] | undefined;
  /** True when reading rows at the boundary again changes nothing: they replace themselves. */
  readonly mergesByKey?: boolean;
  /** What the destination holds for the state's mark, if it has one. */
  readonly stored?: KnownRows | undefined;
}

const LEGACY_HASH_BYTES = 15;
const LEGACY_HASH_LENGTH = 20;
/** Up to so many hashes are kept in the state, in dlt's form: about 13 KB of its blob. */
export const STATE_HASHES_MAX = 1000;
/** Of a chunk: as base64 384 KiB. */
const CHUNK_BYTES_MAX = 294_912;
const NOTHING_SAVED = { dlt: 0, own: 0, chunks: 0 };
/** Rows that share a cursor value from which on a person is told. */
const COARSE_ROWS = 100;
const VERY_COARSE_ROWS = 1000;

export type Admitted = "yes" | "no" | "stop";

/** One run of a cursor: admits rows and moves the state. */
export class CursorRun {
  readonly path: string;
  readonly view: CursorView;
  private readonly declared: Incremental;
  private readonly compiled: CompiledPath;
  private readonly state: CursorState;
  private readonly order: CursorOrder;
  private startValue: CursorValue;
  private endValue: CursorValue;
  private readonly previousLast: unknown;
  private readonly dedup: boolean;
  private readonly key: string | readonly string[] | undefined;
  private readonly resource: string;
  /** The rows that earlier runs have loaded at the start value: all in dlt's form, the first `startOwn` of ours. */
  private readonly startRows: KnownRows;
  private readonly startOwn: number;
  private last: CursorValue;
  /** The rows at `last`; the same object as `startRows` until the cursor moves. */
  private boundary: KnownRows;
  /** Rows of this run at `last` while they are few, so that dlt's hashes can be made of them. */
  private kept: unknown[] = [];
  private keptAreHashed = false;
  /** Rows at `last` whose hashes are made when their page is written, which has made their texts flat. */
  private waiting: unknown[] = [];
  /** So many rows are at `last` that they will not be in the state. */
  private many: boolean;
  /** How much of `boundary` the destination has, or will have with the package that is being extracted. */
  private saved: { readonly dlt: number; readonly own: number; readonly chunks: number };
  private rowsAtLast: number;
  private rowsAtOneValue = 0;
  private readonly rowHasher = new RowHasher();
  private lazyDltHasher: NestedIdHasher | undefined;
  private dirty = false;
  private gotRows = false;
  private adapted = false;

  constructor(declared: Incremental, given: CursorContext) {
    const { resource, slot } = given;
    this.declared = declared;
    this.resource = resource;
    this.path = declared.cursorPath;
    this.compiled = compilePath(declared.cursorPath);
    this.order = cursorOrder(declared.lastValueFunc);
    if (typeof declared.lastValueFunc === "function" && declared.lag) {
      throw new EngineError("SOURCE_INVALID", `Resource ${resource}: a lag needs a cursor with max or min.`, {
        hint: "Take the lag away, or subtract it in the function.",
        details: { resource, cursor: this.path },
      });
    }
    const initial = this.order.form(declared.initialValue);
    const fresh: CursorState = {
      initial_value: initial,
      last_value: initial,
      unique_hashes: [],
      start_value: initial,
    };
    if (declared.endValue !== undefined) {
      this.state = fresh;
    } else {
      slot[this.path] ??= fresh;
      this.state = slot[this.path] as CursorState;
    }
    const stored = this.state.last_value ?? null;
    this.previousLast = stored;
    this.startValue = this.lagged(this.order.form(stored));
    this.endValue = this.order.form(declared.endValue);
    if (declared.textBounds !== undefined) this.adaptBounds(this.order.form(declared.textBounds.like));
    this.last = this.startValue;
    this.checkWindow();
    this.key = declared.primaryKey ?? given.primaryKey;
    this.dedup = !(
      declared.rangeStart === "open" ||
      declared.endValue !== undefined ||
      (declared.lag !== undefined && declared.lag !== 0) ||
      declared.primaryKey?.length === 0
    );
    const known = this.knownRows(given);
    this.startRows = known.rows;
    this.boundary = known.rows;
    this.startOwn = known.rows.own.count;
    this.many = isMany(known.rows);
    this.saved = known.saved;
    this.rowsAtLast = known.rows.count;
    this.view = Object.freeze({
      path: this.path,
      lastValue: publicValue(this.startValue),
      startValue: publicValue(this.startValue),
      endValue: declared.endValue === undefined ? undefined : publicValue(this.endValue),
      initialValue: declared.initialValue,
    });
  }

  /** What earlier runs remembered of the rows at the last value: in the state, at the destination, or both. */
  private knownRows({ stored, mergesByKey }: CursorContext): {
    rows: KnownRows;
    saved: { dlt: number; own: number; chunks: number };
  } {
    const inState = this.state.unique_hashes ?? [];
    const legacy = inState.some((hash) => hash.length === LEGACY_HASH_LENGTH);
    let rows = new KnownRows(legacy ? LEGACY_HASH_BYTES : DLT_HASH_BYTES);
    let saved = NOTHING_SAVED;
    const mark = this.state.loadwright_boundary;
    if (
      mark &&
      this.dedup &&
      this.order.same(this.order.form(mark.last_value), this.order.form(this.previousLast))
    ) {
      if (stored && stored.count === mark.rows && stored.digest() === mark.digest) {
        rows = stored;
        saved = { dlt: stored.dlt.count, own: stored.own.count, chunks: mark.chunks };
      } else if (!mergesByKey) {
        throw new EngineError(
          "CURSOR_BOUNDARY_MISSING",
          `Resource ${this.resource}: the state remembers ${mark.rows} rows at the last value of the cursor ${this.path}, but the destination's table _loadwright_boundary has ${stored?.count ?? 0} of them.`,
          {
            details: {
              resource: this.resource,
              cursor: this.path,
              rows: mark.rows,
              found: stored?.count ?? 0,
            },
          },
        );
      }
    }
    for (const text of inState) rows.dlt.add(Buffer.from(text, "base64"));
    return { rows, saved };
  }

  private lagged(value: CursorValue): CursorValue {
    const { lag, endValue } = this.declared;
    if (!lag || value === null || endValue !== undefined) return value;
    const moved = applyLag(value, lag * this.order.sign, this.resource, this.path);
    const initial = storable(this.declared.initialValue);
    if (initial !== null && this.compare(moved, initial, "initialValue") < 0) return initial;
    return moved;
  }

  /** Bounds that came as text, from a command line, get the type that the cursor's values have. */
  private adaptBounds(like: CursorValue): void {
    if (like === null) return;
    this.startValue = boundLike(this.startValue, like);
    this.endValue = boundLike(this.endValue, like);
    this.adapted = true;
  }

  private checkWindow(): void {
    const { startValue, endValue } = this;
    if (!this.declared.textBounds?.refuseEmpty || startValue === null || endValue === null) return;
    if (this.compare(startValue, endValue, "endValue") > 0) {
      throw new EngineError(
        "CONFIG_INVALID",
        `Resource ${this.resource}: the window of the cursor ${this.path} ends before it begins.`,
        {
          hint: "Give the bounds in the order in which the cursor goes.",
          details: { resource: this.resource, cursor: this.path },
        },
      );
    }
  }

  /** Below zero: `a` lies before `b` in the cursor's direction. */
  private compare(a: CursorValue, b: CursorValue, what: string): number {
    const order = this.order.compare(a, b);
    if (order === undefined) {
      throw new EngineError(
        "CURSOR_TYPE",
        `Resource ${this.resource}: the cursor ${this.path} is ${kindName(a)} in a row, but ${what} is ${kindName(b)}.`,
        {
          details: {
            resource: this.resource,
            cursor: this.path,
            row_type: kindName(a),
            other_type: kindName(b),
          },
        },
      );
    }
    return order;
  }

  /** Rows come in the cursor's order, so that only those at the ends of a page have to be looked at. */
  get sorted(): boolean {
    const { rowOrder, lastValueFunc, textBounds } = this.declared;
    if (textBounds !== undefined && !this.adapted) return false;
    return rowOrder === "asc" && (lastValueFunc ?? "max") === "max";
  }

  /** The value that a row has at the cursor. */
  valueIn(row: unknown): CursorValue {
    return this.order.form(findFirst(this.compiled, row));
  }

  /** Does `value` lie behind `other`? A cursor that starts nowhere lies before everything. */
  isBehind(value: CursorValue, other: CursorValue): boolean {
    return other === null || this.compare(value, other, "that of another row") > 0;
  }

  /** Where this run starts; rows up to it may have been loaded before. */
  get start(): CursorValue {
    return this.startValue;
  }

  /** Is the value within this run's end, if it has one? */
  isBeforeEnd(value: CursorValue): boolean {
    return this.endValue === null || this.compare(value, this.endValue, "endValue") < 0;
  }

  /** Is this row to be loaded? `stop`: neither it nor, by the declared order, any later one. */
  admit(row: unknown): Admitted {
    const { declared } = this;
    const value = this.order.form(findFirst(this.compiled, row));
    if (value === null) {
      if (declared.onCursorValueMissing === "include") return "yes";
      if (declared.onCursorValueMissing === "exclude") return "no";
      throw new EngineError(
        "CURSOR_MISSING",
        `Resource ${this.resource}: a row has no value at the cursor ${this.path}.`,
        { details: { resource: this.resource, cursor: this.path } },
      );
    }
    if (declared.textBounds !== undefined && !this.adapted) {
      this.adaptBounds(value);
      this.last = this.startValue;
      this.checkWindow();
    }
    if (declared.endValue !== undefined) {
      const order = this.compare(value, this.endValue, "endValue");
      if (order > 0 || (order === 0 && declared.rangeEnd !== "closed")) {
        return declared.rowOrder === "asc" ? "stop" : "no";
      }
    }
    const beyond =
      this.last === null
        ? 1
        : this.compare(value, this.last, "the value stored by earlier runs or initialValue");
    if (beyond > 0) {
      this.last = this.order.advance(value, this.last);
      this.dirty = true;
      this.rowsAtOneValue = Math.max(this.rowsAtOneValue, this.rowsAtLast);
      this.rowsAtLast = 1;
      if (this.dedup) {
        this.waiting.length = 0;
        this.kept.length = 0;
        this.kept.push(row);
        this.keptAreHashed = false;
        this.many = false;
        if (this.boundary === this.startRows || !this.boundary.isEmpty) this.boundary = new KnownRows();
        this.saved = NOTHING_SAVED;
      }
      return "yes";
    }
    this.dirty = true;
    const fromStart = this.startValue === null ? 1 : this.compare(value, this.startValue, "the start value");
    if (fromStart < 0) return declared.rowOrder === "desc" ? "stop" : "no";
    if (fromStart === 0) {
      if (declared.rangeStart === "open") return declared.rowOrder === "desc" ? "stop" : "no";
      if (this.dedup && this.isKnown(row)) return "no";
    }
    if (beyond < 0 && declared.rowOrder === "asc" && this.order.sign > 0) throw this.outOfOrder();
    if (beyond === 0) {
      this.rowsAtLast++;
      if (this.dedup) this.remember(row);
    }
    return "yes";
  }

  /** Have earlier runs loaded this row, which is at the start value? */
  private isKnown(row: unknown): boolean {
    const { dlt, own } = this.startRows;
    if (this.startOwn > 0) {
      const place = own.indexOf(this.ownHash(row));
      if (place >= 0 && place < this.startOwn) return true;
    }
    if (dlt.isEmpty) return false;
    const [hash] = this.dltHashes([row], dlt.width);
    return dlt.indexOf(hash!) >= 0;
  }

  /** Remembers a row at the last value: the row itself first, its hash once there are many. */
  private remember(row: unknown): void {
    const { own } = this.boundary;
    if (this.many) {
      this.waiting.push(row);
      return;
    }
    if (this.keptAreHashed && !own.add(this.ownHash(row))) return;
    this.kept.push(row);
    if (!this.keptAreHashed && this.kept.length >= STATE_HASHES_MAX) this.hashKept();
    else if (this.kept.length > STATE_HASHES_MAX) {
      this.many = true;
      this.kept = [];
    }
  }

  private hashKept(): void {
    if (this.keptAreHashed) return;
    this.keptAreHashed = true;
    this.kept = this.kept.filter((row) => this.boundary.own.add(this.ownHash(row)));
  }

  /** Rows before the cursor are gone from sight once a package that holds the cursor is committed. */
  private outOfOrder(): EngineError {
    return new EngineError(
      "CURSOR_ORDER",
      `Resource ${this.resource} says rowOrder "asc", but a row's ${this.path} lies before that of an earlier row.`,
      { details: { resource: this.resource, cursor: this.path } },
    );
  }

  /** Call after each page is written with whether rows of it were admitted. */
  pageDone(admitted: boolean): void {
    this.gotRows ||= admitted;
    const { own } = this.boundary;
    for (const row of this.waiting) this.rowHasher.addTo(own, this.identity(row));
    this.waiting.length = 0;
  }

  /** Writes the cursor into the state; call before the state is stored. Answers what has to be stored beside it. */
  settle(): BoundaryChunks | undefined {
    if (!this.dirty) return undefined;
    // with a lag the cursor may have stayed behind what is stored: it never goes back
    const stored = this.order.form(this.previousLast);
    const behind =
      this.declared.lag && stored !== null && this.last !== null && this.compare(stored, this.last, "") > 0;
    const last = behind ? stored : this.last;
    this.state.last_value = last;
    if (this.gotRows) this.state.start_value = this.previousLast;
    return this.settleBoundary();
  }

  private settleBoundary(): BoundaryChunks | undefined {
    const { state, boundary } = this;
    const had = state.loadwright_boundary !== undefined;
    const few = this.dedup ? this.fewHashes() : [];
    if (few !== undefined) {
      state.unique_hashes = few;
      delete state.loadwright_boundary;
      this.saved = NOTHING_SAVED;
      return had && this.declared.endValue === undefined
        ? { first: 0, chunks: [{ form: "dlt", hashes: new Uint8Array(0) }] }
        : undefined;
    }
    if (!this.many) this.hashKept();
    const { dlt, own } = boundary;
    const first = this.saved.chunks;
    const chunks = [
      ...packedFrom(dlt, this.saved.dlt).map((hashes) => ({ form: "dlt" as const, hashes })),
      ...packedFrom(own, this.saved.own).map((hashes) => ({ form: "own" as const, hashes })),
    ];
    this.saved = { dlt: dlt.count, own: own.count, chunks: first + chunks.length };
    state.unique_hashes = [];
    state.loadwright_boundary = {
      rows: boundary.count,
      chunks: this.saved.chunks,
      bytes: dlt.width,
      digest: boundary.digest(),
      last_value: state.last_value,
    };
    return chunks.length > 0 ? { first, chunks } : undefined;
  }

  /** The hashes of all rows at the last value in dlt's form; undefined when they are too many for the state. */
  private fewHashes(): string[] | undefined {
    if (this.many) return undefined;
    const { dlt } = this.boundary;
    const texts = new Set(dlt.texts());
    for (const hash of this.dltHashes(this.kept, dlt.width)) texts.add(hashText(hash));
    return texts.size <= STATE_HASHES_MAX ? [...texts] : undefined;
  }

  /** A warning when many rows share one value of the cursor: what that costs, and what to do instead. */
  get coarseness(): string | undefined {
    if (!this.dedup) return undefined;
    const rows = Math.max(this.rowsAtOneValue, this.rowsAtLast);
    if (rows <= COARSE_ROWS) return undefined;
    const shared = `${rows} rows share one value of the cursor ${this.path}.`;
    const cure =
      "Take a finer cursor if there is one; for files, file-level state (yield `checkpoint` behind each file and keep its name in the resource's state) is the alternative.";
    return rows <= VERY_COARSE_ROWS
      ? `${shared} The next run reads them all again to tell new ones from known ones. ${cure}`
      : `${shared} The next run reads them all again, and what tells them apart is kept in the table _loadwright_boundary instead of the state. ${cure}`;
  }

  /** Overwritten by the next call. */
  private ownHash(row: unknown): Uint8Array {
    return this.rowHasher.of(this.identity(row));
  }

  private dltHashes(rows: readonly unknown[], bytes: number): Uint8Array[] {
    const texts = rows.map((row) => this.hashedText(row, bytes));
    if (bytes !== DLT_HASH_BYTES) return texts.map((text) => shake128(text, bytes));
    this.lazyDltHasher ??= new NestedIdHasher(STATE_HASHES_MAX);
    const hasher = this.lazyDltHasher;
    for (const text of texts) hasher.addText(text);
    hasher.run();
    return texts.map((_, i) => {
      const hash = new Uint8Array(DLT_HASH_BYTES);
      hasher.digest72(i, hash);
      return hash;
    });
  }

  private hashedText(row: unknown, bytes: number): string {
    const identity = this.identity(row);
    // one instant in different zones is one value; dlt 1.28 and older hashed the text
    const hashed = bytes === DLT_HASH_BYTES ? instantsAsNumbers(identity) : identity;
    return plainJson(hashed, { sortKeys: true });
  }

  /** What tells the row from others. */
  private identity(row: unknown): unknown {
    const { key } = this;
    if (key === undefined) return row;
    if (typeof key === "string") return this.keyValue(row, key);
    return key.map((field) => this.keyValue(row, field));
  }

  private keyValue(row: unknown, field: string): unknown {
    const value = (row as Record<string, unknown>)[field];
    if (value !== undefined) return value;
    throw new EngineError(
      "CURSOR_MISSING",
      `Resource ${this.resource}: a row has no field ${field}, which the cursor needs to tell rows apart.`,
      { details: { resource: this.resource, cursor: this.path, field } },
    );
  }
}

function isMany({ dlt, own }: KnownRows): boolean {
  return !own.isEmpty || dlt.count > STATE_HASHES_MAX;
}

/** Hashes from a place on, in pieces of the size of a chunk. */
function packedFrom(hashes: BoundaryHashes, from: number): Uint8Array[] {
  const size = Math.floor(CHUNK_BYTES_MAX / hashes.width);
  const packed: Uint8Array[] = [];
  for (let at = from; at < hashes.count; at += size) {
    packed.push(hashes.packed(at, Math.min(at + size, hashes.count)));
  }
  return packed;
}

function instantsAsNumbers(value: unknown): unknown {
  if (value instanceof Date) return value.getTime() * 1000;
  if (value instanceof TypedValue) return value.kind === "datetime" ? timestampMicros(value.text) : value;
  if (Array.isArray(value)) return value.map(instantsAsNumbers);
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, instantsAsNumbers(member)]),
    );
  }
  return value;
}

function kindName(value: CursorValue): string {
  if (value === null) return "null";
  if (typeof value === "string") return "text";
  if (typeof value === "object" && "kind" in value) return value.kind;
  return "a number";
}
