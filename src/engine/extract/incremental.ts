/**
 * The incremental cursor (dlt/extract/incremental): which rows of this run are new, and where the next run
 * starts. One hash per row at most, and only for rows at a boundary: linear in rows whatever their values.
 *
 * State, per resource under `incremental.<cursor path>`: initial_value, last_value (the farthest value seen),
 * unique_hashes (of the rows that have it), start_value (last_value of the run before).
 */

import { EngineError } from "../errors.ts";
import { digest128 } from "../interop/hash.ts";
import { plainJson, TypedValue } from "../interop/json.ts";
import { timestampMicros } from "../schema/values.ts";
import { applyLag, type CursorValue, compareCursorValues, storable } from "./cursor-value.ts";
import { type CompiledPath, compilePath, findFirst } from "./json-path.ts";
import type { CursorView } from "./resource-context.ts";

export interface IncrementalOptions {
  /** Where the first run starts. Its type must be the field's type. */
  readonly initialValue?: unknown;
  /** Loads a window up to here, without touching the stored cursor. */
  readonly endValue?: unknown;
  /** `max` (default): the cursor goes up; `min`: it goes down. */
  readonly lastValueFunc?: "max" | "min";
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
}

/** A declared incremental: `incremental("updated_at", { initialValue: "2024-01-01" })`. */
export interface Incremental extends IncrementalOptions {
  /** A field's name, or a JSONPath such as `$.meta.updated_at`. Names as in the source. */
  readonly cursorPath: string;
}

export function incremental(cursorPath: string, options: IncrementalOptions = {}): Incremental {
  return { ...options, cursorPath };
}

/** What is stored; keys as dlt's. */
export interface CursorState {
  initial_value: unknown;
  last_value: unknown;
  unique_hashes: string[];
  start_value: unknown;
}

/** Bytes of a boundary hash; until dlt 1.28 they were 15, which are still recognised. */
const HASH_BYTES = 9;
const LEGACY_HASH_BYTES = 15;
const LEGACY_HASH_LENGTH = 20;
/** Rows at the boundary that are kept as they are; beyond it they are hashed at once. */
const ROWS_KEPT_MAX = 1000;

export type Admitted = "yes" | "no" | "stop";

/** One run of a cursor: admits rows and moves the state. */
export class CursorRun {
  readonly path: string;
  readonly view: CursorView;
  private readonly declared: Incremental;
  private readonly compiled: CompiledPath;
  private readonly state: CursorState;
  private readonly sign: 1 | -1;
  private readonly startValue: CursorValue;
  private readonly previousLast: unknown;
  private readonly startHashes: ReadonlySet<string>;
  private readonly dedup: boolean;
  private readonly key: string | readonly string[] | undefined;
  private readonly resource: string;
  private last: CursorValue;
  private hashBytes: number;
  private boundaryRows: unknown[] = [];
  private boundaryHashes: Set<string>;
  private dirty = false;
  private gotRows = false;

  /** `slot` is the `incremental` object of the resource's state; untouched when an end value is given. */
  constructor(
    declared: Incremental,
    resource: string,
    slot: Record<string, unknown>,
    resourceKey: string | readonly string[] | undefined,
  ) {
    this.declared = declared;
    this.resource = resource;
    this.path = declared.cursorPath;
    this.compiled = compilePath(declared.cursorPath);
    this.sign = declared.lastValueFunc === "min" ? -1 : 1;
    const initial = storable(declared.initialValue);
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
    this.startValue = this.lagged(stored as CursorValue);
    this.last = this.startValue;
    const hashes = this.state.unique_hashes ?? [];
    this.startHashes = new Set(hashes);
    this.boundaryHashes = new Set(hashes);
    this.hashBytes = hashes.some((hash) => hash.length === LEGACY_HASH_LENGTH)
      ? LEGACY_HASH_BYTES
      : HASH_BYTES;
    this.key = declared.primaryKey ?? resourceKey;
    this.dedup = !(
      declared.rangeStart === "open" ||
      declared.endValue !== undefined ||
      (declared.lag !== undefined && declared.lag !== 0) ||
      declared.primaryKey?.length === 0
    );
    this.view = Object.freeze({
      path: this.path,
      lastValue: publicValue(this.startValue),
      startValue: publicValue(this.startValue),
      endValue: declared.endValue,
      initialValue: declared.initialValue,
    });
  }

  private lagged(value: CursorValue): CursorValue {
    const { lag, endValue } = this.declared;
    if (!lag || value === null || endValue !== undefined) return value;
    const moved = applyLag(value, lag * this.sign, this.resource, this.path);
    const initial = storable(this.declared.initialValue);
    if (initial !== null && this.compare(moved, initial, "initialValue") < 0) return initial;
    return moved;
  }

  /** Below zero: `a` lies before `b` in the cursor's direction. */
  private compare(a: CursorValue, b: CursorValue, what: string): number {
    const order = compareCursorValues(a, b);
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
    return order * this.sign;
  }

  /** Rows come in the cursor's order, so that only those at the ends of a page have to be looked at. */
  get sorted(): boolean {
    return this.declared.rowOrder === "asc" && this.sign > 0;
  }

  /** The value that a row has at the cursor. */
  valueIn(row: unknown): CursorValue {
    return storable(findFirst(this.compiled, row));
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
    const { endValue } = this.declared;
    return endValue === undefined || this.compare(value, storable(endValue), "endValue") < 0;
  }

  /** Is this row to be loaded? `stop`: neither it nor, by the declared order, any later one. */
  admit(row: unknown): Admitted {
    const { declared } = this;
    const value = storable(findFirst(this.compiled, row));
    if (value === null) {
      if (declared.onCursorValueMissing === "include") return "yes";
      if (declared.onCursorValueMissing === "exclude") return "no";
      throw new EngineError(
        "CURSOR_MISSING",
        `Resource ${this.resource}: a row has no value at the cursor ${this.path}.`,
        { details: { resource: this.resource, cursor: this.path } },
      );
    }
    if (declared.endValue !== undefined) {
      const order = this.compare(value, storable(declared.endValue), "endValue");
      if (order > 0 || (order === 0 && declared.rangeEnd !== "closed")) {
        return declared.rowOrder === "asc" ? "stop" : "no";
      }
    }
    const beyond =
      this.last === null
        ? 1
        : this.compare(value, this.last, "the value stored by earlier runs or initialValue");
    if (beyond > 0) {
      this.last = value;
      this.dirty = true;
      if (this.dedup) {
        this.boundaryRows = [row];
        this.boundaryHashes = new Set();
        this.hashBytes = HASH_BYTES;
      }
      return "yes";
    }
    this.dirty = true;
    const fromStart = this.startValue === null ? 1 : this.compare(value, this.startValue, "the start value");
    if (fromStart < 0) return declared.rowOrder === "desc" ? "stop" : "no";
    if (fromStart === 0) {
      if (declared.rangeStart === "open") return declared.rowOrder === "desc" ? "stop" : "no";
      if (this.dedup && this.startHashes.size > 0) {
        const legacy = this.startHashes.values().next().value!.length === LEGACY_HASH_LENGTH;
        if (this.startHashes.has(this.hash(row, legacy ? LEGACY_HASH_BYTES : HASH_BYTES))) return "no";
      }
    }
    if (beyond < 0 && declared.rowOrder === "asc" && this.sign > 0) throw this.outOfOrder();
    if (beyond === 0 && this.dedup) {
      this.boundaryRows.push(row);
      if (this.boundaryRows.length >= ROWS_KEPT_MAX) this.hashBoundary();
    }
    return "yes";
  }

  /** Rows before the cursor are gone from sight once a package that holds the cursor is committed. */
  private outOfOrder(): EngineError {
    return new EngineError(
      "CURSOR_ORDER",
      `Resource ${this.resource} says rowOrder "asc", but a row's ${this.path} lies before that of an earlier row.`,
      { details: { resource: this.resource, cursor: this.path } },
    );
  }

  /** Call after each page with whether rows of it were admitted. */
  pageDone(admitted: boolean): void {
    this.gotRows ||= admitted;
  }

  /** Writes the cursor into the state; call before the state is stored. */
  settle(): void {
    if (!this.dirty) return;
    this.hashBoundary();
    // with a lag the cursor may have stayed behind what is stored: it never goes back
    const stored = this.previousLast as CursorValue;
    const last =
      stored !== null && this.last !== null && this.compare(stored, this.last, "") > 0 ? stored : this.last;
    this.state.last_value = last;
    if (this.gotRows) this.state.start_value = this.previousLast;
    this.state.unique_hashes = this.dedup ? [...this.boundaryHashes] : [];
  }

  /** Rows that share the last value, for the warning about coarse cursors. */
  get boundaryCount(): number {
    return this.boundaryHashes.size + this.boundaryRows.length;
  }

  private hashBoundary(): void {
    for (const row of this.boundaryRows) this.boundaryHashes.add(this.hash(row, this.hashBytes));
    this.boundaryRows = [];
  }

  private hash(row: unknown, bytes: number): string {
    const { key } = this;
    let hashed: unknown = row;
    if (typeof key === "string") hashed = this.keyValue(row, key);
    else if (key !== undefined) hashed = key.map((field) => this.keyValue(row, field));
    // one instant in different zones is one value; dlt 1.28 and older hashed the text
    if (bytes === HASH_BYTES) hashed = instantsAsNumbers(hashed);
    return digest128(plainJson(hashed, { sortKeys: true }), bytes);
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

/** The value as source code wants it: text for everything that is not a number. */
function publicValue(value: CursorValue): unknown {
  if (value === null) return undefined;
  return typeof value === "object" && "text" in value ? value.text : value;
}
