/**
 * The hashes of the rows at a cursor's last value, in order of arrival, in about 30 bytes a row, so that a million
 * rows with one cursor value fit in memory as they fit in the destination. Rows that are equal may be in it more
 * than once: to tell them apart while they arrive would cost more than their places.
 */

import { HASH_BYTES } from "./field-hash.ts";

/** Bytes of dlt's hash; until dlt 1.28 they were 15, which are still recognised. */
export const DLT_HASH_BYTES = 9;

const FIRST_CAPACITY = 64;

/** Slots that are read ahead together. */
const TOUCHED = 128;

export class BoundaryHashes {
  /** Bytes of each hash. */
  readonly width: number;
  private hashes: Uint8Array;
  /** The same bytes as words, where a hash is a number of them. */
  private words: Int32Array | undefined;
  /** Open addressing: the first place of a hash plus one, or zero. At least twice as many slots as hashes. */
  private slots: Int32Array;
  /** So many of the hashes are in `slots`; it is made when somebody asks for a place. */
  private indexed = 0;
  private size = 0;
  /** So that reading ahead is not left out as without effect. */
  protected touched = 0;

  constructor(width: number) {
    this.width = width;
    this.hashes = new Uint8Array(FIRST_CAPACITY * width);
    this.words = wordsOf(this.hashes, width);
    this.slots = new Int32Array(FIRST_CAPACITY * 2);
  }

  get count(): number {
    return this.size;
  }

  get isEmpty(): boolean {
    return this.size === 0;
  }

  /** Where the hash stands for the first time in the order of arrival, or -1. */
  indexOf(hash: Uint8Array): number {
    this.index();
    return this.slots[this.slotOf(hash, 0)]! - 1;
  }

  /** True when the hash was not there. */
  add(hash: Uint8Array): boolean {
    if (this.indexOf(hash) >= 0) return false;
    this.append(hash);
    return true;
  }

  /** Adds a hash without looking whether it is there. */
  append(hash: Uint8Array): void {
    const { width } = this;
    const at = this.size * width;
    if (at + width > this.hashes.length) this.grow();
    const { hashes } = this;
    for (let i = 0; i < width; i++) hashes[at + i] = hash[i]!;
    this.size++;
  }

  /** Appends hashes that stand one behind the other. */
  addPacked(packed: Uint8Array): void {
    const at = this.size * this.width;
    while (at + packed.length > this.hashes.length) this.grow();
    this.hashes.set(packed, at);
    this.size += Math.floor(packed.length / this.width);
  }

  private grow(): void {
    const grown = new Uint8Array(this.hashes.length * 2);
    grown.set(this.hashes);
    this.hashes = grown;
    this.words = wordsOf(grown, this.width);
  }

  /** The hashes from place `from` to before place `to`, one behind the other. */
  packed(from: number, to: number): Uint8Array {
    return this.hashes.subarray(from * this.width, to * this.width);
  }

  /** Each hash as dlt writes it: base64 without padding. */
  texts(): string[] {
    return Array.from({ length: this.count }, (_, place) => hashText(this.packed(place, place + 1)));
  }

  /** Exclusive or of the hashes, as hex: the same for the same hashes in any order. */
  digest(): string {
    const { hashes, size, width } = this;
    // four hashes are as many words as one has bytes
    const fours = new Int32Array(hashes.buffer, 0, Math.floor(size / 4) * width);
    const foldedFours = new Int32Array(width);
    for (let at = 0; at < fours.length; at += width) {
      for (let i = 0; i < width; i++) foldedFours[i]! ^= fours[at + i]!;
    }
    const folded = new Uint8Array(width);
    const fold = (bytes: Uint8Array): void => {
      for (let at = 0; at < bytes.length; at++) folded[at % width]! ^= bytes[at]!;
    };
    fold(new Uint8Array(foldedFours.buffer));
    fold(hashes.subarray(fours.byteLength, size * width));
    return Buffer.from(folded).toString("hex");
  }

  /** Takes what was appended into the index. */
  private index(): void {
    const end = this.size;
    if (this.indexed === end) return;
    if (end * 2 > this.slots.length) {
      let length = this.slots.length;
      while (length < end * 2) length *= 2;
      this.slots = new Int32Array(length);
      this.indexed = 0;
    }
    const { hashes, width, slots } = this;
    for (let from = this.indexed; from < end; from += TOUCHED) {
      const to = Math.min(from + TOUCHED, end);
      this.touch(from, to);
      for (let place = from; place < to; place++) {
        const slot = this.slotOf(hashes, place * width);
        if (slots[slot] === 0) slots[slot] = place + 1;
      }
    }
    this.indexed = end;
  }

  /**
   * Reads the slots of these hashes, which lie anywhere: without a branch between them the processor fetches
   * several at once, and finds them in its cache afterwards.
   */
  private touch(from: number, to: number): void {
    const { slots, hashes, words, width } = this;
    const mask = slots.length - 1;
    let all = 0;
    if (words === undefined) {
      for (let at = from * width; at < to * width; at += width) all |= slots[wordAt(hashes, at) & mask]!;
    } else {
      const step = width >> 2;
      for (let at = from * step; at < to * step; at += step) all |= slots[words[at]! & mask]!;
    }
    this.touched = all;
  }

  /** The slot that holds the hash at `at`, or the empty one where it would go. */
  private slotOf(hash: Uint8Array, at: number): number {
    const { slots, hashes, width } = this;
    const mask = slots.length - 1;
    for (let slot = wordAt(hash, at) & mask; ; slot = (slot + 1) & mask) {
      const place = slots[slot]! - 1;
      if (place < 0) return slot;
      let i = 0;
      while (i < width && hashes[place * width + i] === hash[at + i]) i++;
      if (i === width) return slot;
    }
  }
}

function wordsOf(hashes: Uint8Array, width: number): Int32Array | undefined {
  return width % 4 === 0 ? new Int32Array(hashes.buffer) : undefined;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** What is remembered of the rows at one value, each row in one of two forms. */
export class KnownRows {
  /** In dlt's form: what the state had when it had them all, and what dlt has added. */
  readonly dlt: BoundaryHashes;
  /** In the form of row-hash.ts, which takes a tenth of the time. */
  readonly own: BoundaryHashes = new BoundaryHashes(HASH_BYTES);

  constructor(dltWidth: number = DLT_HASH_BYTES) {
    this.dlt = new BoundaryHashes(dltWidth);
  }

  get count(): number {
    return this.dlt.count + this.own.count;
  }

  get isEmpty(): boolean {
    return this.dlt.isEmpty && this.own.isEmpty;
  }

  /** The same for the same hashes in any order; those of our form stand behind a colon. */
  digest(): string {
    return this.own.isEmpty ? this.dlt.digest() : `${this.dlt.digest()}:${this.own.digest()}`;
  }
}

/** Base64 without padding, as dlt writes hashes. */
export function hashText(hash: Uint8Array): string {
  return Buffer.from(hash).toString("base64").replace(/=+$/, "");
}
