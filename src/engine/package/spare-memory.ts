/**
 * Memory of blocks that were read or written, for the next ones. New memory for each costs the collector's time, and
 * the system's for every page of it that is touched first.
 */

/** More is not in use at the same time as a rule. */
const KEPT_MAX = 8;

export class SpareMemory {
  /** What was taken and not given back. */
  private readonly taken = new WeakSet<ArrayBufferLike>();
  /** The smallest first. */
  private readonly free: Buffer[] = [];

  /** At least so many bytes, with whatever was in them, at the start of an ArrayBuffer of their own. */
  take(bytes: number): Buffer {
    const place = this.free.findIndex((memory) => memory.length >= bytes);
    const memory = place >= 0 ? this.free.splice(place, 1)[0]! : Buffer.allocUnsafeSlow(bytes + (bytes >> 3));
    this.taken.add(memory.buffer);
    return memory;
  }

  /** Nobody looks at the memory that this is a part of any more. What is not from here is left alone. */
  giveBack({ buffer }: Uint8Array): void {
    if (!this.taken.delete(buffer)) return;
    const place = this.free.findIndex((memory) => memory.length > buffer.byteLength);
    this.free.splice(place < 0 ? this.free.length : place, 0, Buffer.from(buffer as ArrayBuffer));
    if (this.free.length > KEPT_MAX) this.free.shift();
  }
}
