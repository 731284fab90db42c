/**
 * MurmurHash3 x64_128 (Austin Appleby, public domain) of the bytes of values, cut to 96 bits that are added to those
 * of other values: the first 64 bits as one number, the next 32 as another. It differs from the original in one
 * thing: at the end, in place of the length, comes what kind of value it is, with its length.
 *
 * As WebAssembly, because it is made of 64-bit products; column by column, because a call for each value costs as
 * much as its hash.
 */

import {
  EMPTY_BLOCK,
  F64,
  I32,
  I64,
  OP,
  PAGE_BYTES,
  WasmCode,
  type WasmFunction,
  type WasmMemory,
  wasmExports,
} from "../interop/wasm-module.ts";

/** Bytes of a hash. */
export const HASH_BYTES = 12;

// What a value is; the length of a text in bytes, or of a list, stands above it.
export const NULL = 1;
export const FALSE = 2;
export const TRUE = 3;
export const INTEGER = 4;
export const FLOAT = 5;
export const BIG = 6;
export const TEXT = 7;
export const LIST = 8;
export const OBJECT = 9;
export const OTHER = 10;
const LENGTH_SHIFT = 4;

export function kindWithLength(kind: number, length: number): number {
  return kind | (length << LENGTH_SHIFT);
}

/** Numbers that JSON writes without a fraction are integers. */
export function kindOfNumber(value: number): number {
  return Number.isSafeInteger(value) ? INTEGER : FLOAT;
}

/** Up to so many bytes behind a value are read, and not used. */
const READ_BEHIND = 16;

/** Addresses are offsets in `bytes`. */
interface HashModule {
  readonly memory: WasmMemory;
  /** Adds the hash of `length` bytes at `at` to the sums at `sums`. */
  readonly value: (sums: number, seed: number, kind: number, at: number, length: number) => void;
  /**
   * Adds the hashes of so many rows to their sums. `valid`: bit r is 1 where row r has a value, 0: all have one. Texts
   * stand one behind the other, each behind its length; numbers are doubles; booleans are bytes.
   */
  readonly texts: ColumnFunction;
  readonly numbers: ColumnFunction;
  readonly booleans: ColumnFunction;
}

type ColumnFunction = (sums: number, seed: number, valid: number, at: number, rows: number) => void;

/** Of so many keys the seeds are kept. */
const SEEDS_KEPT = 10_000;

export class FieldHasher {
  readonly run: Omit<HashModule, "memory">;
  bytes: Uint8Array;
  view: DataView;
  readonly #memory: WasmMemory;
  readonly #seeds = new Map<string, number>();

  constructor() {
    const { memory, ...run } = wasmExports(1, hashFunctions()) as unknown as HashModule;
    this.run = run;
    this.#memory = memory;
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
  }

  /** Makes room for values up to the offset `end`; `bytes` and `view` may be others afterwards. */
  reserve(end: number): void {
    const missing = end + READ_BEHIND - this.bytes.length;
    if (missing <= 0) return;
    this.#memory.grow(Math.max(Math.ceil(missing / PAGE_BYTES), this.bytes.length / PAGE_BYTES));
    this.bytes = new Uint8Array(this.#memory.buffer);
    this.view = new DataView(this.#memory.buffer);
  }

  /** The seed of a key's values: a word of the key's own hash, for which the memory from `scratch` on is used. */
  seedOf(key: string, scratch: number): number {
    const known = this.#seeds.get(key);
    if (known !== undefined) return known;
    if (this.#seeds.size === SEEDS_KEPT) this.#seeds.clear();
    const text = Buffer.from(key);
    this.reserve(scratch + HASH_BYTES + text.length);
    this.bytes.fill(0, scratch, scratch + HASH_BYTES).set(text, scratch + HASH_BYTES);
    this.run.value(scratch, 0, kindWithLength(TEXT, text.length), scratch + HASH_BYTES, text.length);
    const seed = this.view.getInt32(scratch, true);
    this.#seeds.set(key, seed);
    return seed;
  }
}

const C1 = 0x87c37b91114253d5n;
const C2 = 0x4cf5ad432745937fn;

/** Locals of every function: its parameters, then these. */
const SUMS = 0;
const SEED = 1;
const AT = 3;
const LENGTH = 5;
const KIND = 6;
const ROW = 7;
const H1 = 8;
const H2 = 9;
const K = 10;
const NUMBER = 11;
const LOCALS = [
  [3, I32],
  [3, I64],
  [1, F64],
] as const;
const PARAMETERS = [I32, I32, I32, I32, I32];

function hashFunctions(): WasmFunction[] {
  return [
    { name: "value", parameters: PARAMETERS, locals: LOCALS, code: valueCode() },
    { name: "texts", parameters: PARAMETERS, locals: LOCALS, code: columnCode(textCode) },
    { name: "numbers", parameters: PARAMETERS, locals: LOCALS, code: columnCode(numberCode) },
    { name: "booleans", parameters: PARAMETERS, locals: LOCALS, code: columnCode(booleanCode) },
  ];
}

/** The parameters are sums, seed, kind, at, length. */
function valueCode(): WasmCode {
  const code = new WasmCode();
  code.get(2).set(KIND).get(4).set(LENGTH);
  begin(code);
  mixBytes(code);
  finish(code);
  return code;
}

/** The parameters are sums, seed, valid, at, rows. `hash` hashes the value at `AT`, and steps behind it. */
function columnCode(hash: (code: WasmCode) => void): WasmCode {
  const [valid, rows] = [2, 4];
  const code = new WasmCode();
  code.op(OP.block, EMPTY_BLOCK, OP.loop, EMPTY_BLOCK);
  code.get(ROW).get(rows).op(OP.i32_ge_u, OP.br_if, 1);
  begin(code);
  // valid === 0 || (valid[row >> 3] >> (row & 7)) & 1
  code.get(valid).op(OP.i32_eqz);
  code.get(valid).get(ROW).i32(3).op(OP.i32_shr_u, OP.i32_add).memory(OP.i32_load8_u, 0);
  code.get(ROW).i32(7).op(OP.i32_and, OP.i32_shr_u).i32(1).op(OP.i32_and, OP.i32_or);
  code.op(OP.if, EMPTY_BLOCK);
  hash(code);
  code.op(OP.else).i32(NULL).set(KIND);
  // a text that is null takes no place
  if (hash !== textCode) stepOver(code, hash === numberCode ? 8 : 1);
  code.op(OP.end);
  finish(code);
  code.get(SUMS).i32(HASH_BYTES).op(OP.i32_add).set(SUMS);
  code.get(ROW).i32(1).op(OP.i32_add).set(ROW);
  return code.op(OP.br, 0, OP.end, OP.end);
}

function stepOver(code: WasmCode, bytes: number): void {
  code.get(AT).i32(bytes).op(OP.i32_add).set(AT);
}

function textCode(code: WasmCode): void {
  code.get(AT).memory(OP.i32_load, 0).tee(LENGTH);
  code.i32(LENGTH_SHIFT).op(OP.i32_shl).i32(TEXT).op(OP.i32_or).set(KIND);
  stepOver(code, 4);
  mixBytes(code);
  code.get(AT).get(LENGTH).op(OP.i32_add).set(AT);
}

function numberCode(code: WasmCode): void {
  // an integer if |number| <= 2^53 - 1 and trunc(number) = number
  code.get(AT).memory(OP.f64_load, 0).set(NUMBER);
  code.i32(FLOAT);
  code.get(NUMBER).op(OP.f64_abs).f64(Number.MAX_SAFE_INTEGER).op(OP.f64_le);
  code.get(NUMBER).op(OP.f64_trunc).get(NUMBER).op(OP.f64_eq, OP.i32_and);
  code.op(OP.i32_sub).set(KIND);
  code.get(AT).memory(OP.i64_load, 0).set(K);
  mixFirst(code);
  stepOver(code, 8);
}

function booleanCode(code: WasmCode): void {
  code.get(AT).memory(OP.i32_load8_u, 0).i32(FALSE).op(OP.i32_add).set(KIND);
  stepOver(code, 1);
}

function begin(code: WasmCode): void {
  code.get(SEED).op(OP.i64_extend_i32_u).tee(H1).set(H2);
}

/** `LENGTH` bytes from `AT` on; behind them `AT` and `LENGTH` are those of the last, incomplete block. */
function mixBytes(code: WasmCode): void {
  code.op(OP.block, EMPTY_BLOCK, OP.loop, EMPTY_BLOCK);
  code.get(LENGTH).i32(16).op(OP.i32_lt_u, OP.br_if, 1);
  code.get(AT).memory(OP.i64_load, 0).set(K);
  mixFirst(code);
  code.get(H1).i64(27n).op(OP.i64_rotl).get(H2).op(OP.i64_add);
  code.i64(5n).op(OP.i64_mul).i64(0x52dce729n).op(OP.i64_add).set(H1);
  code.get(AT).memory(OP.i64_load, 0, 8).set(K);
  mixSecond(code);
  code.get(H2).i64(31n).op(OP.i64_rotl).get(H1).op(OP.i64_add);
  code.i64(5n).op(OP.i64_mul).i64(0x38495ab5n).op(OP.i64_add).set(H2);
  stepOver(code, 16);
  code.get(LENGTH).i32(16).op(OP.i32_sub).set(LENGTH);
  code.op(OP.br, 0, OP.end, OP.end);
  code.get(LENGTH).i32(8).op(OP.i32_ge_u, OP.if, EMPTY_BLOCK);
  code.get(AT).memory(OP.i64_load, 0, 8);
  firstBytes(code, () => code.get(LENGTH).i32(8).op(OP.i32_sub));
  mixSecond(code);
  code.get(AT).memory(OP.i64_load, 0).set(K);
  code.op(OP.else);
  code.get(AT).memory(OP.i64_load, 0);
  firstBytes(code, () => code.get(LENGTH));
  code.op(OP.end);
  mixFirst(code);
}

/** Of the word on the stack so many bytes, at most 7, into `K`. */
function firstBytes(code: WasmCode, count: () => void): void {
  code.i64(1n);
  count();
  code.i32(3).op(OP.i32_shl, OP.i64_extend_i32_u, OP.i64_shl).i64(1n).op(OP.i64_sub, OP.i64_and).set(K);
}

function mixFirst(code: WasmCode): void {
  code.get(K).i64(C1).op(OP.i64_mul).i64(31n).op(OP.i64_rotl).i64(C2).op(OP.i64_mul);
  code.get(H1).op(OP.i64_xor).set(H1);
}

function mixSecond(code: WasmCode): void {
  code.get(K).i64(C2).op(OP.i64_mul).i64(33n).op(OP.i64_rotl).i64(C1).op(OP.i64_mul);
  code.get(H2).op(OP.i64_xor).set(H2);
}

/** Adds the hash to the sums. */
function finish(code: WasmCode): void {
  for (const h of [H1, H2]) code.get(h).get(KIND).op(OP.i64_extend_i32_u, OP.i64_xor).set(h);
  addEach(code);
  for (const h of [H1, H2]) {
    foldDown(code, h);
    code.get(h).i64(0xff51afd7ed558ccdn).op(OP.i64_mul).set(h);
    foldDown(code, h);
    code.get(h).i64(0xc4ceb9fe1a85ec53n).op(OP.i64_mul).set(h);
    foldDown(code, h);
  }
  addEach(code);
  code.get(SUMS).get(SUMS).memory(OP.i64_load, 0).get(H1).op(OP.i64_add).memory(OP.i64_store, 0);
  code.get(SUMS).get(SUMS).memory(OP.i32_load, 0, 8).get(H2).op(OP.i32_wrap_i64, OP.i32_add);
  code.memory(OP.i32_store, 0, 8);
}

function addEach(code: WasmCode): void {
  code.get(H1).get(H2).op(OP.i64_add).tee(H1).get(H2).op(OP.i64_add).set(H2);
}

function foldDown(code: WasmCode, h: number): void {
  code.get(h).get(h).i64(33n).op(OP.i64_shr_u, OP.i64_xor).set(h);
}
