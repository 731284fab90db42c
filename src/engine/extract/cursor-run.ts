/**
 * One run of an incremental cursor: which rows of this run are new, and where the next run starts. What is
 * remembered of the rows at its last value is in rows-at-last.ts.
 */

import { EngineError } from "../errors.ts";
import type { KnownRows } from "./boundary-hashes.ts";
import { type CursorOrder, cursorOrder } from "./cursor-order.ts";
import type { CursorState } from "./cursor-state.ts";
import { applyLag, boundLike, type CursorValue, publicValue, storable } from "./cursor-value.ts";
import type { Incremental } from "./incremental.ts";
import { type CompiledPath, compilePath, findFirst } from "./json-path.ts";
import type { CursorView } from "./resource-context.ts";
import type { OnColumns } from "./row-columns.ts";
import { type BoundaryChunks, forgetRows, RowsAtLast } from "./rows-at-last.ts";

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
  private readonly resource: string;
  /** Undefined: rows are not deduplicated. */
  private readonly rows: RowsAtLast | undefined;
  private last: CursorValue;
  private rowsAtLast: number;
  private rowsAtOneValue = 0;
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
    const mark = this.state.loadwright_boundary;
    const marked =
      mark !== undefined && this.order.same(this.order.form(mark.last_value), this.order.form(stored));
    this.rows = deduplicates(declared)
      ? new RowsAtLast({
          ...given,
          path: this.path,
          key: declared.primaryKey ?? given.primaryKey,
          state: this.state,
          marked,
        })
      : undefined;
    this.rowsAtLast = this.rows?.startCount ?? 0;
    this.view = Object.freeze({
      path: this.path,
      lastValue: publicValue(this.startValue),
      startValue: publicValue(this.startValue),
      endValue: declared.endValue === undefined ? undefined : publicValue(this.endValue),
      initialValue: declared.initialValue,
    });
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
      this.rows?.moved(row);
      return "yes";
    }
    this.dirty = true;
    const fromStart = this.startValue === null ? 1 : this.compare(value, this.startValue, "the start value");
    if (fromStart < 0) return declared.rowOrder === "desc" ? "stop" : "no";
    if (fromStart === 0) {
      if (declared.rangeStart === "open") return declared.rowOrder === "desc" ? "stop" : "no";
      if (this.rows?.isKnown(row)) return "no";
    }
    if (beyond < 0 && declared.rowOrder === "asc" && this.order.sign > 0) throw this.outOfOrder();
    if (beyond === 0) {
      this.rowsAtLast++;
      this.rows?.remember(row);
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

  /** What wants to see these rows, if they are written as columns; they have been admitted. */
  columnsOf(rows: readonly unknown[]): OnColumns | undefined {
    return this.rows?.columnsOf(rows);
  }

  /** Call after each page is written with whether rows of it were admitted. */
  pageDone(admitted: boolean): void {
    this.gotRows ||= admitted;
    this.rows?.pageWritten();
  }

  /** Writes the cursor into the state; call before the state is stored. Answers what has to be stored beside it. */
  settle(): BoundaryChunks | undefined {
    if (!this.dirty) return undefined;
    // with a lag the cursor may have stayed behind what is stored: it never goes back
    const stored = this.order.form(this.previousLast);
    const lags = this.declared.lag !== undefined && this.declared.endValue === undefined;
    const behind =
      lags &&
      stored !== null &&
      this.last !== null &&
      this.compare(stored, this.last, "the value stored by earlier runs") > 0;
    const last = behind ? stored : this.last;
    this.state.last_value = last;
    if (this.gotRows) this.state.start_value = this.previousLast;
    return this.rows === undefined ? forgetRows(this.state) : this.rows.settle(this.state);
  }

  /** A warning when many rows share one value of the cursor: what that costs, and what to do instead. */
  get coarseness(): string | undefined {
    if (this.rows === undefined) return undefined;
    const rows = Math.max(this.rowsAtOneValue, this.rowsAtLast);
    if (rows <= COARSE_ROWS) return undefined;
    const shared = `${rows} rows share one value of the cursor ${this.path}.`;
    const cure =
      "Take a finer cursor if there is one; for files, file-level state (yield `checkpoint` behind each file and keep its name in the resource's state) is the alternative.";
    return rows <= VERY_COARSE_ROWS
      ? `${shared} The next run reads them all again to tell new ones from known ones. ${cure}`
      : `${shared} The next run reads them all again, and what tells them apart is kept in the table _loadwright_boundary instead of the state. ${cure}`;
  }
}

/** Are rows at the start value that earlier runs have loaded left out? */
function deduplicates({ rangeStart, endValue, lag, primaryKey }: Incremental): boolean {
  return !(rangeStart === "open" || endValue !== undefined || (lag ?? 0) !== 0 || primaryKey?.length === 0);
}

function kindName(value: CursorValue): string {
  if (value === null) return "null";
  if (typeof value === "string") return "text";
  if (typeof value === "object" && "kind" in value) return value.kind;
  return "a number";
}
