import { describe, expect, it } from "vitest";
import { TableBuffer } from "../../src/engine/normalize/column-buffer.ts";

describe("a table buffer", () => {
  it("keeps the rows before the ones that are taken back, wherever the cut is", () => {
    for (let kept = 0; kept <= 20; kept++) {
      for (let taken = 0; taken <= 20; taken++) {
        const buffer = new TableBuffer("t");
        const column = buffer.addColumn("n", "int64");
        for (let i = 0; i < kept + taken; i++) column.setInt(buffer.beginRow(), i + 1);
        buffer.truncate(kept, 0);
        const valid = Array.from({ length: 48 }, (_, row) => column.isValid(row));
        expect(valid, `${kept} kept, ${taken} taken back`).toEqual(valid.map((_, row) => row < kept));
        expect(column.allValid(kept)).toBe(true);
        if (kept > 0) expect(column.i32[(kept - 1) * 2]).toBe(kept);
        expect(column.i32[kept * 2]).toBe(0);
      }
    }
  });
});
