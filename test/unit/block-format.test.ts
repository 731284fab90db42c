import { statSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EngineError } from "../../src/engine/errors.ts";
import { TableBuffer } from "../../src/engine/normalize/column-buffer.ts";
import { BlockFileWriter, dumpBlocks, readBlocks } from "../../src/engine/package/block-format.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "blocks-"));
});
afterEach(() => rm(folder, { recursive: true }));

function setText(table: TableBuffer, column: string, row: number, text: string): void {
  const bytes = Buffer.from(text);
  table.byName.get(column)!.setBytes(row, bytes, 0, bytes.length);
}

async function dump(path: string): Promise<Record<string, unknown>[]> {
  return Array.fromAsync(dumpBlocks(path));
}

async function writeIds(path: string, ...blocks: number[]): Promise<void> {
  const table = new TableBuffer("t");
  const id = table.addColumn("id", "int64");
  table.addColumn("name", "text");
  const writer = await BlockFileWriter.create(path);
  for (const rows of blocks) {
    for (let i = 0; i < rows; i++) {
      const row = table.beginRow();
      id.setInt(row, i);
      setText(table, "name", row, `a name of more than 12 bytes, ${i}`);
    }
    await writer.append(table);
  }
  await writer.close();
}

async function refusal(path: string): Promise<EngineError> {
  const error = await dump(path).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(EngineError);
  return error as EngineError;
}

describe("a job file", () => {
  test("gives back every kind of value, and null", async () => {
    const table = new TableBuffer("t");
    const path = join(folder, "t.lwb");
    const column = (name: string) => table.byName.get(name)!;
    for (const kind of ["bool", "int64", "float64", "text", "bytes", "timestamp", "date", "time"] as const) {
      table.addColumn(kind, kind);
    }
    let row = table.beginRow();
    column("bool").setBool(row, false);
    column("int64").setBigInt(row, -(2n ** 63n));
    column("float64").setFloat(row, -0.5);
    setText(table, "text", row, "");
    column("bytes").setBytes(row, Buffer.of(0, 255, 128), 0, 3);
    column("timestamp").setInt(row, -1);
    column("date").setDays(row, -1);
    column("time").setInt(row, 86_399_999_999);
    table.beginRow();
    row = table.beginRow();
    column("int64").setInt(row, -(2 ** 53 - 1));
    setText(table, "text", row, "\ufeffgrüße aus köln 🚀");
    column("timestamp").setInt(row, 1_700_000_000_000_000);
    column("date").setDays(row, 19_000);
    column("time").setInt(row, 3_600_000_000);

    const writer = await BlockFileWriter.create(path);
    await writer.append(table);
    await writer.close();

    const nothing = {
      bool: null,
      int64: null,
      float64: null,
      text: null,
      bytes: null,
      timestamp: null,
      date: null,
      time: null,
    };
    expect(await dump(path)).toEqual([
      {
        bool: false,
        int64: -(2n ** 63n),
        float64: -0.5,
        text: "",
        bytes: Uint8Array.of(0, 255, 128),
        timestamp: "1969-12-31T23:59:59.999999Z",
        date: "1969-12-31",
        time: "23:59:59.999999",
      },
      nothing,
      {
        ...nothing,
        int64: -(2 ** 53 - 1),
        text: "\ufeffgrüße aus köln 🚀",
        timestamp: "2023-11-14T22:13:20Z",
        date: "2022-01-08",
        time: "01:00:00",
      },
    ]);
  });

  test("leaves out columns that are null in a whole block, and bitmaps without a null", async () => {
    const table = new TableBuffer("t");
    const id = table.addColumn("id", "int64");
    const late = table.addColumn("late", "float64");
    const path = join(folder, "t.lwb");
    const writer = await BlockFileWriter.create(path);
    for (let i = 0; i < 13; i++) id.setInt(table.beginRow(), i);
    await writer.append(table);
    for (let i = 0; i < 13; i++) {
      const row = table.beginRow();
      id.setInt(row, 13 + i);
      if (i === 12) late.setFloat(row, 1.5);
    }
    await writer.append(table);
    await writer.close();

    const seen: unknown[] = [];
    for await (const block of readBlocks(path)) {
      seen.push(block.columns.map(({ name, valid }) => [name, valid === null]));
    }
    expect(seen).toEqual([
      [["id", true]],
      [
        ["id", true],
        ["late", false],
      ],
    ]);
    const rows = await dump(path);
    expect(rows).toHaveLength(26);
    expect(rows[0]).toEqual({ id: 0 });
    expect(rows[24]).toEqual({ id: 24, late: null });
    expect(rows[25]).toEqual({ id: 25, late: 1.5 });
  });

  test("is written while the emptied buffer is filled again", async () => {
    const path = join(folder, "t.lwb");
    await writeIds(path, 5000, 1, 3000);
    const rows = await dump(path);
    expect(rows.map((row) => row.id)).toEqual([5000, 1, 3000].flatMap((n) => [...Array(n).keys()]));
    expect(rows.every((row) => row.name === `a name of more than 12 bytes, ${row.id}`)).toBe(true);
  });

  test("holds blocks larger than what is read at a time, and small ones between", async () => {
    const path = join(folder, "t.lwb");
    const counts = [60_000, 7, 190_000, 3, 60_000, 60_000, 1];
    await writeIds(path, ...counts);
    expect(statSync(path).size).toBeGreaterThan(15 << 20);
    const seen: number[] = [];
    for await (const { rows, columns } of readBlocks(path)) {
      const [ids] = columns;
      const values = new BigInt64Array(ids!.data.buffer, ids!.data.byteOffset, rows);
      expect(values.every((id, i) => id === BigInt(i))).toBe(true);
      seen.push(rows);
    }
    expect(seen).toEqual(counts);
  });

  test("may have no block at all", async () => {
    const path = join(folder, "t.lwb");
    await writeIds(path);
    expect(await dump(path)).toEqual([]);
  });

  test("aligns every part to 8 bytes", async () => {
    const path = join(folder, "t.lwb");
    await writeIds(path, 3, 5);
    for await (const block of readBlocks(path)) {
      expect(block.offset % 8).toBe(0);
      for (const { data } of block.columns) expect(data.byteOffset % 8).toBe(0);
    }
  });

  test("is refused when cut anywhere, with file and offset", async () => {
    const path = join(folder, "t.lwb");
    await writeIds(path, 4, 2);
    const whole = await readFile(path);
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      const error = await refusal(path);
      expect(error.code).toBe("PACKAGE_CORRUPT");
      expect(error.details).toMatchObject({ file: path, offset: expect.any(Number) });
    }
  });

  test("is refused when any byte is changed or bytes are added", async () => {
    const path = join(folder, "t.lwb");
    await writeIds(path, 4, 2);
    const whole = await readFile(path);
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole);
      changed[at]! ^= 0x10;
      await writeFile(path, changed);
      expect((await refusal(path)).code, `byte ${at}`).toBe("PACKAGE_CORRUPT");
    }
    await writeFile(path, Buffer.concat([whole, Buffer.alloc(8)]));
    expect((await refusal(path)).code).toBe("PACKAGE_CORRUPT");
  });

  test("that was given up is refused", async () => {
    const path = join(folder, "t.lwb");
    const writer = await BlockFileWriter.create(path);
    await writer.abort();
    expect((await refusal(path)).code).toBe("PACKAGE_CORRUPT");
  });

  test("is never overwritten", async () => {
    const path = join(folder, "t.lwb");
    await writeIds(path, 1);
    await expect(BlockFileWriter.create(path)).rejects.toThrow("EEXIST");
  });
});
