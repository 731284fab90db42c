import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeTyped, PyFloat, parseJson, TypedValue } from "../../src/engine/interop/json.ts";
import { type CoercedValue, coerce } from "../../src/engine/schema/coerce.ts";
import type { DataType } from "../../src/engine/schema/types.ts";
import {
  detectIsoTimestamp,
  formatDate,
  formatTime,
  formatTimestamp,
  inferType,
  parseDateDays,
  parseTimeMicros,
  parseTimestampMicros,
} from "../../src/engine/schema/values.ts";

interface Golden {
  types: DataType[];
  rows: [json: string, from: DataType, results: (string | number | boolean | null)[]][];
  detect: [text: string, timestamp: boolean][];
}
const golden = JSON.parse(readFileSync(new URL("../golden/coerce.json", import.meta.url), "utf8")) as Golden;

/** A hexadecimal float, as Python writes it. */
function fromHex(text: string): number {
  const match = /^(-?)0x([01])\.?([0-9a-f]*)p([+-]\d+)$/.exec(text);
  if (match === null) return text === "nan" ? Number.NaN : Number(text.replace("inf", "Infinity"));
  const [, sign, lead, fraction = "", power] = match;
  const size =
    (Number(lead) + Number.parseInt(fraction || "0", 16) / 16 ** fraction.length) * 2 ** Number(power);
  return sign === "-" ? -size : size;
}

function comparable(type: DataType, value: CoercedValue | undefined): unknown {
  if (value === undefined) return null;
  if (type === "binary") return Buffer.from(value as Uint8Array).toString("base64");
  return type === "bigint" || type === "timestamp" || type === "time" ? String(value) : value;
}

describe("values", () => {
  it("have the runtime types of dlt", () => {
    for (const [json, from] of golden.rows) {
      const value = parseJson(json);
      expect([json, inferType(typeof value === "string" ? decodeTyped(value) : value)]).toEqual([json, from]);
    }
  });

  it("beyond 64 bits are wei up to 38 digits, then text", () => {
    expect(inferType(2n ** 63n)).toBe("wei");
    expect(inferType(10n ** 38n - 1n)).toBe("wei");
    expect(inferType(-(10n ** 38n))).toBe("text");
    expect(coerce("wei", "wei", 2n ** 63n)).toBe("9223372036854775808");
    expect(coerce("text", "text", 10n ** 40n)).toBe("1" + "0".repeat(40));
    expect(coerce("bigint", "wei", 2n ** 63n)).toBeUndefined();
    expect(coerce("bigint", "text", 10n ** 40n)).toBeUndefined();
  });

  it("are coerced to every type, or not, as in dlt", () => {
    const wrong: unknown[] = [];
    for (const [json, from, results] of golden.rows) {
      const parsed = parseJson(json);
      const value = typeof parsed === "string" ? decodeTyped(parsed) : parsed;
      for (const [i, type] of golden.types.entries()) {
        const ours = comparable(type, coerce(type, from, value));
        const expected = results[i];
        const theirs = type === "double" && typeof expected === "string" ? fromHex(expected) : expected;
        if (!Object.is(ours, theirs)) wrong.push({ json, from, type, ours, theirs });
      }
    }
    expect(wrong).toEqual([]);
  });

  it("accept dates and binary data of programs", () => {
    expect(inferType(new Date(0))).toBe("timestamp");
    expect(coerce("timestamp", "timestamp", new Date(5))).toBe(5000);
    expect(coerce("text", "timestamp", new Date(5))).toBe("1970-01-01T00:00:00.005000+00:00");
    expect(coerce("binary", "binary", Uint8Array.of(1))).toEqual(Uint8Array.of(1));
    expect(coerce("bigint", "double", new PyFloat(2))).toBe(2);
    expect(coerce("text", "text", new TypedValue("uuid", "x"))).toBe("x");
  });
});

describe("text with times", () => {
  it("is a timestamp where dlt's detector says so", () => {
    const wrong = golden.detect.filter(([text, expected]) => detectIsoTimestamp(text) !== expected);
    expect(wrong).toEqual([]);
  });

  it("survives the way to numbers and back", () => {
    for (const text of [
      "0001-01-01T00:00:00+00:00",
      "1969-12-31T23:59:59.999999+00:00",
      "9999-12-31T00:00:00+00:00",
    ]) {
      expect(formatTimestamp(parseTimestampMicros(text) as bigint)).toBe(text);
    }
    for (let day = -719162; day <= 2932896; day += 777) expect(parseDateDays(formatDate(day))).toBe(day);
    for (const text of ["00:00:00", "23:59:59.999999", "12:34:56.000100"]) {
      expect(formatTime(parseTimeMicros(text) as number)).toBe(text);
    }
    expect(formatTimestamp(0)).toBe("1970-01-01T00:00:00+00:00");
  });
});
