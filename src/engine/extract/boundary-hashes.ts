/**
 * The hashes of the rows at a cursor's last value: a set in order of arrival that takes about 30 bytes a row,
 * so that a million rows with one cursor value fit in memory as they fit in the destination.
 */

const FIRST_CAPACITY = 64;

export class BoundaryHashes {
  /** Bytes of each hash. */
  readonly width: number;
  private hashes: Uint8Array;
  /** Open addressing: place in `hashes` plus one, or zero. Twice as many slots as there is room for hashes. */
  private slots: Int32Array;
  private size = 0;

  constructor(width: number) {
    this.width = width;
    this.hashes = new Uint8Array(FIRST_CAPACITY * width);
    this.slots = new Int32Array(FIRST_CAPACITY * 2);
  }

  get count(): number {
    return this.size;
  }

  /** Where the hash stands in the order of arrival, or -1. */
  indexOf(hash: Uint8Array): number {
    return this.slots[this.slotOf(hash, 0)]! - 1;
  }

  /** Adds a hash that is not there yet; the answer is where it stands. */
  add(hash: Uint8Array): number {
    const slot = this.slotOf(hash, 0);
    const known = this.slots[slot]!;
    if (known !== 0) return known - 1;
    if ((this.size + 1) * this.width > this.hashes.length) {
      this.grow();
      return this.add(hash);
    }
    this.hashes.set(hash.length === this.width ? hash : hash.subarray(0, this.width), this.size * this.width);
    this.slots[slot] = ++this.size;
    return this.size - 1;
  }

  /** Adds hashes that stand one behind the other. */
  addPacked(packed: Uint8Array): void {
    for (let at = 0; at + this.width <= packed.length; at += this.width) {
      this.add(packed.subarray(at, at + this.width));
    }
  }

  /** The hashes from place `from` to before place `to`, one behind the other. */
  packed(from: number, to: number): Uint8Array {
    return this.hashes.subarray(from * this.width, to * this.width);
  }

  /** Each hash as dlt writes it: base64 without padding. */
  texts(): string[] {
    return Array.from({ length: this.size }, (_, place) =>
      Buffer.from(this.packed(place, place + 1))
        .toString("base64")
        .replace(/=+$/, ""),
    );
  }

  /** Exclusive or of the hashes, as hex: the same for the same set in any order. */
  digest(): string {
    const folded = new Uint8Array(this.width);
    for (let at = 0; at < this.size * this.width; at += this.width) {
      for (let i = 0; i < this.width; i++) folded[i]! ^= this.hashes[at + i]!;
    }
    return Buffer.from(folded).toString("hex");
  }

  /** The slot that holds the hash at `at`, or the empty one where it would go. */
  private slotOf(hash: Uint8Array, at: number): number {
    const { slots, hashes, width } = this;
    const mask = slots.length - 1;
    const start = hash[at]! | (hash[at + 1]! << 8) | (hash[at + 2]! << 16) | (hash[at + 3]! << 24);
    for (let slot = start & mask; ; slot = (slot + 1) & mask) {
      const place = slots[slot]! - 1;
      if (place < 0) return slot;
      let i = 0;
      while (i < width && hashes[place * width + i] === hash[at + i]) i++;
      if (i === width) return slot;
    }
  }

  private grow(): void {
    const hashes = new Uint8Array(this.hashes.length * 2);
    hashes.set(this.hashes);
    this.hashes = hashes;
    this.slots = new Int32Array(this.slots.length * 2);
    for (let place = 0; place < this.size; place++) {
      this.slots[this.slotOf(hashes, place * this.width)] = place + 1;
    }
  }
}
