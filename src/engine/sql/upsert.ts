/**
 * Merge by primary key, from staging tables that have the names of the tables they stand for. Upsert:
 *
 *     create temp table orders, orders__items; load them
 *     delete from staging all but one document per key          (dedup_sort, else the last that arrived)
 *     delete from the dataset the nested rows of all orders that come, and orders marked as deleted
 *     update the orders that are there, insert the others, insert the nested rows; drop the staging tables
 *
 * Rows are updated in place, so that columns which somebody else added keep their values. Insert-only leaves
 * out the updating and deleting, and of two documents with one key takes the first, as two loads would.
 *
 * Row ids are made of the key, so the nested rows of two documents with one key cannot be told apart by ids:
 * they carry the number of their document (see DOCUMENT), which exists in job files and staging only.
 */

import { EngineError } from "../errors.ts";
import { completeColumnsWith, completeColumnWith, DOCUMENT } from "../schema/tables.ts";
import type { Table } from "../schema/types.ts";
import { type Dialect, qualified, quoteAll } from "./dialect.ts";
import {
  goneTable,
  hardDeleteCondition,
  type MergeInput,
  type MergeTable,
  rootKeyOf,
  rowKeyOf,
} from "./merge.ts";
import { stagingSteps } from "./staging.ts";
import type { Count, Step } from "./statement.ts";

export function upsertSteps(input: MergeInput): Step[] {
  const merge = new KeyMerge(input);
  merge.stage("last");
  merge.deleteNestedBefore();
  merge.deleteMarked();
  merge.dropMarked();
  merge.dropOrphans();
  merge.updateRoot();
  merge.insertRoot();
  merge.insertNested();
  merge.dropStaging();
  return merge.steps;
}

export function insertOnlySteps(input: MergeInput): Step[] {
  const merge = new KeyMerge(input);
  merge.stage("first");
  merge.dropMarked();
  merge.dropOrphans();
  merge.insertRoot();
  merge.insertNewNested();
  merge.dropStaging();
  return merge.steps;
}

class KeyMerge {
  readonly steps: Step[] = [];
  private readonly dialect: Dialect;
  private readonly input: MergeInput;
  private readonly root: MergeTable;
  /** Nested tables with rows in this package. */
  private readonly nested: readonly MergeTable[];
  private readonly key: readonly string[];
  private readonly marked: string | undefined;

  constructor(input: MergeInput) {
    const [root, ...nested] = input.chain;
    this.input = input;
    this.dialect = input.dialect;
    this.root = root;
    this.nested = nested.filter(({ files }) => files.length > 0);
    this.key = completeColumnsWith(root.table, "primary_key");
    if (this.key.length === 0) throw withoutPrimaryKey(root.table);
    this.marked = hardDeleteCondition(this.dialect, root.table);
  }

  /** Fills the staging tables and leaves one document per key. */
  stage(winner: "first" | "last"): void {
    const { dialect, root } = this;
    const document = {
      name: DOCUMENT,
      kind: "int64",
      sqlType: dialect.sqlType({ name: DOCUMENT, data_type: "bigint" }),
    } as const;
    const staging = [root, ...this.nested].map(({ table, columns, files }) => ({
      table,
      columns: [...columns, document],
      files,
      numbered: false,
    }));
    this.steps.push(...stagingSteps(dialect, staging));
    const number = this.quote(DOCUMENT);
    const sortColumn = completeColumnWith(root.table, "dedup_sort");
    const direction = root.table.columns.get(sortColumn ?? "")?.dedup_sort === "asc" ? "asc" : "desc";
    const sort = sortColumn === undefined ? "" : `${this.quote(sortColumn)} ${direction} nulls last, `;
    const arrival = winner === "last" ? "desc" : "asc";
    this.run(
      root.table,
      `delete from ${this.staged(root.table)} where ${number} in (
  select ${number} from (
    select ${number}, row_number() over (partition by ${quoteAll(dialect, this.key)} order by ${sort}${number} ${arrival}) as place
    from ${this.staged(root.table)}
  ) as ranked where place > 1
)`,
      "deduplicated",
    );
  }

  /** Row ids are read from the dataset: a row that was appended there before has an id of another kind. */
  deleteNestedBefore(): void {
    const { dialect, root } = this;
    const nestedBefore = this.input.chain.slice(1).filter(({ existed }) => existed);
    if (!root.existed || nestedBefore.length === 0) return;
    const gone = qualified(dialect, { ...dialect.temporary, table: goneTable(dialect, root.table.name) });
    const ids = `select d.${this.quote(rowKeyOf(root.table))} as id from ${this.inDataset(root.table)} as d where ${this.isStaged()}`;
    this.run(root.table, `create temp table ${gone}${dialect.temporarySuffix} as ${ids}`);
    const analyze = dialect.analyze(gone);
    if (analyze !== undefined) this.run(root.table, analyze);
    for (const { table } of [...nestedBefore].reverse()) {
      const key = this.quote(rootKeyOf(table, root.table));
      this.run(
        table,
        `delete from ${this.inDataset(table)} where ${key} in (select id from ${gone})`,
        "deleted",
      );
    }
    this.run(root.table, `drop table ${gone}`);
  }

  deleteMarked(): void {
    const { root } = this;
    if (!root.existed || this.marked === undefined) return;
    const matches = `exists (select 1 from ${this.staged(root.table)} as s where ${this.sameKey()} and ${this.marked})`;
    this.run(root.table, `delete from ${this.inDataset(root.table)} as d where ${matches}`, "deleted");
  }

  /** A row that arrives marked as deleted is not inserted, nor compared any more. */
  dropMarked(): void {
    if (this.marked === undefined) return;
    this.run(this.root.table, `delete from ${this.staged(this.root.table)} where ${this.marked}`);
  }

  /** Nested rows of documents that were duplicates or marked. */
  dropOrphans(): void {
    const number = this.quote(DOCUMENT);
    for (const { table } of this.nested) {
      this.run(
        table,
        `delete from ${this.staged(table)} where ${number} not in (select ${number} from ${this.staged(this.root.table)})`,
      );
    }
  }

  updateRoot(): void {
    const { root } = this;
    if (!root.existed) return;
    const values = root.columns
      .filter(({ name }) => !this.key.includes(name))
      .map(({ name }) => `${this.quote(name)} = s.${this.quote(name)}`)
      .join(", ");
    this.run(
      root.table,
      `update ${this.inDataset(root.table)} as d set ${values} from ${this.staged(root.table)} as s where ${this.sameKey()}`,
      "deleted",
    );
  }

  insertRoot(): void {
    const { root } = this;
    const isNew = `not exists (select 1 from ${this.inDataset(root.table)} as d where ${this.sameKey()})`;
    this.insert(root, root.existed ? isNew : undefined);
  }

  insertNested(): void {
    for (const member of this.nested) this.insert(member, undefined);
  }

  /** Nested rows that are not there, below roots whose ids are those of their keys. */
  insertNewNested(): void {
    const { root } = this;
    const rootIds = `select ${this.quote(rowKeyOf(root.table))} from ${this.inDataset(root.table)}`;
    for (const member of this.nested) {
      const { table, existed } = member;
      const conditions = [`s.${this.quote(rootKeyOf(table, root.table))} in (${rootIds})`];
      if (existed) {
        const id = this.quote(rowKeyOf(table));
        conditions.push(`not exists (select 1 from ${this.inDataset(table)} as d where d.${id} = s.${id})`);
      }
      this.insert(member, conditions.join(" and "));
    }
  }

  dropStaging(): void {
    for (const { table } of [this.root, ...this.nested]) this.run(table, `drop table ${this.staged(table)}`);
  }

  private insert({ table, columns }: MergeTable, condition: string | undefined): void {
    const names = columns.map((column) => column.name);
    const where = condition === undefined ? "" : ` where ${condition}`;
    const values = names.map((name) => `s.${this.quote(name)}`).join(", ");
    this.run(
      table,
      `insert into ${this.inDataset(table)} (${quoteAll(this.dialect, names)}) select ${values} from ${this.staged(table)} as s${where}`,
      "inserted",
    );
  }

  private isStaged(): string {
    return `exists (select 1 from ${this.staged(this.root.table)} as s where ${this.sameKey()})`;
  }

  private sameKey(): string {
    return this.key.map((column) => `s.${this.quote(column)} = d.${this.quote(column)}`).join(" and ");
  }

  private run(table: Table, sql: string, counts?: Count): void {
    this.steps.push({ kind: "sql", table: table.name, sql, ...(counts ? { counts } : {}) });
  }

  private quote(name: string): string {
    return this.dialect.quote(name);
  }

  private inDataset(table: Table): string {
    return qualified(this.dialect, { ...this.input.dataset, table: table.name });
  }

  private staged(table: Table): string {
    return qualified(this.dialect, { ...this.dialect.temporary, table: table.name });
  }
}

function withoutPrimaryKey(table: Table): EngineError {
  const strategy = table["x-merge-strategy"];
  return new EngineError(
    "MERGE_WITHOUT_KEY",
    `Table ${table.name} is to be merged with strategy ${String(strategy)}, but has no primary key.`,
    {
      hint: "Give the resource a primaryKey, or use another merge strategy.",
      details: { table: table.name, strategy },
    },
  );
}
