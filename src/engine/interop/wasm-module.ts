/**
 * WebAssembly modules put together from instructions: for the few loops over bytes whose arithmetic JavaScript has
 * not got, 64-bit products and vectors. See the WebAssembly specification, chapter 5 (binary format).
 */

/** The part of the global that is used: Node's types leave it to the DOM's, which we do not load. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => { readonly exports: Record<string, unknown> };
};

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Adds pages; the buffer is another one then. */
  grow(pages: number): number;
}

/** A page of memory. */
export const PAGE_BYTES = 65_536;

// Types and opcodes, by their names in the specification
export const I32 = 0x7f;
export const I64 = 0x7e;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const EMPTY_BLOCK = 0x40;
export const OP = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  call: 0x10,
  local_get: 0x20,
  local_set: 0x21,
  local_tee: 0x22,
  i32_load: 0x28,
  i64_load: 0x29,
  f64_load: 0x2b,
  i32_load8_u: 0x2d,
  i32_store: 0x36,
  i64_store: 0x37,
  i32_store8: 0x3a,
  i32_const: 0x41,
  i64_const: 0x42,
  f64_const: 0x44,
  i32_eqz: 0x45,
  i32_lt_s: 0x48,
  i32_lt_u: 0x49,
  i32_ge_u: 0x4f,
  f64_eq: 0x61,
  f64_le: 0x65,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_shl: 0x74,
  i32_shr_u: 0x76,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_and: 0x83,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_u: 0x88,
  i64_rotl: 0x89,
  f64_abs: 0x99,
  f64_trunc: 0x9d,
  i32_wrap_i64: 0xa7,
  i64_extend_i32_u: 0xad,
} as const;

/** Those behind the prefix of the 128-bit ones. */
const SIMD = 0xfd;
export const SIMD_OP = {
  v128_load64_splat: 0x0a,
  v128_andnot: 0x4f,
  v128_or: 0x50,
  v128_xor: 0x51,
  v128_load64_lane: 0x57,
  i64x2_splat: 0x12,
  i64x2_extract_lane: 0x1d,
  i64x2_shl: 0xcb,
  i64x2_shr_u: 0xcd,
} as const;

/** The code of one function. */
export class WasmCode {
  readonly bytes: number[] = [];

  op(...bytes: readonly number[]): this {
    this.bytes.push(...bytes);
    return this;
  }

  simd(code: number, ...bytes: readonly number[]): this {
    return this.op(SIMD, ...unsigned(code), ...bytes);
  }

  get(local: number): this {
    return this.op(OP.local_get, ...unsigned(local));
  }

  set(local: number): this {
    return this.op(OP.local_set, ...unsigned(local));
  }

  tee(local: number): this {
    return this.op(OP.local_tee, ...unsigned(local));
  }

  i32(value: number): this {
    return this.op(OP.i32_const, ...signed(BigInt(value)));
  }

  i64(value: bigint): this {
    return this.op(OP.i64_const, ...signed(BigInt.asIntN(64, value)));
  }

  f64(value: number): this {
    return this.op(OP.f64_const, ...new Uint8Array(Float64Array.of(value).buffer));
  }

  /** `op` with a hint of the alignment (log2) and a constant offset. */
  memory(code: number, align: number, offset = 0): this {
    return this.op(code, ...memoryArguments(align, offset));
  }
}

/** Of loads and stores: a hint of the alignment (log2) and a constant offset. */
export function memoryArguments(align: number, offset: number): number[] {
  return [align, ...unsigned(offset)];
}

export interface WasmFunction {
  readonly name: string;
  /** Their types; they are the first locals. */
  readonly parameters: readonly number[];
  /** Of the further locals: how many of which type. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly code: WasmCode;
}

/** Functions without results, called by their place in the list; they and the `memory` are exported. */
export function wasmExports(pages: number, functions: readonly WasmFunction[]): Record<string, unknown> {
  const types = functions.map(({ parameters }) => [0x60, parameters.length, ...parameters, 0]);
  const bodies = functions.map(({ locals, code }) => {
    const declared = locals.flatMap(([count, type]) => [...unsigned(count), type]);
    const body = [locals.length, ...declared, ...code.bytes, OP.end];
    return [...unsigned(body.length), ...body];
  });
  const exported = (name: string, kind: number, index: number) => [
    name.length,
    ...Buffer.from(name),
    kind,
    index,
  ];
  const { length } = functions;
  const bytes = Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [length, ...types.flat()]),
    ...section(3, [length, ...functions.map((_, i) => i)]),
    ...section(5, [1, 0, ...unsigned(pages)]),
    ...section(7, [
      length + 1,
      ...exported("memory", 2, 0),
      ...functions.flatMap(({ name }, i) => exported(name, 0, i)),
    ]),
    ...section(10, [length, ...bodies.flat()]),
  ]);
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsigned(content.length), ...content];
}

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

function signed(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 0x80);
  }
}
