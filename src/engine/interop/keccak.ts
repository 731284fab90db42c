/**
 * SHAKE-128 for very many very short inputs: the ids of nested rows. OpenSSL spends most of a microsecond per
 * digest on set-up, and a million documents need millions of ids, so the permutation runs as WebAssembly over a
 * batch laid out in linear memory, without creating a string per id. Two inputs go through it side by side, one in
 * each half of the 128-bit registers.
 *
 * The module's bytes are assembled here from the definition of Keccak-f[1600] (FIPS 202, section 3).
 */

import { createHash } from "node:crypto";
import { ROW_ID_LENGTH } from "./row-id.ts";
import {
  memoryArguments as at,
  EMPTY_BLOCK,
  I32,
  OP,
  PAGE_BYTES,
  SIMD_OP,
  V128,
  WasmCode,
  type WasmFunction,
  type WasmMemory,
  wasmExports,
} from "./wasm-module.ts";

/** Bytes of one SHAKE-128 block. An input of at most one byte less needs a single permutation. */
const RATE_BYTES = 168;
/** Bytes of digest in an id. */
const DIGEST_BYTES = 10;

const CONSTANTS_AT = 0;
const ALPHABET_AT = 192;
const DIGEST_AT = 256;
const SLOTS_AT = 1024;

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const encoder = new TextEncoder();
/** What a base64 character stands for. */
const SIX_BITS = new Uint8Array(128);
for (let i = 0; i < 64; i += 1) SIX_BITS[BASE64.charCodeAt(i)] = i;

/**
 * Hashes inputs `<parent id>_<table>_<index>` in batches. Use: `add` until `full`, `run`, read `ids` (the id of
 * the n-th input added starts at `n * ROW_ID_LENGTH`). `run` empties the batch; the ids stay until the next run.
 */
export class NestedIdHasher {
  /** Inputs per batch. */
  readonly capacity: number;
  /** The ids of the last run as ASCII, `ROW_ID_LENGTH` bytes each. */
  readonly ids: Uint8Array;
  readonly #memory: Uint8Array;
  readonly #hash: (count: number, slots: number, ids: number) => void;
  readonly #idsAt: number;
  #count = 0;
  #long: { readonly at: number; readonly input: Uint8Array }[] = [];

  constructor(capacity = 1024) {
    this.capacity = capacity;
    // the last of an odd number of inputs goes with an empty one
    const even = capacity + (capacity & 1);
    this.#idsAt = SLOTS_AT + even * RATE_BYTES;
    const pages = Math.ceil((this.#idsAt + even * ROW_ID_LENGTH) / PAGE_BYTES);
    const { memory, hash } = wasmExports(pages, [hashFunction()]) as unknown as HashModule;
    this.#hash = hash;
    this.#memory = new Uint8Array(memory.buffer);
    this.ids = new Uint8Array(memory.buffer, this.#idsAt, capacity * ROW_ID_LENGTH);
    const view = new DataView(memory.buffer);
    roundConstants().forEach((constant, round) => {
      view.setBigUint64(CONSTANTS_AT + round * 8, constant, true);
    });
    for (let i = 0; i < 64; i += 1) this.#memory[ALPHABET_AT + i] = BASE64.charCodeAt(i);
  }

  /** Inputs waiting for the next run. */
  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.capacity;
  }

  /**
   * Adds the input `parent[start, end)` + `middle` + decimal `index`, where `middle` is `_<table>_`.
   * Returns its position in the batch. The parent may be a slice of `ids`.
   */
  add(parent: Uint8Array, start: number, end: number, middle: Uint8Array, index: number): number {
    const position = this.#begin();
    const length = end - start + middle.length + decimalLength(index);
    if (length >= RATE_BYTES) {
      const input = new Uint8Array(length);
      fillInput(input, 0, parent, start, end, middle, index);
      this.#long.push({ at: position, input });
      return position;
    }
    const slot = SLOTS_AT + position * RATE_BYTES;
    fillInput(this.#memory, slot, parent, start, end, middle, index);
    // the suffix that tells SHAKE from SHA-3, and the first bit of the padding
    this.#memory[slot + length] = 0x1f;
    return position;
  }

  /** Adds any bytes as one input. */
  addBytes(input: Uint8Array): number {
    const position = this.#begin();
    if (input.length >= RATE_BYTES) {
      this.#long.push({ at: position, input: Uint8Array.from(input) });
      return position;
    }
    const slot = SLOTS_AT + position * RATE_BYTES;
    this.#memory.set(input, slot);
    this.#memory[slot + input.length] = 0x1f;
    return position;
  }

  /** Adds a text as one input. */
  addText(input: string): number {
    if (input.length >= RATE_BYTES / 3) return this.addBytes(encoder.encode(input));
    const position = this.#begin();
    const slot = SLOTS_AT + position * RATE_BYTES;
    // shorter than a third of the room, so it fits whatever its characters
    const { written } = encoder.encodeInto(input, this.#memory.subarray(slot, slot + RATE_BYTES));
    this.#memory[slot + written] = 0x1f;
    return position;
  }

  /** Takes back the inputs from the n-th on, as if they had never been added. */
  truncate(count: number): void {
    if (count >= this.#count) return;
    this.#memory.fill(0, SLOTS_AT + count * RATE_BYTES, SLOTS_AT + this.#count * RATE_BYTES);
    this.#count = count;
    this.#long = this.#long.filter(({ at }) => at < count);
  }

  /** The first nine bytes of the n-th digest of the last run, written to `target`. */
  digest72(position: number, target: Uint8Array): void {
    const { ids } = this;
    for (let from = position * ROW_ID_LENGTH, to = 0; to < 9; from += 4, to += 3) {
      const bits =
        (SIX_BITS[ids[from]!]! << 18) |
        (SIX_BITS[ids[from + 1]!]! << 12) |
        (SIX_BITS[ids[from + 2]!]! << 6) |
        SIX_BITS[ids[from + 3]!]!;
      target[to] = bits >> 16;
      target[to + 1] = bits >> 8;
      target[to + 2] = bits;
    }
  }

  /** Hashes the batch and returns `ids`. */
  run(): Uint8Array {
    // the module clears every slot it has read, so the next batch starts from zeros
    this.#hash(this.#count, SLOTS_AT, this.#idsAt);
    for (const { at, input } of this.#long) {
      const text = createHash("shake128", { outputLength: DIGEST_BYTES }).update(input).digest("base64");
      for (let i = 0; i < ROW_ID_LENGTH; i += 1) this.ids[at * ROW_ID_LENGTH + i] = text.charCodeAt(i);
    }
    if (this.#long.length > 0) this.#long = [];
    this.#count = 0;
    return this.ids;
  }

  #begin(): number {
    const position = this.#count;
    if (position === this.capacity) throw new RangeError("The batch is full: run it before adding more.");
    this.#count = position + 1;
    return position;
  }
}

/** `_<table>_`, the middle of every input of one nested table. */
export function nestedIdMiddle(table: string): Uint8Array {
  return new TextEncoder().encode(`_${table}_`);
}

function fillInput(
  target: Uint8Array,
  at: number,
  parent: Uint8Array,
  start: number,
  end: number,
  middle: Uint8Array,
  index: number,
): void {
  let to = at;
  // a loop beats set(): the pieces are a few dozen bytes
  for (let from = start; from < end; from += 1) target[to++] = parent[from] as number;
  for (let from = 0; from < middle.length; from += 1) target[to++] = middle[from] as number;
  to += decimalLength(index);
  let rest = index;
  do {
    const next = Math.floor(rest / 10);
    to -= 1;
    target[to] = 0x30 + (rest - next * 10);
    rest = next;
  } while (rest > 0);
}

function decimalLength(value: number): number {
  let length = 1;
  for (let bound = 10; value >= bound; bound *= 10) length += 1;
  return length;
}

/** The 24 round constants, from the linear feedback shift register of FIPS 202, algorithm 5. */
function roundConstants(): bigint[] {
  const constants: bigint[] = [];
  let register = 1;
  for (let round = 0; round < 24; round += 1) {
    let constant = 0n;
    for (let j = 0; j < 7; j += 1) {
      if ((register & 1) === 1) constant |= 1n << BigInt((1 << j) - 1);
      register = (register << 1) ^ ((register >> 7) * 0x171);
    }
    constants.push(constant);
  }
  return constants;
}

/** Rotation of lane (x, y), at index x + 5y. */
function rotations(): number[] {
  const offsets = new Array<number>(25).fill(0);
  let x = 1;
  let y = 0;
  for (let t = 0; t < 24; t += 1) {
    offsets[x + 5 * y] = (((t + 1) * (t + 2)) / 2) % 64;
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  return offsets;
}

interface HashModule {
  readonly memory: WasmMemory;
  readonly hash: (count: number, slots: number, ids: number) => void;
}

/** For each two slots absorb, permute, squeeze 10 bytes each as base64. */
function hashFunction(): WasmFunction {
  const [count, slot, id, round, group] = [0, 1, 2, 3, 4];
  const lane = (i: number) => 5 + i;
  const moved = (i: number) => 30 + i;
  const column = (x: number) => 55 + x;
  const mix = (x: number) => 60 + x;
  const turned = 65;

  const code = new WasmCode();
  const op = (...bytes: number[]) => code.op(...bytes);
  const simd = (code_: number, ...bytes: number[]) => code.simd(code_, ...bytes);
  const get = (local: number) => code.get(local);
  const set = (local: number) => code.set(local);
  const i32 = (value: number) => code.i32(value);
  const i64 = (value: bigint) => code.i64(value);
  const xor = () => simd(SIMD_OP.v128_xor);
  /** Of the value on the stack, by 1 to 63 bits. */
  const rotate = (bits: number) => {
    set(turned);
    get(turned);
    i32(bits);
    simd(SIMD_OP.i64x2_shl);
    get(turned);
    i32(64 - bits);
    simd(SIMD_OP.i64x2_shr_u);
    simd(SIMD_OP.v128_or);
  };

  op(OP.block, EMPTY_BLOCK, OP.loop, EMPTY_BLOCK);
  get(count);
  i32(1);
  op(OP.i32_lt_s, OP.br_if, 1);

  // absorb: 21 lanes of both slots, the rest of the state is zero; the slots are cleared for the next batch
  for (let i = 0; i < 21; i += 1) {
    get(slot);
    get(slot);
    simd(SIMD_OP.v128_load64_splat, ...at(3, i * 8));
    simd(SIMD_OP.v128_load64_lane, ...at(3, RATE_BYTES + i * 8), 1);
    if (i === 20) {
      // the last bit of the padding
      i64(-(1n << 63n));
      simd(SIMD_OP.i64x2_splat);
      xor();
    }
    set(lane(i));
    for (const offset of [0, RATE_BYTES]) {
      get(slot);
      i64(0n);
      op(OP.i64_store, ...at(3, offset + i * 8));
    }
  }
  for (let i = 21; i < 25; i += 1) {
    i64(0n);
    simd(SIMD_OP.i64x2_splat);
    set(lane(i));
  }

  i32(0);
  set(round);
  op(OP.loop, EMPTY_BLOCK);
  // theta
  for (let x = 0; x < 5; x += 1) {
    get(lane(x));
    for (let y = 1; y < 5; y += 1) {
      get(lane(x + 5 * y));
      xor();
    }
    set(column(x));
  }
  for (let x = 0; x < 5; x += 1) {
    get(column((x + 1) % 5));
    rotate(1);
    get(column((x + 4) % 5));
    xor();
    set(mix(x));
  }
  // rho and pi
  const offsets = rotations();
  for (let y = 0; y < 5; y += 1) {
    for (let x = 0; x < 5; x += 1) {
      get(lane(x + 5 * y));
      get(mix(x));
      xor();
      const offset = offsets[x + 5 * y] as number;
      if (offset !== 0) rotate(offset);
      set(moved(y + 5 * ((2 * x + 3 * y) % 5)));
    }
  }
  // chi, and iota on the first lane
  for (let y = 0; y < 5; y += 1) {
    for (let x = 0; x < 5; x += 1) {
      get(moved(x + 5 * y));
      get(moved(((x + 2) % 5) + 5 * y));
      get(moved(((x + 1) % 5) + 5 * y));
      simd(SIMD_OP.v128_andnot);
      xor();
      if (x === 0 && y === 0) {
        get(round);
        simd(SIMD_OP.v128_load64_splat, ...at(3, CONSTANTS_AT));
        xor();
      }
      set(lane(x + 5 * y));
    }
  }
  get(round);
  i32(8);
  op(OP.i32_add);
  set(round);
  get(round);
  i32(192);
  op(OP.i32_lt_u, OP.br_if, 0, OP.end);

  // squeeze: the first ten bytes of each as base64
  const character = (to: number, shift: number) => {
    get(id);
    get(group);
    i32(shift);
    op(OP.i32_shr_u);
    i32(63);
    op(OP.i32_and);
    op(OP.i32_load8_u, ...at(0, ALPHABET_AT));
    op(OP.i32_store8, ...at(0, to));
  };
  const byte = (i: number, shift: number) => {
    i32(DIGEST_AT);
    op(OP.i32_load8_u, ...at(0, i));
    i32(shift);
    op(OP.i32_shl);
  };
  for (const half of [0, 1]) {
    for (let i = 0; i < 2; i += 1) {
      i32(DIGEST_AT);
      get(lane(i));
      simd(SIMD_OP.i64x2_extract_lane, half);
      op(OP.i64_store, ...at(3, i * 8));
    }
    const to = half * ROW_ID_LENGTH;
    for (let g = 0; g < 3; g += 1) {
      byte(3 * g, 16);
      byte(3 * g + 1, 8);
      op(OP.i32_or);
      byte(3 * g + 2, 0);
      op(OP.i32_or);
      set(group);
      for (let c = 0; c < 4; c += 1) character(to + 4 * g + c, 18 - 6 * c);
    }
    byte(9, 4);
    set(group);
    character(to + 12, 6);
    character(to + 13, 0);
  }

  for (const [local, step, code_] of [
    [slot, 2 * RATE_BYTES, OP.i32_add],
    [id, 2 * ROW_ID_LENGTH, OP.i32_add],
    [count, 2, OP.i32_sub],
  ] as const) {
    get(local as number);
    i32(step);
    op(code_);
    set(local as number);
  }
  op(OP.br, 0, OP.end, OP.end);

  const locals = [
    [2, I32],
    [61, V128],
  ] as const;
  return { name: "hash", parameters: [I32, I32, I32], locals, code };
}
