import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  decodeTyped,
  floatText,
  indentJson,
  JsonSyntaxError,
  PyFloat,
  parseJson,
  parseJsonDocument,
  parseTypedJson,
  plainJson,
  TypedValue,
  typedJson,
} from "../../src/engine/interop/json.ts";

interface Golden {
  floats: [hex: string, decimal: string, text: string][];
  texts: [source: string, plain: string, sorted: string][];
}
const golden = JSON.parse(readFileSync(new URL("../golden/json.json", import.meta.url), "utf8")) as Golden;

const document = (text: string) => parseJsonDocument(new TextEncoder().encode(text));
const failure = (text: string | Uint8Array) => {
  try {
    parseJsonDocument(typeof text === "string" ? new TextEncoder().encode(text) : text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return [error.kind, error.offset];
    throw error;
  }
  return undefined;
};

describe("numbers", () => {
  it("prints floats as dlt does", () => {
    for (const [, decimal, text] of golden.floats) expect(floatText(Number(decimal))).toBe(text);
  });

  it("keeps integers exact and tells 1.0 from 1", () => {
    expect(parseJson("[1,9007199254740993,-9223372036854775808,1.0,-0.0,0.5,-0]")).toEqual([
      1,
      9007199254740993n,
      -9223372036854775808n,
      new PyFloat(1),
      new PyFloat(-0),
      0.5,
      0,
    ]);
    expect(plainJson(parseJson("[1,1.0,1e20,-0.0,123456789012345678901234567890]"))).toBe(
      "[1,1.0,1e+20,-0.0,123456789012345678901234567890]",
    );
  });

  it("takes a plain integral number as an integer only while it is safe", () => {
    expect(plainJson([3, 1e20, Number.NaN, Infinity, 10n])).toBe("[3,1e+20,null,null,10]");
  });

  it("lets a float with an integral value take part in arithmetic", () => {
    expect(Number(new PyFloat(2)) + 1).toBe(3);
    expect(JSON.stringify([new PyFloat(2)])).toBe("[2]");
  });

  it("refuses what JSON refuses", () => {
    for (const text of ["01", "-", "1.", ".5", "1e", "+1", "NaN", "-Infinity", "1e999", "0x1", "--1"]) {
      expect([text, failure(text) !== undefined]).toEqual([text, true]);
    }
  });
});

describe("documents", () => {
  it("keep the order of keys, the last value of a repeated key, and __proto__ as a key", () => {
    const map = document('{"b":1,"2":2,"b":{"__proto__":3}}') as Map<string, unknown>;
    expect([...map.keys()]).toEqual(["b", "2"]);
    expect(plainJson(map)).toBe('{"b":{"__proto__":3},"2":2}');
    const object = parseJson('{"__proto__":{"x":1}}') as Record<string, unknown>;
    expect(Object.keys(object)).toEqual(["__proto__"]);
    expect((object as { x?: number }).x).toBeUndefined();
  });

  it("read a slice of a larger buffer", () => {
    expect(plainJson(parseJsonDocument(new TextEncoder().encode('xx {"a":"é\\n"} yy'), 2, 15))).toBe(
      '{"a":"é\\n"}',
    );
  });

  it("report where they break, without content", () => {
    expect(failure('{"a":1,}')).toEqual(["syntax", 7]);
    expect(failure('["\\ud800"]')).toEqual(["surrogate", 2]);
    expect(failure('["\\udc00\\ud800"]')).toEqual(["surrogate", 2]);
    expect(failure(Uint8Array.from([0x22, 0x61, 0xff, 0x22]))).toEqual(["encoding", 1]);
    expect(failure("[".repeat(1001))).toEqual(["depth", 1000]);
    expect(failure("[".repeat(1000) + "]".repeat(1000))).toBeUndefined();
    expect(failure("")).toEqual(["syntax", 0]);
    expect(failure('"a\tb"')).toEqual(["syntax", 2]);
    for (const text of [
      "[1 2]",
      "[1,]",
      "{1:2}",
      '{"a" 1}',
      "tru",
      '"abc',
      '"\\x"',
      '"\\u12g4"',
      "1 2",
      "]",
      "{",
    ]) {
      expect([text, failure(text)?.[0]]).toEqual([text, "syntax"]);
    }
  });

  it("agree with JSON.parse on generated documents", () => {
    let seed = 5;
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % n;
    };
    const make = (depth: number): unknown => {
      const kind = random(depth > 4 ? 4 : 6);
      if (kind === 0) return random(1000) - 500;
      if (kind === 1) return ["", "a", "é\n", "😀\\u", '"\u2028', "\u0001"][random(6)];
      if (kind === 2) return [true, false, null][random(3)];
      if (kind === 3) return random(1000) / 8 + 0.0625;
      if (kind === 4) return Array.from({ length: random(5) }, () => make(depth + 1));
      return Object.fromEntries(Array.from({ length: random(5) }, (_, i) => ["k😀" + i, make(depth + 1)]));
    };
    for (let i = 0; i < 300; i += 1) {
      const value = make(0);
      const text = JSON.stringify(value, null, i % 3);
      expect(parseJson(text)).toEqual(value);
      expect(plainJson(document(text))).toBe(JSON.stringify(value));
    }
  });
});

describe("output", () => {
  it("equals dlt's, with keys sorted by code point", () => {
    for (const [source, plain, sorted] of golden.texts) {
      expect(plainJson(document(source))).toBe(plain);
      expect(plainJson(document(source), { sortKeys: true })).toBe(sorted);
      expect(plainJson(parseJson(source), { sortKeys: true })).toBe(sorted);
    }
  });

  it("marks special values only in typed JSON", () => {
    const value = {
      n: new TypedValue("decimal", "1.50"),
      t: new Date("2024-01-02T03:04:05.006Z"),
      b: new TextEncoder().encode("abc"),
    };
    expect(plainJson(value)).toBe('{"n":"1.50","t":"2024-01-02T03:04:05.006000+00:00","b":"YWJj"}');
    expect(typedJson(value)).toBe(
      '{"n":"\uf0261.50","t":"\uf0272024-01-02T03:04:05.006000+00:00","b":"\uf02bYWJj"}',
    );
  });

  it("indents as schema files are", () => {
    const value = { a: [], b: {}, 'c\\"{,': [1, { d: "[x]:," }, "\\"], e: null };
    expect(indentJson(plainJson(value))).toBe(JSON.stringify(value, null, 2));
    expect(indentJson("1.0")).toBe("1.0");
  });

  it("refuses what UTF-8 or JSON cannot hold", () => {
    const loop: unknown[] = [];
    loop.push(loop);
    for (const value of ["\ud800", loop, () => 1, new Date(Number.NaN)])
      expect(() => plainJson(value)).toThrow();
  });
});

describe("marked strings", () => {
  it("decode to typed values, and stay strings when the text does not fit", () => {
    expect(decodeTyped("\uf0272024-01-02T00:00:00Z")).toEqual(
      new TypedValue("datetime", "2024-01-02T00:00:00+00:00"),
    );
    for (const text of [
      "\uf026abc",
      "\uf026",
      "\uf0272024-13-01",
      "\uf029x",
      "\uf02e1",
      "plain",
      "",
      "\uf02d25:00",
    ]) {
      expect(decodeTyped(text)).toBe(text);
    }
  });

  it("decode inside documents, escaped or not, but not as keys", () => {
    const text = '{"\uf0261":["\uf0261.5","\\uf0282024-01-02"]}';
    const value = parseTypedJson(text);
    expect(value).toEqual({
      "\uf0261": [new TypedValue("decimal", "1.5"), new TypedValue("date", "2024-01-02")],
    });
    expect(typedJson(value)).toBe('{"\uf0261":["\uf0261.5","\uf0282024-01-02"]}');
  });
});
