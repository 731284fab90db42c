/** A file that is read into the same memory again and again gives the bytes that it has. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonlPage } from "../../src/engine/extract/page.ts";
import { localFile } from "../../src/sources/filesystem/byte-source.ts";
import { readJsonl } from "../../src/sources/filesystem/jsonl.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "loadwright-recycle-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Lines of this many bytes, all different. */
function lines(lengths: Iterable<number>): Buffer {
  let id = 0;
  return Buffer.from(
    Array.from(
      lengths,
      (length) => `{"id":${id++},"text":"${"äx".repeat(Math.max(0, length - 24) / 3)}"}\n`,
    ).join(""),
  );
}

function written(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** As extracting does: a page is done with when the next one has been taken. */
async function collect(pages: AsyncIterable<JsonlPage>): Promise<{ bytes: Buffer; memories: Set<unknown> }> {
  const parts: Buffer[] = [];
  const memories = new Set<unknown>();
  let before: JsonlPage | undefined;
  const done = (page: JsonlPage): void => {
    parts.push(Buffer.from(page.bytes));
    if (page.bytes.length > 500_000) memories.add(page.bytes.buffer);
  };
  for await (const page of pages) {
    if (before) done(before);
    before = page;
  }
  if (before) done(before);
  return { bytes: Buffer.concat(parts), memories };
}

describe("JSON Lines into recycled memory", () => {
  test("short lines come whole, and twelve megabytes need four memories", async () => {
    const content = lines(Array.from({ length: 60_000 }, (_, i) => 60 + ((i * 7919) % 300)));
    const path = written("short.jsonl", content);
    const { bytes, memories } = await collect(readJsonl(localFile(path), { recycle: true }));
    expect(bytes.equals(content)).toBe(true);
    expect(memories.size).toBeLessThanOrEqual(4);
    const { memories: fresh } = await collect(readJsonl(localFile(path)));
    expect(fresh.size).toBeGreaterThan(4);
  });

  test("lines longer than a block, and a last one without its end, come whole", async () => {
    const lengths = [100, 2_500_000, 80, 80, 900_000, 3_100_000, 50, 1_048_576, 1_048_575, 200];
    const content = lines(lengths).subarray(0, -1);
    const path = written("long.jsonl", content);
    const { bytes } = await collect(readJsonl(localFile(path), { recycle: true }));
    expect(bytes.equals(Buffer.concat([content, Buffer.from("\n")]))).toBe(true);
  });

  test("a compressed file comes whole", async () => {
    const content = lines(Array.from({ length: 40_000 }, (_, i) => 60 + ((i * 7919) % 300)));
    const noise = Buffer.from(content);
    const path = written("short.jsonl.gz", gzipSync(noise, { level: 0 }));
    const { bytes } = await collect(readJsonl(localFile(path), { recycle: true }));
    expect(bytes.equals(content)).toBe(true);
  });
});
