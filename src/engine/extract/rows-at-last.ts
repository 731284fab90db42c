/**
 * The rows at a cursor's last value, which the next run meets again: remembered so that it can tell new ones from
 * known ones. One hash per row at most: linear in rows whatever their values.
 *
 * The hashes are in the state, as dlt's `unique_hashes`, while there are at most 1,000 of them. Beyond that they
 * travel in the package to a table of ours (schema/boundary-table.ts), and the state says which must be there.
 * There they are of a faster kind (row-hash.ts); dlt's are made at the end, when the rows prove to be few.
 */

import { EngineError } from "../errors.ts";
import { shake128 } from "../interop/hash.ts";
import { plainJson, TypedValue } from "../interop/json.ts";
import { NestedIdHasher } from "../interop/keccak.ts";
import { timestampMicros } from "../schema/values.ts";
import { type BoundaryHashes, DLT_HASH_BYTES, hashText, KnownRows } from "./boundary-hashes.ts";
import { ColumnHasher } from "./column-hash.ts";
import type { CursorState } from "./cursor-state.ts";
import type { OnColumns } from "./row-columns.ts";
import { RowHasher } from "./row-hash.ts";

/** Hashes to store with the package, each entry one chunk; the first chunk replaces what was there. */
export interface BoundaryChunks {
  readonly first: number;
  readonly chunks: readonly BoundaryChunk[];
}

export interface BoundaryChunk {
  readonly form: "dlt" | "own";
  readonly hashes: Uint8Array;
}

export interface RowsAtLastInput {
  readonly resource: string;
  /** Of the cursor. */
  readonly path: string;
  /** What tells rows apart; the whole row without it. */
  readonly key: string | readonly string[] | undefined;
  readonly state: CursorState;
  /** Is the state's mark about the value that the cursor starts from? */
  readonly marked: boolean;
  /** True when reading rows at the boundary again changes nothing: they replace themselves. */
  readonly mergesByKey?: boolean | undefined;
  /** What the destination holds for the state's mark, if it has one. */
  readonly stored?: KnownRows | undefined;
}

/** How much of the hashes the destination has, or will have with the package that is being extracted. */
interface Saved {
  readonly dlt: number;
  readonly own: number;
  readonly chunks: number;
}

const LEGACY_HASH_BYTES = 15;
const LEGACY_HASH_LENGTH = 20;
/** Up to so many hashes are kept in the state, in dlt's form: about 13 KB of its blob. */
export const STATE_HASHES_MAX = 1000;
/** Of a chunk: as base64 384 KiB. */
const CHUNK_BYTES_MAX = 294_912;
const NOTHING_SAVED: Saved = { dlt: 0, own: 0, chunks: 0 };

export class RowsAtLast {
  /** How many earlier runs have loaded. */
  readonly startCount: number;
  private readonly resource: string;
  private readonly path: string;
  private readonly key: string | readonly string[] | undefined;
  /** The rows that earlier runs have loaded at the start value: all in dlt's form, the first `startOwn` of ours. */
  private readonly startRows: KnownRows;
  private readonly startOwn: number;
  /** The rows at the last value; the same object as `startRows` until the cursor moves. */
  private boundary: KnownRows;
  /** Rows of this run at the last value while they are few, so that dlt's hashes can be made of them. */
  private kept: unknown[] = [];
  private keptAreHashed = false;
  /** Rows of a page whose hashes are made when it is written, which has made their texts flat. */
  private waiting: unknown[] = [];
  /** So many of them were hashed as columns. */
  private hashed = 0;
  /** There are so many rows that they will not be in the state. */
  private many: boolean;
  private saved: Saved;
  private readonly rowHasher = new RowHasher();
  private readonly columnHasher = new ColumnHasher();
  private lazyDltHasher: NestedIdHasher | undefined;

  /** Errors: CURSOR_BOUNDARY_MISSING. */
  constructor(given: RowsAtLastInput) {
    this.resource = given.resource;
    this.path = given.path;
    this.key = given.key;
    const { rows, saved } = this.knownRows(given);
    this.startRows = rows;
    this.boundary = rows;
    this.startOwn = rows.own.count;
    this.startCount = rows.count;
    this.many = isMany(rows);
    this.saved = saved;
  }

  /** The cursor has moved to the value of this row. */
  moved(row: unknown): void {
    this.waiting.length = 0;
    this.hashed = 0;
    this.kept.length = 0;
    this.kept.push(row);
    this.keptAreHashed = false;
    this.many = false;
    if (this.boundary === this.startRows || !this.boundary.isEmpty) this.boundary = new KnownRows();
    this.saved = NOTHING_SAVED;
  }

  /** Have earlier runs loaded this row, which is at the start value? */
  isKnown(row: unknown): boolean {
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
  remember(row: unknown): void {
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

  /** Takes the hashes of these rows from their columns, if all of them wait for their hashes. */
  columnsOf(rows: readonly unknown[]): OnColumns | undefined {
    const { waiting, key } = this;
    if (waiting.length === 0 || waiting.length !== rows.length) return undefined;
    if (waiting[0] !== rows[0] || waiting.at(-1) !== rows.at(-1)) return undefined;
    const fields = typeof key === "string" ? [key] : key;
    return (keys, columns) => {
      // a row without the field is an error, which is found when it is hashed
      if (fields?.some((field) => !keys.includes(field))) return;
      this.boundary.own.addPacked(this.columnHasher.of(fields ?? keys, columns));
      this.hashed += columns.rows;
    };
  }

  /** Call when the page of the rows that were remembered is written. */
  pageWritten(): void {
    const { own } = this.boundary;
    for (const row of this.hashed === 0 ? this.waiting : this.waiting.slice(this.hashed)) {
      own.append(this.ownHash(row));
    }
    this.waiting.length = 0;
    this.hashed = 0;
  }

  /** Writes into the state what the next run needs. Answers what has to be stored beside it. */
  settle(state: CursorState): BoundaryChunks | undefined {
    const { boundary } = this;
    const few = this.fewHashes();
    if (few !== undefined) {
      this.saved = NOTHING_SAVED;
      return keepFew(state, few);
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

  /** What earlier runs remembered of the rows at the last value: in the state, at the destination, or both. */
  private knownRows({ state, marked, stored, mergesByKey }: RowsAtLastInput): {
    rows: KnownRows;
    saved: Saved;
  } {
    const inState = state.unique_hashes ?? [];
    const legacy = inState.some((hash) => hash.length === LEGACY_HASH_LENGTH);
    let rows = new KnownRows(legacy ? LEGACY_HASH_BYTES : DLT_HASH_BYTES);
    let saved: Saved = NOTHING_SAVED;
    const mark = state.loadwright_boundary;
    if (mark && marked) {
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

  /** Overwritten by the next call. */
  private ownHash(row: unknown): Uint8Array {
    const { key } = this;
    if (key === undefined) return this.rowHasher.of(row);
    const fields = typeof key === "string" ? [key] : key;
    return this.rowHasher.ofFields(fields, (field) => this.keyValue(row, field));
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

/** Nothing is remembered of the rows at the last value. */
export function forgetRows(state: CursorState): BoundaryChunks | undefined {
  return keepFew(state, []);
}

/** Hashes in the state; an empty chunk takes away what the destination had. */
function keepFew(state: CursorState, hashes: string[]): BoundaryChunks | undefined {
  const had = state.loadwright_boundary !== undefined;
  state.unique_hashes = hashes;
  delete state.loadwright_boundary;
  return had ? { first: 0, chunks: [{ form: "dlt", hashes: new Uint8Array(0) }] } : undefined;
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
