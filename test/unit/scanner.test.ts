/**
 * The fast path decides nothing: over any rows it leaves the same tables and the same schema as the row path.
 *
 * Method: JSON Lines are made as text (odd spaces, escapes, keys twice), with keys and kinds of values that
 * repeat, so that most rows are scanned, and some that drift. Each batch goes through both paths; then every
 * cell is compared. Ids of root rows are random: ids are compared by the row that they name, and the ids of
 * nested rows must follow from their parents'.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nestedRowId } from "../../src/engine/interop/hash.ts";
import { parseJsonDocument, plainJson } from "../../src/engine/interop/json.ts";
import { Scanner } from "../../src/engine/normalize/scanner.ts";
import { DATA_TYPES, type WriteDisposition } from "../../src/engine/schema/types.ts";
import { bumpSchema, schemaToStored } from "../../src/engine/schema/version.ts";
import { type Cells, type Declared, PLAIN, ROOT, setUp, take } from "../support/normalized.ts";

interface Outcome {
  readonly tables: Record<string, Cells[]>;
  readonly kinds: Record<string, Record<string, string>>;
  readonly schema: string;
  readonly changes: unknown;
  readonly nullOnly: unknown;
  readonly error?: string;
  readonly scanned: number;
}

/** Ids by the rows that they name; and they must follow from each other. */
function nameIds(tables: Record<string, Cells[]>): void {
  const names = new Map<unknown, string>();
  for (const [table, rows] of Object.entries(tables)) {
    rows.forEach((cells, i) => {
      if (cells._dlt_parent_id !== undefined) {
        const follows = nestedRowId(String(cells._dlt_parent_id), table, Number(cells._dlt_list_idx));
        if (cells._dlt_id !== follows) cells._dlt_id = "does not follow from the parent's id";
      }
      names.set(cells._dlt_id, `${table} ${i}`);
    });
  }
  for (const rows of Object.values(tables)) {
    for (const cells of rows) {
      for (const id of ["_dlt_id", "_dlt_parent_id", "_dlt_root_id"]) {
        if (cells[id] !== undefined) cells[id] = names.get(cells[id]) ?? "unknown id";
      }
    }
  }
}

function through(
  path: "scanner" | "rows",
  batches: readonly (readonly string[])[],
  declared: Declared,
): Outcome {
  const { tables, rowPath } = setUp(declared);
  const scanner = new Scanner(tables, rowPath, ROOT);
  const out: Record<string, Cells[]> = {};
  let error: string | undefined;
  try {
    for (const lines of batches) {
      // one byte before and after: offsets count, and nothing behind the end is read as a row
      const bytes = Buffer.from(`x${lines.map((line) => `${line}\n`).join("")}x`);
      if (path === "scanner") {
        scanner.scan(bytes, 1, bytes.length - 1, (_at, problem) => {
          throw problem;
        });
      } else {
        for (const line of lines)
          if (line.trim() !== "") rowPath.add(ROOT, parseJsonDocument(Buffer.from(line)));
      }
      take(tables, out);
    }
  } catch (problem) {
    const { name, code, message } = problem as Error & { code?: string };
    error = `${name} ${code} ${message.replace(/ at byte \d+/, "")}`;
  }
  nameIds(out);
  bumpSchema(tables.schema);
  const filled = Object.entries(out).filter(([, rows]) => rows.length > 0);
  return {
    tables: error === undefined ? Object.fromEntries(filled) : {},
    kinds: Object.fromEntries(
      [...tables.states.values()].map((state) => [
        state.name,
        Object.fromEntries([...state.slots].map(([name, { type }]) => [name, type]).sort()),
      ]),
    ),
    schema: plainJson(schemaToStored(tables.schema)),
    changes: rowPath.changes,
    nullOnly: [...rowPath.nullOnly].map(([table, names]) => [table, [...names].sort()]),
    error,
    scanned: scanner.counts.rows - scanner.counts.slow,
  };
}

function same(batches: readonly (readonly string[])[], declared: Declared = PLAIN): number {
  const { scanned, ...fast } = through("scanner", batches, declared);
  const { scanned: _none, ...slow } = through("rows", batches, declared);
  // one path may know tables and columns that no row has filled
  const used = ({ kinds, ...rest }: typeof fast) => ({
    ...rest,
    kinds: Object.entries(rest.tables).map(([table, rows]) => {
      const filled = new Set(rows.flatMap((cells) => Object.keys(cells)));
      return [table, Object.entries(kinds[table]!).filter(([column]) => filled.has(column))];
    }),
  });
  expect(used(fast)).toEqual(used(slow));
  return scanned;
}

// ---- documents as text ----

const HEX = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** A string of JSON, some of its characters written as escapes. */
const text = (of: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(of, fc.integer({ min: 0, max: 9 })).map(([value, style]) => {
    const plain = JSON.stringify(value);
    if (style === 0) return `"${[...value].flatMap((c) => c.split("").map(HEX)).join("")}"`;
    if (style === 1)
      return plain.replaceAll("/", "\\/").replace(/[^ -~]/g, (c) => c.split("").map(HEX).join(""));
    return plain;
  });

const words = fc.constantFrom(
  "",
  "a",
  "twelve bytes",
  "thirteen byte",
  "a longer text that goes to the arena",
);
const lookAlikes = fc.constantFrom(
  ...[
    "1",
    "-1",
    "007",
    "1.5",
    "-0.0",
    ".5",
    "5.",
    "1e3",
    "1_000",
    " 1",
    "+1",
    "0x1f",
    "nan",
    "inf",
    "123456789012345678",
  ],
  ...["true", "False", "TRUE", "yes", "null", "none", "0", "{}", "[1]", "0b11", "1,5", "9223372036854775808"],
);
const times = fc.constantFrom(
  ...["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.123456+02:00", "2024-01-02 03:04:05", "2024-01-02T03:04"],
  ...[
    "2024-01-02",
    "20240102",
    "2024-02-30",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2024-W01-1",
  ],
  ...[
    "2024-01-02T24:00:00Z",
    "2024-01-02T03:04:60Z",
    "03:04:05",
    "2024-01-02T03:04:05,5Z",
    "1969-12-31T23:59:59.5Z",
  ],
  ...["2024-01-02T03:04:05.1234567Z", "2024-01-02T03:04:05-00:00", "2024-01-02T03:04:05+23:59"],
);
const marked = fc.constantFrom(
  ...["\uf0261.50", "\uf0272024-01-02T03:04:05+00:00", "\uf0272024-01-02T03:04:05Z", "\uf0282024-01-02"],
  ...[
    "\uf029",
    "\uf02a1f",
    "\uf02bYWJj",
    "\uf02c12",
    "\uf02d03:04:05",
    "\uf02ex",
    "\uf0261x",
    "\uf026",
    "\uf02799",
  ],
);
const anyText = fc.oneof(words, lookAlikes, times, marked, fc.string({ unit: "grapheme", maxLength: 20 }));

const integers = fc.oneof(
  fc.integer().map(String),
  fc.constantFrom("0", "-0", "999999999999999", "-999999999999999", "1000000000000000", "9007199254740993"),
  fc.constantFrom("999999999999999999", "-999999999999999999", "9223372036854775807", "-9223372036854775808"),
  fc.constantFrom("9223372036854775808", "123456789012345678901234567890", "-9223372036854775809"),
);
const floats = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    "0.0",
    "-0.0",
    "1.0",
    "1e5",
    "1E-7",
    "1e400",
    "-1.5e+3",
    "0.1",
    "123456789.123456789",
    "5e-324",
  ),
  fc.constantFrom("1.7976931348623157e308", "0.30000000000000004", "100000000000000.1", "9007199254740993.0"),
);

const scalars: Record<string, fc.Arbitrary<string>> = {
  integer: integers,
  small: fc.integer().map(String),
  float: floats,
  bool: fc.constantFrom("true", "false"),
  text: text(anyText),
  word: text(words),
  time: text(times),
  alike: text(lookAlikes),
  marked: text(marked),
};
const anyScalar = fc.oneof(...Object.values(scalars), fc.constant("null"));

const KEYS = ["id", "a", "b", "A", "fooBar", "foo_bar", "a__b", "é", "_dlt_x", "value", "k\u0001", ""];
/** Mostly keys that do not end in one column. */
const key = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("id", "b", "foo_bar", "é", "value", "note") },
  { weight: 1, arbitrary: fc.constantFrom(...KEYS) },
);
const SPACES = ["", " ", "\t ", "\r"];

const object = (members: readonly (readonly [string, string])[], space: string): string =>
  `{${space}${members.map(([key, value]) => `${JSON.stringify(key)}${space}:${space}${value}`).join(`${space},${space}`)}${space}}`;

/** Any document of some depth. */
const { any } = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    anyScalar,
    fc.array(tie("any"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
    fc
      .array(fc.tuple(fc.constantFrom(...KEYS), tie("any")), { maxLength: 3 })
      .map((members) => object(members, "")),
  ),
}));

/** What a key's values look like, most of the time. */
const { kind } = fc.letrec<{ kind: fc.Arbitrary<string> }>((tie) => ({
  kind: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(...Object.values(scalars), scalars.small!, scalars.word!, scalars.bool!),
    tie("kind").map((item) =>
      fc
        .array(fc.oneof({ weight: 12, arbitrary: item }, { weight: 1, arbitrary: fc.constant("null") }), {
          maxLength: 3,
        })
        .map((items) => `[${items.join(", ")}]`),
    ),
    fc
      .uniqueArray(fc.tuple(key, tie("kind")), {
        maxLength: 3,
        selector: ([key]) => key,
      })
      .map((members) => documentOf(members)),
  ),
}));

function documentOf(members: readonly (readonly [string, fc.Arbitrary<string>])[]): fc.Arbitrary<string> {
  const values = members.map(([key, usual]) =>
    fc
      .oneof(
        { weight: 90, arbitrary: usual },
        { weight: 2, arbitrary: fc.constant("null") },
        { weight: 1, arbitrary: any },
        { weight: 2, arbitrary: fc.constant(undefined) },
      )
      .map((value) => (value === undefined ? undefined : ([key, value] as const))),
  );
  return fc
    .tuple(fc.tuple(...values), fc.integer({ min: 0, max: 60 }), fc.constantFrom(...KEYS), anyScalar)
    .map(([all, oddity, added, value]) => {
      const kept = all.filter((member) => member !== undefined);
      if (oddity === 1) kept.reverse();
      // a new key, or one that is there twice
      if (oddity === 2) kept.push([added, value]);
      return object(kept, SPACES[oddity - 10] ?? "");
    });
}

const line = (document: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 60, arbitrary: document },
    { weight: 1, arbitrary: fc.constantFrom("", "  ", "\t\r") },
    { weight: 1, arbitrary: fc.tuple(document, fc.constantFrom("\r", " ")).map((parts) => parts.join("")) },
  );

const batches = fc
  .uniqueArray(fc.tuple(key, kind), {
    minLength: 1,
    maxLength: 5,
    selector: ([key]) => key,
  })
  .chain((members) =>
    fc.array(fc.array(line(documentOf(members)), { maxLength: 25 }), { minLength: 1, maxLength: 3 }),
  );

const column = fc.record(
  { data_type: fc.constantFrom(...DATA_TYPES), nullable: fc.constantFrom(true, true, false) },
  { requiredKeys: ["nullable"] },
);
const declarations: fc.Arbitrary<Declared> = fc.record(
  {
    disposition: fc.constantFrom<WriteDisposition>("append", "replace", "merge"),
    nesting: fc.integer({ min: 0, max: 3 }),
    columns: fc.dictionary(fc.constantFrom("id", "a", "b", "foo_bar", "a__b", "value"), column, {
      maxKeys: 2,
    }),
    guesses: fc.dictionary(fc.constantFrom("id", "a", "fooBar"), fc.constantFrom(...DATA_TYPES), {
      maxKeys: 2,
    }),
  },
  { requiredKeys: ["disposition", "columns"] },
);

describe("the scanner leaves what the row path leaves", () => {
  it("for any rows that resemble each other", () => {
    let rows = 0;
    let scanned = 0;
    fc.assert(
      fc.property(batches, (lines) => {
        rows += lines.flat().length;
        scanned += same(lines);
      }),
      { numRuns: 600 },
    );
    // else this test would compare the row path with itself
    expect(scanned / rows).toBeGreaterThan(0.15);
  });

  it("for any declared columns, dispositions, depths and guesses", () => {
    fc.assert(
      fc.property(batches, declarations, (lines, declared) => {
        same(lines, declared);
      }),
      { numRuns: 600 },
    );
  });

  it.each(DATA_TYPES)("for a column of %s where a file calls it text and has zeros in front", (type) => {
    const lines = ["1", "007", "-01.5", " 02", "0", "0.5", "010"].map((cell) => `{"a":"${cell}"}`);
    const columns = { a: { data_type: type } };
    for (const guesses of [undefined, { a: "text" }] as const)
      same([lines, lines], { ...PLAIN, columns, guesses });
  });

  it.each(Object.keys(scalars))("for a column of %s that all kinds of scalars run into", (usual) => {
    fc.assert(
      fc.property(
        scalars[usual]!,
        fc.array(fc.oneof(anyScalar, scalars[usual]!), { maxLength: 20 }),
        fc.option(fc.constantFrom(...DATA_TYPES), { nil: undefined }),
        (first, values, type) => {
          const lines = [first, ...values].map((value) => `{"a":${value}}`);
          same([lines], type ? { ...PLAIN, columns: { a: { data_type: type } } } : PLAIN);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("the scanner agrees on", () => {
  const listOf = (items: number, last = '{"b":1}') =>
    `{"a":[${Array.from({ length: items - 1 }, (_, i) => `{"b":${i}}`).concat(last)}]}`;
  const twice = (...lines: string[]) => [[...lines, ...lines]];

  it.each<[string, string[][], Declared?]>([
    [
      "a key that is there twice: the last one counts",
      twice('{"a":1,"b":2}', '{"a":1,"a":2}', '{"a":"x","a":2}'),
    ],
    ["a list that is there twice", twice('{"a":[1]}', '{"a":[1],"a":[2,3]}', '{"a":[1],"a":[]}')],
    ["a key written with escapes", twice('{"ab":1}', '{"a\\u0062":2}', '{"ab":1,"\\u0061b":3}')],
    ["two keys of one column", twice('{"fooBar":1}', '{"foo_bar":2}', '{"fooBar":1}')],
    [
      "a row that breaks off in a nested list",
      twice('{"a":[{"b":1},{"b":2}]}', '{"a":[{"b":1},{"b":"x"}]}', '{"a":[{"b":3}]}'),
    ],
    [
      "a row that breaks off after more nested rows than are hashed at once",
      [
        [
          listOf(1),
          listOf(200),
          ...[255, 256, 257, 600].flatMap((items) => [listOf(100), listOf(items, '{"b":"x"}'), listOf(3)]),
        ],
      ],
    ],
    [
      "lists below lists of many rows",
      twice(...[1, 300, 2].map((items) => listOf(items, `{"b":1,"c":[{"d":[1,2]},{"d":[]}]}`))),
    ],
    ["lists of lists", twice('{"a":[[1,2],[3]]}', '{"a":[[],[4]]}', '{"a":[5]}')],
    ["nulls in lists", twice('{"a":[1,null]}', '{"a":[null]}', '{"a":[]}')],
    ["an object where a list was", twice('{"a":[1]}', '{"a":{"b":1}}', '{"a":{}}', '{"a":null}', '{"a":2}')],
    ["empty objects and rows", twice("{}", '{"a":1}', "{}", '{"a":{}}')],
    ["signs and zeros", twice('{"a":1.5}', '{"a":-0.0}', '{"a":0}', '{"a":-0}')],
    ["integers at the borders", twice('{"a":1}', '{"a":999999999999999999}', '{"a":-9223372036854775808}')],
    ["integers beyond 64 bits", twice('{"a":1}', '{"a":9223372036854775808}', '{"a":123456789012345678901}')],
    ["numbers as text", twice('{"a":1}', '{"a":"12"}', '{"a":"-0"}', '{"a":"x"}')],
    ["surrogates", twice('{"a":"\\ud83d\\ude00"}', '{"a":"😀"}', '{"a":"\\u0000 and more"}')],
    ["a lone surrogate", [['{"a":"x"}', '{"a":"\\ud83d"}']]],
    ["a mark written as an escape", twice('{"a":"x"}', '{"a":"\\uf0261.5"}', '{"a":"\uf0261.5"}')],
    ["a row that is not an object", twice('{"a":1}', "3", "[1,2]", '"x"')],
    ["a line that is not JSON", [['{"a":1}', '{"a":1', '{"a":2}']]],
    ["a line with something behind its row", [['{"a":1}', '{"a":1} x']]],
    [
      "a key with a leading dlt name",
      twice('{"_dlt_id":"x","a":1}', '{"a":1}', '{"_dlt_load_id":"y","a":1}'),
    ],
    [
      "a null in a required column",
      [['{"a":1}', '{"a":2}', '{"a":null}']],
      { ...PLAIN, columns: { a: { nullable: false, data_type: "bigint" } } },
    ],
    [
      "JSON kept in one column",
      twice('{"a":{"b":[1]}}', '{"a":[1,{"c":2}]}', '{"a":"x"}'),
      { ...PLAIN, columns: { a: { data_type: "json" } } },
    ],
    [
      "JSON in a text",
      twice(
        '{"a":"{\\"b\\": [1.0, \\"é\\"]}"}',
        '{"a":"[1,2]"}',
        '{"a":"\\"x\\""}',
        '{"a":"{no"}',
        '{"a":"\\ud83d"}',
      ),
      { ...PLAIN, columns: { a: { data_type: "json" } } },
    ],
    [
      "decimals of every form",
      twice(
        ...[
          "1.50",
          "-0.00",
          "-0",
          "007.5",
          "0.5",
          ".5",
          "5.",
          "-12.340",
          "1e3",
          "\uf0261.50",
          "\uf026-0.0",
          "1.2.3",
        ].map((digits) => `{"a":"${digits}"}`),
      ),
      { ...PLAIN, columns: { a: { data_type: "decimal" } } },
    ],
    [
      "empty values kept as JSON",
      twice('{"a":"x","b":null}', '{"a":[],"b":{}}', '{"a":{},"b":[]}'),
      { ...PLAIN, columns: { b: { data_type: "json" } } },
    ],
    ["empty values below the depth", twice('{"a":1}', '{"a":[]}', '{"a":{}}'), { ...PLAIN, nesting: 0 }],
    ["a depth that ends", twice('{"a":{"b":{"c":1}},"l":[{"m":[1]}]}'), { ...PLAIN, nesting: 1 }],
    ["the root's id in nested rows", twice('{"id":1,"a":[{"b":[1,2]}]}'), { ...PLAIN, disposition: "merge" }],
  ])("%s", (_claim, lines, declared = PLAIN) => {
    same(lines, declared);
  });
});
