import { execFileSync } from "node:child_process";
import { createHash, randomBytes, randomInt } from "node:crypto";
import { describe, expect, it } from "vitest";
import { digest128, nestedRowId, sha3Base64 } from "../../src/engine/interop/hash.ts";
import { parseJson, plainJson } from "../../src/engine/interop/json.ts";
import { NestedIdHasher, nestedIdMiddle } from "../../src/engine/interop/keccak.ts";
import { freshRowId, ROW_ID_LENGTH, writeFreshRowId } from "../../src/engine/interop/row-id.ts";

describe("ids", () => {
  it("are dlt's for nested rows and for row contents", () => {
    expect(nestedRowId("R4jxG8zqL/z0JA", "users__tags", 0)).toBe("w8xnZAlkd+N/dQ");
    const row = (text: string) => digest128(plainJson(parseJson(text), { sortKeys: true }), 10);
    expect(row('{"id":1}')).toBe("z5jIxXIbUnmbKw");
    expect(
      row(
        '{"Id":1,"d":"\uf0272024-01-02T00:00:00+00:00","f":1.0,"k":[{"B":1,"a":"ü"}],"n":null,"x":"\uf0261.50"}',
      ),
    ).toBe("tm9V29DgfJywpQ");
    expect(digest128("1")).toBe("669czW83KR00ut4bv/U5");
  });

  it("take content hashes over all parts", () => {
    expect(sha3Base64("a", Buffer.from("b"))).toBe(createHash("sha3-256").update("ab").digest("base64"));
  });

  it("of root rows are base64 of 14 characters, none twice", () => {
    const ids = new Set(Array.from({ length: 100_000 }, () => freshRowId()));
    expect(ids.size).toBe(100_000);
    for (const id of ids) expect(id).toMatch(/^[0-9a-z]{4}[A-Za-z0-9+/]{7}[0-9a-z]{3}$/);
    const bytes = Buffer.alloc(15, "-");
    writeFreshRowId(bytes, 1);
    expect(bytes.toString("latin1")).toMatch(/^-[A-Za-z0-9+/]{14}$/);
    expect(ids).not.toContain(bytes.toString("latin1", 1));
  });

  it("of root rows follow each other, across blocks as well", () => {
    const ids = Array.from({ length: 100_000 }, () => freshRowId());
    // the next block is the next number; only the very last of 2^42 is followed by the first
    expect(ids).toEqual(ids.toSorted());
  });

  it("of root rows are others in another process", () => {
    const script = `import { freshRowId } from ${JSON.stringify(import.meta.resolve("../../src/engine/interop/row-id.ts"))};
      console.log(freshRowId());`;
    const ids = [1, 2].map(() =>
      execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }).trim(),
    );
    expect(ids[0]).toHaveLength(ROW_ID_LENGTH);
    expect(ids[0]!.slice(4, 11)).not.toBe(ids[1]!.slice(4, 11));
  });
});

describe("the batch hasher", () => {
  const idAt = (ids: Uint8Array, at: number) =>
    Buffer.from(ids.subarray(at * ROW_ID_LENGTH, (at + 1) * ROW_ID_LENGTH)).toString("latin1");
  const reference = (input: Uint8Array) =>
    createHash("shake128", { outputLength: 10 }).update(input).digest("base64").slice(0, 14);

  it("equals crypto for every input length from 0 to 200, in any mix of batches", () => {
    const hasher = new NestedIdHasher(64);
    for (let round = 0; round < 40; round += 1) {
      const inputs = Array.from({ length: randomInt(1, 65) }, () => randomBytes(randomInt(0, 201)));
      for (const input of inputs) hasher.addBytes(input);
      const ids = hasher.run();
      for (const [at, input] of inputs.entries()) expect(idAt(ids, at)).toBe(reference(input));
    }
    for (let length = 0; length <= 200; length += 1) {
      const input = randomBytes(length);
      hasher.addBytes(input);
      expect(idAt(hasher.run(), 0)).toBe(reference(input));
    }
  });

  it("builds the input from parent, table and index, and takes its own ids as parents", () => {
    const hasher = new NestedIdHasher(512);
    for (const table of ["t", "users__tags", "x".repeat(149), "x".repeat(150), "ü".repeat(90)]) {
      const middle = nestedIdMiddle(table);
      hasher.addBytes(Buffer.from("parent"));
      const parent = idAt(hasher.run(), 0);
      const indexes = [0, 1, 9, 10, 99, 100, 12345, 999999, 1000000, 4294967296];
      for (const index of indexes) hasher.add(hasher.ids, 0, ROW_ID_LENGTH, middle, index);
      const ids = hasher.run();
      for (const [at, index] of indexes.entries())
        expect(idAt(ids, at)).toBe(nestedRowId(parent, table, index));
    }
  });

  it("refuses more inputs than a batch holds", () => {
    const hasher = new NestedIdHasher(1);
    hasher.addBytes(Buffer.from("a"));
    expect(hasher.full).toBe(true);
    expect(() => hasher.addBytes(Buffer.from("b"))).toThrow(/full/);
  });
});
