/**
 * Thrift's compact protocol, as far as Parquet's metadata needs it.
 * Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 */

const TYPE = { true: 1, false: 2, i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const;

/** Fields are written in ascending order of their ids; the outermost struct is open from the start. */
export class ThriftWriter {
  private memory = Buffer.allocUnsafe(256);
  private length = 0;
  private lastField = 0;

  bool(field: number, value: boolean): void {
    this.field(field, value ? TYPE.true : TYPE.false);
  }

  i32(field: number, value: number): void {
    this.field(field, TYPE.i32);
    this.varint(zigzag(value));
  }

  i64(field: number, value: number): void {
    this.field(field, TYPE.i64);
    this.varint(zigzag(value));
  }

  text(field: number, value: string): void {
    this.field(field, TYPE.binary);
    this.binary(value);
  }

  i32List(field: number, values: readonly number[]): void {
    this.list(field, TYPE.i32, values.length);
    for (const value of values) this.varint(zigzag(value));
  }

  textList(field: number, values: readonly string[]): void {
    this.list(field, TYPE.binary, values.length);
    for (const value of values) this.binary(value);
  }

  struct(field: number, write: () => void): void {
    this.field(field, TYPE.struct);
    this.inside(write);
  }

  structs<T>(field: number, values: readonly T[], write: (value: T, i: number) => void): void {
    this.list(field, TYPE.struct, values.length);
    for (const [i, value] of values.entries()) this.inside(() => write(value, i));
  }

  /** Closes the outermost struct and returns its bytes. */
  end(): Buffer {
    this.byte(0);
    return this.memory.subarray(0, this.length);
  }

  private inside(write: () => void): void {
    const outer = this.lastField;
    this.lastField = 0;
    write();
    this.byte(0);
    this.lastField = outer;
  }

  private field(id: number, type: number): void {
    this.byte(((id - this.lastField) << 4) | type);
    this.lastField = id;
  }

  private list(field: number, type: number, length: number): void {
    this.field(field, TYPE.list);
    if (length < 15) this.byte((length << 4) | type);
    else {
      this.byte(0xf0 | type);
      this.varint(length);
    }
  }

  private binary(text: string): void {
    const bytes = Buffer.from(text, "utf8");
    this.varint(bytes.length);
    for (const byte of bytes) this.byte(byte);
  }

  /** Unsigned, up to 2^53. */
  private varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.byte((rest % 128) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  private byte(value: number): void {
    if (this.length === this.memory.length) {
      const larger = Buffer.allocUnsafe(this.memory.length * 2);
      this.memory.copy(larger);
      this.memory = larger;
    }
    this.memory[this.length++] = value;
  }
}

/** Of counts and offsets, which are not negative. */
function zigzag(value: number): number {
  return value * 2;
}
