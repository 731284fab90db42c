/**
 * Cells that are text already, as a database's wire protocol has them, into JSON Lines, byte by byte: no
 * string and no number is made on the way, so digits stay digits.
 *
 * Postgres's COPY text differs from other texts by its backslash escapes (\b \f \n \r \t \v \\), which are JSON's
 * but for \v; `copied` says that a cell has them.
 */

import { EngineError } from "../../engine/errors.ts";
import { checkScale, scaleMaxOf } from "./decimal-scale.ts";
import type { CellKind, SourceColumn } from "./types.ts";

const PAGE_BYTES = 1 << 20;
/** A control character becomes \u00xx. */
const GROWTH_MAX = 6;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const ZERO = 0x30;
const HEX = Buffer.from("0123456789abcdef");

/** Third byte of the mark (U+F026 …) that keeps the type of a cursor's value where the engine stores it. */
const MARKS: Partial<Record<CellKind, string>> = {
  decimal: "\uf026",
  timestamptz: "\uf027",
  timestamp: "\uf027",
  date: "\uf028",
  time: "\uf02d",
};

interface CellPlan {
  readonly name: string;
  readonly kind: CellKind;
  /** `,"name":`, with the opening quote and mark where values are strings. */
  readonly head: Uint8Array;
  readonly nullHead: Uint8Array;
  /** Digits after the point that the column at the destination keeps. */
  readonly scaleMax: number;
}

export class LineWriter {
  /** Column -> cells that no destination could hold and that became null. */
  readonly nulled = new Map<string, number>();
  private readonly table: string;
  private readonly plans: readonly CellPlan[];
  private readonly overhead: number;
  private out = Buffer.allocUnsafe(PAGE_BYTES * 2);
  private at = 0;
  private rowStart = 0;

  /** `cursor`: the column whose values keep their type. */
  constructor(table: string, columns: readonly SourceColumn[], cursor?: string) {
    this.table = table;
    this.plans = columns.map((column, index) =>
      planOf(column, index === 0 ? "{" : ",", column.name === cursor),
    );
    this.overhead = this.plans.reduce(
      (sum, { head, nullHead }) => sum + head.length + nullHead.length + 16,
      8,
    );
  }

  /** Makes room for a row whose cells have so many bytes. */
  beginRow(bytes: number): void {
    this.rowStart = this.at;
    const needed = this.at + this.overhead + bytes * GROWTH_MAX;
    if (needed <= this.out.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.out.length * 2));
    this.out.copy(larger, 0, 0, this.at);
    this.out = larger;
  }

  endRow(): void {
    if (this.at === this.rowStart) this.out[this.at++] = 0x7b;
    this.out[this.at++] = 0x7d;
    this.out[this.at++] = 0x0a;
  }

  /** What has been written, once it fills a page or `all` is asked for. */
  take(all = false): Uint8Array | undefined {
    if (this.at === 0 || (!all && this.at < PAGE_BYTES)) return undefined;
    const page = this.out.subarray(0, this.at);
    this.out = Buffer.allocUnsafe(PAGE_BYTES * 2);
    this.at = 0;
    return page;
  }

  nullCell(index: number): void {
    this.bytes(this.plans[index]!.nullHead);
  }

  /** The cell `source[start, end)`. */
  cell(index: number, source: Uint8Array, start: number, end: number, copied: boolean): void {
    const plan = this.plans[index]!;
    switch (plan.kind) {
      case "text":
      case "json":
      case "time":
        this.bytes(plan.head);
        this.text(source, start, end, copied);
        this.out[this.at++] = QUOTE;
        return;
      case "integer":
        this.bytes(plan.head);
        this.raw(source, start, end);
        return;
      case "float": {
        this.bytes(plan.head);
        const special = !isDigit(source[source[start] === MINUS ? start + 1 : start]!);
        if (special) this.out[this.at++] = QUOTE;
        this.raw(source, start, end);
        if (special) this.out[this.at++] = QUOTE;
        return;
      }
      case "bool":
        this.bool(plan, source, start, end);
        return;
      case "decimal":
        this.decimal(plan, source, start, end);
        return;
      case "timestamp":
      case "timestamptz":
      case "date":
        this.moment(plan, source, start, end, copied);
        return;
      case "binary":
        this.bytes(plan.head);
        // Postgres writes \x and hexadecimal digits
        if (copied) this.raw(source, start + 3, end);
        else this.hex(source, start, end);
        this.out[this.at++] = QUOTE;
    }
  }

  private bool(plan: CellPlan, source: Uint8Array, start: number, end: number): void {
    const value = source[start];
    const isTrue = value === 0x74 || value === 0x31;
    if (!(isTrue || value === 0x66 || value === ZERO) || end - start !== 1) {
      throw new EngineError(
        "VALUE_UNSUPPORTED",
        `Column ${plan.name} of table ${this.table} is a boolean, but holds a number that is neither 0 nor 1.`,
        {
          hint: `Read it as a number: columns = { ${plan.name} = { data_type = "bigint" } }.`,
          details: { table: this.table, column: plan.name },
        },
      );
    }
    this.bytes(plan.head);
    this.bytes(isTrue ? TRUE : FALSE);
  }

  private decimal(plan: CellPlan, source: Uint8Array, start: number, end: number): void {
    if (!isDigit(source[source[start] === MINUS ? start + 1 : start]!)) {
      this.lose(plan);
      return;
    }
    checkScale(source, start, end, plan.scaleMax, this.table, plan.name);
    this.bytes(plan.head);
    this.raw(source, start, end);
    this.out[this.at++] = QUOTE;
  }

  private moment(plan: CellPlan, source: Uint8Array, start: number, end: number, copied: boolean): void {
    // years of four digits, none before Christ (they end in BC), no infinity, no month or day 00
    const day = source[start + 4] === MINUS && source[start + 7] === MINUS && source[end - 1] !== 0x43;
    const zero =
      isZero(source, start, start + 4) ||
      isZero(source, start + 5, start + 7) ||
      isZero(source, start + 8, start + 10);
    if (!day || zero) {
      this.lose(plan);
      return;
    }
    this.bytes(plan.head);
    this.raw(source, start, end);
    if (plan.kind === "timestamptz") this.bytes(copied ? ZONE_MINUTES : ZONE);
    this.out[this.at++] = QUOTE;
  }

  private lose(plan: CellPlan): void {
    this.nulled.set(plan.name, (this.nulled.get(plan.name) ?? 0) + 1);
    this.bytes(plan.nullHead);
  }

  private bytes(source: Uint8Array): void {
    const { out } = this;
    let { at } = this;
    for (let i = 0; i < source.length; i++) out[at++] = source[i]!;
    this.at = at;
  }

  private raw(source: Uint8Array, start: number, end: number): void {
    const { out } = this;
    let { at } = this;
    for (let i = start; i < end; i++) out[at++] = source[i]!;
    this.at = at;
  }

  private hex(source: Uint8Array, start: number, end: number): void {
    const { out } = this;
    let { at } = this;
    for (let i = start; i < end; i++) {
      out[at++] = HEX[source[i]! >> 4]!;
      out[at++] = HEX[source[i]! & 15]!;
    }
    this.at = at;
  }

  private text(source: Uint8Array, start: number, end: number, copied: boolean): void {
    const { out } = this;
    let { at } = this;
    for (let i = start; i < end; i++) {
      const byte = source[i]!;
      if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) {
        out[at++] = byte;
      } else if (byte === QUOTE) {
        out[at++] = BACKSLASH;
        out[at++] = QUOTE;
      } else if (byte !== BACKSLASH) {
        at = putControl(out, at, byte);
      } else if (!copied) {
        out[at++] = BACKSLASH;
        out[at++] = BACKSLASH;
      } else {
        const escaped = source[++i]!;
        if (escaped === 0x76) {
          at = putControl(out, at, 0x0b);
        } else {
          out[at++] = BACKSLASH;
          out[at++] = escaped;
        }
      }
    }
    this.at = at;
  }
}

const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");
const ZONE = Buffer.from("+00:00");
const ZONE_MINUTES = Buffer.from(":00");

function planOf(column: SourceColumn, before: string, isCursor: boolean): CellPlan {
  const { name, kind, hints } = column;
  const key = `${before}${JSON.stringify(name)}:`;
  const quoted = kind !== "integer" && kind !== "float" && kind !== "bool";
  const mark = isCursor ? (MARKS[kind] ?? "") : "";
  return {
    name,
    kind,
    head: Buffer.from(quoted ? `${key}"${kind === "binary" ? "0x" : mark}` : key),
    nullHead: Buffer.from(`${key}null`),
    scaleMax: scaleMaxOf(hints),
  };
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

function isZero(source: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (source[at] !== ZERO) return false;
  return true;
}

function putControl(out: Buffer, at: number, byte: number): number {
  out[at++] = BACKSLASH;
  out[at++] = 0x75;
  out[at++] = ZERO;
  out[at++] = ZERO;
  out[at++] = HEX[byte >> 4]!;
  out[at++] = HEX[byte & 15]!;
  return at;
}

/** Tells of cells that became null, once a table has been read. */
export function tellNulled(
  table: string,
  nulled: ReadonlyMap<string, number>,
  warn: (message: string) => void,
): void {
  for (const [column, count] of nulled) {
    warn(
      `${count} values of column ${column} of table ${table} became null: zero dates, infinity, not-a-number, or years outside 1 to 9999.`,
    );
  }
}
