/** A pipeline over a vendor's stand-in into a DuckDB file of its own, and what the tables hold afterwards. */

import { readFileSync } from "node:fs";
import type { Limits, Resource, RunReport } from "../../../src/engine/index.ts";
import { Source } from "../../../src/engine/index.ts";
import { Shop } from "../shop.ts";

export class VendorPipeline {
  readonly shop: Shop;
  private readonly name: string;

  constructor(name: string, limits: Partial<Limits> = {}) {
    this.name = name;
    this.shop = new Shop({ limits });
  }

  /** One run of the named resources, or of all. */
  run(resources: readonly Resource[], names?: readonly string[], signal?: AbortSignal): Promise<RunReport> {
    const source = new Source({ name: this.name, resources });
    return this.shop
      .pipeline()
      .run(source, { ...(names ? { resources: names } : {}), ...(signal ? { signal } : {}) });
  }

  /** Like `run`, and must succeed. */
  async load(resources: readonly Resource[], names?: readonly string[]): Promise<RunReport> {
    const report = await this.run(resources, names);
    if (report.status === "succeeded") return report;
    throw new Error(`${report.error?.code}: ${report.error?.message} ${report.error?.hint}`);
  }

  /** Rows of a query as text, `shop.` in front of tables. */
  async rows(sql: string): Promise<(string | null)[][]> {
    const rows = await this.shop.query(sql);
    return rows.map((row) => row.map((cell) => (cell === null ? null : String(cell))));
  }

  remove(): void {
    this.shop.remove();
  }
}

/** What each SQL example of a source's page answers, asked of this pipeline's tables. */
export async function documentedQueries(
  source: string,
  dataset: string,
  pipeline: VendorPipeline,
): Promise<(string | null)[][][]> {
  const page = readFileSync(new URL(`../../../docs/${source}.md`, import.meta.url), "utf8");
  const answers: (string | null)[][][] = [];
  for (const [, sql] of page.matchAll(/```sql\n([\s\S]*?)```/g)) {
    answers.push(await pipeline.rows(sql!.replaceAll(`${dataset}.`, "shop.")));
  }
  return answers;
}
