import { describe, expect, it } from "vitest";
import { z } from "zod";
import { CATALOG } from "../../src/tools/catalog.ts";
import { envelopeSchema } from "../../src/tools/envelope.ts";

describe("the catalogue", () => {
  it("has tools with names of their own, in snake_case and short enough for every client", () => {
    const names = CATALOG.map((tool) => tool.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeLessThanOrEqual(22);
    for (const name of names) expect(name).toMatch(/^[a-z]+(_[a-z]+)+$/);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(64);
  });

  for (const tool of CATALOG) {
    describe(tool.name, () => {
      it("says what it is, and its annotations agree with the mode it needs", () => {
        expect(tool.title.length).toBeGreaterThan(3);
        expect(tool.description.length).toBeGreaterThan(80);
        expect(tool.description.length).toBeLessThan(900);
        expect(tool.annotations.readOnlyHint).toBe(tool.mode === "read");
        if (tool.mode === "read") expect(tool.annotations.destructiveHint).toBe(false);
        if (tool.mode === "destructive") expect(tool.annotations.destructiveHint).toBe(true);
      });

      it("describes and does not command the model", () => {
        expect(tool.description).not.toMatch(
          /\b(you must|always (use|call)|never call|IMPORTANT|make sure)\b/i,
        );
      });

      it("names at least one tool to go on with, or is one that others name", () => {
        const others = CATALOG.filter((each) => each !== tool);
        const linked =
          others.some((each) => tool.description.includes(each.name)) ||
          others.some((each) => each.description.includes(tool.name));
        expect(linked).toBe(true);
      });

      it("refuses arguments that it does not know, and has both schemas as JSON Schema", () => {
        const input = z.toJSONSchema(tool.input, { io: "input" });
        expect(input.additionalProperties).toBe(false);
        expect(Object.keys(input.properties ?? {})).toContain("response_format");
        const output = z.toJSONSchema(envelopeSchema(tool.output), { io: "output" });
        expect(output.type).toBe("object");
        expect(output.required).toEqual(
          expect.arrayContaining(["summary", "data", "truncated", "next_steps"]),
        );
        for (const key of Object.keys(input.properties ?? {})) expect(key).toMatch(/^[a-z]+(_[a-z]+)*$/);
      });

      it("takes a cursor exactly when it has a list that goes on", () => {
        // Rows of a query are cut, but not paged: the query would have to run again and may answer in another order.
        const paged = tool.list !== undefined && tool.name !== "query_data";
        expect("cursor" in tool.input.shape).toBe(paged);
      });
    });
  }
});
