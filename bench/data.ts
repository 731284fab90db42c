/** The files that are loaded: made once by a seeded generator, so that every machine loads the same bytes. */

import { once } from "node:events";
import { createWriteStream, existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { eventRow } from "./rows.ts";

export const DATA_DIR = join(import.meta.dirname, "data");

/** `changes` has the rows of `flat` from the middle on and as many again, all with other values. */
export type DataSet = "flat" | "changes" | "nested" | "csv" | "rows";
/** `tsv` is what Postgres's COPY reads fastest. */
export type Format = "jsonl" | "tsv" | "csv";

type Literals = Readonly<Record<string, string>>;

/** The path of a data set with so many rows; makes the file if it is not there. */
export async function dataFile(set: DataSet, rows: number, format: Format): Promise<string> {
  const folder = join(DATA_DIR, `${set}-${rows}-${format}`);
  const path = join(folder, `${set}.${format}`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const file = createWriteStream(`${path}.part`, { highWaterMark: 4 << 20 });
  let lines: string[] = [];
  for (const line of linesOf(set, rows, format)) {
    lines.push(line);
    if (lines.length < 2000) continue;
    if (!file.write(lines.join(""))) await once(file, "drain");
    lines = [];
  }
  file.end(lines.join(""));
  await once(file, "finish");
  renameSync(`${path}.part`, path);
  return path;
}

function* linesOf(set: DataSet, rows: number, format: Format): Generator<string> {
  const random = new Random(set === "changes" ? 43 : 42);
  const write = format === "tsv" ? tsvLine : jsonLine;
  if (set === "csv") yield `${CSV_HEADER}\n`;
  for (let i = 0; i < rows; i++) {
    switch (set) {
      case "flat":
        yield write(flatRow(i, random));
        break;
      case "changes":
        yield write(flatRow(i + (rows >> 1), random));
        break;
      case "rows":
        yield write(literalsOf(eventRow(i)));
        break;
      case "nested":
        yield nestedLine(i, random);
        break;
      case "csv":
        yield csvLine(i, random);
        break;
    }
  }
}

function literalsOf(row: object): Literals {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, JSON.stringify(value)]));
}

function jsonLine(row: Literals): string {
  const members = Object.entries(row).map(([name, literal]) => `"${name}":${literal}`);
  return `{${members.join(",")}}\n`;
}

/** No text of ours has a character that COPY would escape. */
function tsvLine(row: Literals): string {
  const cells = Object.values(row).map((literal) => {
    if (literal === "null") return "\\N";
    return literal.startsWith('"') ? literal.slice(1, -1) : literal;
  });
  return `${cells.join("\t")}\n`;
}

/** xorshift32: small, and the same everywhere. */
class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  below(limit: number): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return Math.floor(((x >>> 0) / 4294967296) * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  text(length: number): string {
    let text = "";
    while (text.length < length) text += `${this.pick(WORDS)} `;
    return text.slice(0, length - 1) + "x";
  }

  id(length: number): string {
    let text = "";
    while (text.length < length) text += this.below(2 ** 31).toString(36);
    return text.slice(0, length);
  }

  time(): string {
    return new Date(1.6e12 + this.below(1.5e8) * 1000).toISOString();
  }
}

const WORDS =
  "load extract normalize schema table column row cursor state package trace merge append replace key größe naïve naming stage commit".split(
    " ",
  );

/** 10 keys, about 250 bytes as JSON. */
function flatRow(i: number, random: Random): Literals {
  const note = random.below(10) === 0 ? "null" : `"${random.text(60 + random.below(20))}"`;
  return {
    id: String(i),
    account: String(random.below(100_000)),
    quantity: String(random.below(1000)),
    big: String(1_000_000_000_000 + random.below(2 ** 31) * 1000),
    price: (random.below(10_000_000) / 100).toFixed(2),
    rate: (random.below(1_000_000) / 1e6).toFixed(6),
    created_at: `"${random.time()}"`,
    active: String(random.below(2) === 0),
    code: `"${random.id(8 + random.below(5))}"`,
    note,
  };
}

/** An issue as GitHub's API tells it: 22 columns and a list of 0-5 labels, about 740 bytes. */
function nestedLine(i: number, random: Random): string {
  const user = random.below(50_000);
  const login = `user-${user.toString(36)}`;
  const labels = Array.from({ length: random.below(6) }, () => {
    const label = random.below(200);
    return (
      `{"id":${9000 + label},"node_id":"LA_${label}k","url":"https://api.example.org/labels/${label}",` +
      `"name":"label ${label}","color":"${(label * 65_536).toString(16).padStart(6, "0").slice(0, 6)}",` +
      `"default":${label < 9}}`
    );
  });
  const closed = random.below(3) === 0;
  return (
    `{"id":${500_000_000 + i},"node_id":"I_${random.id(12)}","number":${i % 40_000},` +
    `"title":"${random.text(20 + random.below(40))}","url":"https://api.example.org/issues/${i}",` +
    `"state":"${closed ? "closed" : "open"}","locked":${random.below(50) === 0},"comments":${random.below(40)},` +
    `"created_at":"${random.time()}","updated_at":"${random.time()}",` +
    `"closed_at":${closed ? `"${random.time()}"` : "null"},` +
    `"author_association":"${random.pick(["NONE", "MEMBER", "CONTRIBUTOR"])}",` +
    `"body":"${random.text(60)}\\n${random.text(40)}","score":${(random.below(1000) / 1000).toFixed(3)},` +
    `"milestone":${random.below(4)},` +
    `"user":{"login":"${login}","id":${user},"node_id":"U_${user.toString(36)}",` +
    `"avatar_url":"https://avatars.example.org/u/${user}","url":"https://api.example.org/users/${login}",` +
    `"type":"User","site_admin":${user % 1000 === 0}},"labels":[${labels.join(",")}]}\n`
  );
}

const CSV_HEADER = "id,account,quantity,big,price,rate,created_at,active,code,note,city,day";

/** 12 columns, about 150 bytes. */
function csvLine(i: number, random: Random): string {
  const note = random.below(20) === 0 ? `"${random.text(12)}, ""${random.text(12)}"""` : random.text(30);
  return (
    `${i},${random.below(100_000)},${random.below(1000)},${1_000_000_000_000 + random.below(2 ** 31) * 1000},` +
    `${(random.below(10_000_000) / 100).toFixed(2)},${(random.below(1_000_000) / 1e6).toFixed(6)},` +
    `${random.time()},${random.below(2) === 0},${random.id(8 + random.below(5))},${note},` +
    `${random.pick(["Paris", "São Paulo", "Oslo", "Nairobi"])},${random.time().slice(0, 10)}\n`
  );
}
