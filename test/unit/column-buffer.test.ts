import { describe, expect, it } from "vitest";
import { TableBuffer } from "../../src/engine/normalize/column-buffer.ts";

describe("a table buffer", () => {
  it("keeps the rows before the ones that are taken back, wherever the cut is", () => {
    for (let kept = 0; kept <= 20; kept++) {
      for (let taken = 0; taken <= 20; taken++) {
        const buffer = new TableBuffer("t");
        const column = buffer.addColumn("n", "int64");
        const text = buffer.addColumn("t", "text");
        const marks: number[] = [];
        for (let i = 0; i < kept + taken; i++) {
          if (i === kept) expect(buffer.mark(marks, 0)).toBe(2);
          const row = buffer.beginRow();
          column.setInt(row, i + 1);
          text.setBytes(row, Buffer.from("x".repeat(i)), 0, i);
        }
        if (taken > 0) expect(buffer.takeBack(marks, 0)).toBe(2);
        const valid = Array.from({ length: 48 }, (_, row) => column.isValid(row));
        expect(valid, `${kept} kept, ${taken} taken back`).toEqual(valid.map((_, row) => row < kept));
        expect(column.allValid(kept)).toBe(true);
        if (kept > 0) expect(column.i32[(kept - 1) * 2]).toBe(kept);
        expect(column.i32[kept * 2]).toBe(0);
        expect(text.textLength).toBe(4 * kept + (kept * (kept - 1)) / 2);
      }
    }
  });
});
