import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Tool } from "../../src/tools/define-tool.ts";
import { READS } from "../../src/tools/define-tool.ts";
import { envelopeOf, TOKENS_MAX, tokensOf } from "../../src/tools/envelope.ts";
import { Gates } from "../../src/tools/gates.ts";
import { offsetOf, pageOf } from "../../src/tools/paging.ts";
import { withServerFlags } from "../../src/tools/server-flags.ts";

const tool: Tool = {
  name: "list_things",
  title: "Things",
  description: "",
  mode: "read",
  annotations: READS,
  input: z.looseObject({}),
  output: z.object({}),
  list: "things",
  run: () => Promise.reject(new Error("not called")),
};

const things = (count: number, size: number) =>
  Array.from({ length: count }, (_, i) => ({ id: i, text: "x".repeat(size) }));

describe("an answer", () => {
  it("fits the budget, says that it is cut, and goes on exactly where it was cut", () => {
    for (const format of ["concise", "detailed"] as const) {
      const all = things(1000, 300);
      const input = { pipeline: "shop", response_format: format };
      const seen: number[] = [];
      let cursor: string | undefined;
      do {
        const asked = { ...input, cursor };
        const offset = offsetOf(tool.name, asked);
        const page = { offset, more: offset + 400 < all.length };
        const data = { things: all.slice(offset, offset + 400) };
        const envelope = envelopeOf(tool, asked, { summary: "Things.", data, page });
        expect(tokensOf(envelope)).toBeLessThanOrEqual(TOKENS_MAX[format]);
        expect(envelope.truncated).toBe(envelope.next_cursor !== undefined);
        seen.push(...(envelope.data as { things: { id: number }[] }).things.map((each) => each.id));
        cursor = envelope.next_cursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(all.map((each) => each.id));
    }
  });

  it("cuts texts, dictionaries and lists that are not the tool's own as a last resort", () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`table_${i}`, i]));
    const data = { error: "y".repeat(200_000), many, deep: { list: things(500, 50) } };
    const envelope = envelopeOf({ ...tool, list: undefined }, {}, { summary: "One.", data });
    expect(tokensOf(envelope)).toBeLessThanOrEqual(TOKENS_MAX.concise);
    expect(envelope.truncated).toBe(true);
    expect(envelope.summary).toMatch(/cut/);
  });

  it("leaves a small answer as it is", () => {
    const data = { things: things(3, 10), big: 9007199254740993n };
    const envelope = envelopeOf(tool, {}, { summary: "Three.", data });
    expect(envelope).toMatchObject({ summary: "Three.", truncated: false, next_steps: [] });
    expect((envelope.data as { big: unknown }).big).toBe("9007199254740993");
  });
});

describe("a cursor", () => {
  const first = envelopeOf(
    tool,
    { pipeline: "shop" },
    {
      summary: "",
      data: { things: things(2, 1) },
      page: { offset: 0, more: true },
    },
  );
  const cursor = first.next_cursor;

  it("goes on with the same arguments, whatever the page size", () => {
    expect(offsetOf(tool.name, { pipeline: "shop", cursor, limit: 7, response_format: "detailed" })).toBe(2);
  });

  it("goes on where a default was left out: the tool sees it filled in", () => {
    const defaulting: Tool = { ...tool, input: z.looseObject({ deep: z.boolean().default(false) }) };
    const result = { summary: "", data: { things: things(2, 1) }, page: { offset: 0, more: true } };
    const { next_cursor } = envelopeOf(defaulting, { pipeline: "shop" }, result);
    expect(offsetOf(tool.name, { pipeline: "shop", deep: false, cursor: next_cursor })).toBe(2);
  });

  it("is refused with other arguments, for another tool, or when it is none", () => {
    for (const input of [
      { pipeline: "other", cursor },
      { pipeline: "shop", cursor, table: "x" },
    ]) {
      expect(() => offsetOf(tool.name, input)).toThrow(/another call/);
    }
    expect(() => offsetOf("other_tool", { pipeline: "shop", cursor })).toThrow(/another call/);
    for (const bad of ["", "x", "W10", Buffer.from('["x",-1]').toString("base64url")]) {
      expect(() => offsetOf(tool.name, { pipeline: "shop", cursor: bad })).toThrow(/cursor/);
    }
  });
});

describe("a cursor that names an entry", () => {
  const ask = (names: string[], cursor?: string) => {
    const input = { limit: 2, cursor };
    const { shown, page } = pageOf("list_things", input, names, (name) => name);
    return envelopeOf(tool, input, { summary: "", data: { things: shown }, page });
  };

  it("neither skips nor repeats when entries come in front or go behind", () => {
    const first = ask(["e", "d", "c", "b", "a"]);
    expect(first.data).toEqual({ things: ["e", "d"] });
    const second = ask(["g", "f", "e", "d", "c", "b"], first.next_cursor);
    expect(second.data).toEqual({ things: ["c", "b"] });
    expect(second.truncated).toBe(false);
  });

  it("is refused when the entry is gone, instead of beginning anew", () => {
    const first = ask(["c", "b", "a"]);
    expect(() => ask(["c", "a"], first.next_cursor)).toThrow(/gone/);
  });

  it("goes on behind the last entry that fitted", () => {
    const names = Array.from({ length: 400 }, (_, i) => `${String(i).padStart(4, "0")}${"x".repeat(200)}`);
    const seen: string[] = [];
    for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
      const input = { limit: 400, cursor };
      const { shown, page } = pageOf("list_things", input, names, (name) => name.slice(0, 4));
      const envelope = envelopeOf(tool, input, { summary: "", data: { things: shown }, page });
      expect(tokensOf(envelope)).toBeLessThanOrEqual(TOKENS_MAX.concise);
      seen.push(...(envelope.data as { things: string[] }).things);
      cursor = envelope.next_cursor;
    }
    expect(seen).toEqual(names);
  });
});

describe("what a server may do", () => {
  it("is reading, and what its flags open", () => {
    const gates = new Gates(["run"]);
    gates.require("read", "x");
    gates.require("run", "x");
    expect(() => gates.require("destructive", "Dropping")).toThrow(/Dropping needs the mode "destructive"/);
    try {
      gates.require("destructive", "x");
    } catch (error) {
      expect((error as { hint: string }).hint).toContain("--allow run,destructive");
    }
  });

  it("is never guessed from a flag that is mistyped", () => {
    const parse = (argv: string[]) => {
      const command = withServerFlags(new Command())
        .exitOverride()
        .configureOutput({ writeErr: () => {} });
      return command.parse(argv, { from: "user" }).opts();
    };
    expect(parse(["--allow", "run,write", "--allow=destructive", "--require-human"])).toMatchObject({
      allow: ["run", "write", "destructive"],
      requireHuman: true,
    });
    for (const argv of [
      ["--alow", "run"],
      ["--allow", "ran"],
      ["--read-only"],
      ["run"],
      ["--allow", ""],
      ["--allow"],
      ["--port", "80x"],
      ["--port", "70000"],
      ["--require-human=no"],
    ]) {
      expect(() => parse(argv), argv.join(" ")).toThrow();
    }
    expect(() => parse(["--requirehuman"])).toThrow(/--require-human/);
  });
});
