/**
 * How fast rows are normalized: extracted lines to column blocks on disk, on one thread.
 *
 *     node bench/micro/normalize.ts [flat|nested] [rows] [times]
 */

import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DEFAULT_LIMITS, defaultContext } from "../../src/engine/context.ts";
import { PackageNormalizer } from "../../src/engine/normalize/normalize-package.ts";
import { namingByName } from "../../src/engine/schema/naming.ts";
import { newSchema } from "../../src/engine/schema/version.ts";
import { DATA_DIR, type DataSet, dataFile } from "../data.ts";

const [set = "flat", rows = "200000", times = "5"] = process.argv.slice(2);
const file = await dataFile(set as DataSet, Number(rows), "jsonl");
const temporary = mkdtempSync(join(DATA_DIR, "run-"));
try {
  for (let time = 0; time < Number(times); time++) {
    const schema = newSchema("bench");
    schema.tables.set("items", { name: "items", columns: new Map(), resource: "items" });
    const started = performance.now();
    const cpu = process.cpuUsage();
    const to = join(temporary, String(time));
    mkdirSync(to);
    const normalizer = new PackageNormalizer(
      {
        loadId: "1795343522.4872656",
        schema,
        naming: namingByName("snake_case", 65536, { breakPath: true }),
        to,
        jobFormat: "parquet",
        sync: false,
      },
      defaultContext({ limits: DEFAULT_LIMITS }),
    );
    const job = { file: basename(file), table: "items", rows: Number(rows), bytes: statSync(file).size };
    await normalizer.add(job, dirname(file));
    const result = await normalizer.finish();
    const used = process.cpuUsage(cpu);
    const milliseconds = performance.now() - started;
    const normalized = Object.values(result.rows).reduce((sum, each) => sum + each, 0);
    console.log(
      `${set}: ${Math.round(milliseconds)} ms, user ${Math.round(used.user / 1000)} ms, ` +
        `system ${Math.round(used.system / 1000)} ms, ${normalized} table rows, ${result.slowRows} slow`,
    );
  }
} finally {
  rmSync(temporary, { recursive: true });
}
