/**
 * Memory that blocks are encoded in before they are written. Files that follow each other use the same: new memory
 * for each costs the collector's time, and the system's for every page that is touched first.
 */

/** As many files are written at a time, roughly. */
const KEPT_MAX = 8;

export class WriteMemory {
  private readonly free: Buffer[] = [];

  /** At least so many bytes, with whatever was in them; `old` is given back. */
  take(bytes: number, old?: Buffer): Buffer {
    if (old !== undefined) this.giveBack(old);
    const place = this.free.findIndex((memory) => memory.length >= bytes);
    if (place >= 0) return this.free.splice(place, 1)[0]!;
    return Buffer.allocUnsafeSlow(bytes + (bytes >> 3));
  }

  giveBack(memory: Buffer): void {
    if (memory.length === 0) return;
    this.free.push(memory);
    // the small ones go: they fit the least
    if (this.free.length > KEPT_MAX) this.free.sort((a, b) => b.length - a.length).pop();
  }
}
