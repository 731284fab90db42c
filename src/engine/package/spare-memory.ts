/**
 * Memory of blocks that were read or written, for the next ones. New memory for each costs the collector's time, and
 * the system's for every page of it that is touched first.
 */

/** More is not in use at the same time as a rule. */
const KEPT_MAX = 8;

export class SpareMemory {
  /** The smallest first. */
  private readonly free: Buffer[] = [];

  /** At least so many bytes, with whatever was in them, at the start of an ArrayBuffer of their own. */
  take(bytes: number): Buffer {
    const place = this.free.findIndex((memory) => memory.length >= bytes);
    if (place >= 0) return this.free.splice(place, 1)[0]!;
    return Buffer.allocUnsafeSlow(bytes + (bytes >> 3));
  }

  /** Nobody looks at it any more, or at a part of it. */
  giveBack({ buffer }: Buffer): void {
    if (buffer.byteLength === 0) return;
    const place = this.free.findIndex((memory) => memory.length > buffer.byteLength);
    this.free.splice(place < 0 ? this.free.length : place, 0, Buffer.from(buffer as ArrayBuffer));
    if (this.free.length > KEPT_MAX) this.free.shift();
  }
}
