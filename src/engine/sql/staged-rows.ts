/** The rows of a merge by delete and insert, staged as they are and copied into their tables from there. */

import type { Table } from "../schema/types.ts";
import { qualified, quoteAll } from "./dialect.ts";
import { dropDuplicates, rootKeyOf, rowKeyOf, sqlStep } from "./merge.ts";
import type { StagedMerge, StagedSteps } from "./staged-merge.ts";
import { stagingSteps } from "./staging.ts";
import type { Step } from "./statement.ts";

export function stageRows({
  dialect,
  dataset,
  filled,
  primaryKey,
  deduplicates,
  marked,
}: StagedMerge): StagedSteps {
  const [root] = filled;
  const staged = (table: Table): string => qualified(dialect, { ...dialect.temporary, table: table.name });
  const stagedRoot = staged(root.table);
  const numbered = (member: (typeof filled)[number]): boolean => deduplicates && member === root;
  const insert: Step[] = [];
  if (deduplicates) {
    const sql = dropDuplicates(dialect, stagedRoot, root.table, primaryKey);
    insert.push(sqlStep(root.table, sql, "deduplicated"));
  }
  if (marked !== undefined) insert.push(sqlStep(root.table, `delete from ${stagedRoot} where ${marked}`));
  for (const { table, columns } of filled) {
    const names = quoteAll(
      dialect,
      columns.map((column) => column.name),
    );
    const into = qualified(dialect, { ...dataset, table: table.name });
    let sql = `insert into ${into} (${names}) select ${names} from ${staged(table)}`;
    if (table !== root.table && (deduplicates || marked !== undefined)) {
      const key = dialect.quote(rootKeyOf(table, root.table));
      sql += ` where ${key} in (select ${dialect.quote(rowKeyOf(root.table))} from ${stagedRoot})`;
    }
    insert.push(sqlStep(table, sql, "inserted"));
  }
  for (const { table } of filled) insert.push(sqlStep(table, `drop table ${staged(table)}`));
  return {
    stage: stagingSteps(
      dialect,
      filled.map((member) => ({ ...member, numbered: numbered(member) })),
    ),
    insert,
  };
}
