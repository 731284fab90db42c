/** What is loaded: the data set, DuckDB's own SQL for the same tables, and the columns that must agree. */

import type { DataSet } from "./data.ts";

type Compared = "integer" | "double" | "text" | "bool" | "time" | "date";

export interface ComparedTable {
  /** The table's name as loadwright and dlt make it. */
  readonly name: string;
  readonly columns: Readonly<Record<string, Compared>>;
}

export interface Case {
  readonly name: string;
  readonly data: DataSet;
  /** Resource, and so root table. */
  readonly table: string;
  readonly nativeSql: (path: string) => readonly string[];
  readonly compared: readonly ComparedTable[];
}

const FLAT: ComparedTable["columns"] = {
  id: "integer",
  account: "integer",
  quantity: "integer",
  big: "integer",
  price: "double",
  rate: "double",
  created_at: "time",
  active: "bool",
  code: "text",
  note: "text",
};

export const CASES: readonly Case[] = [
  {
    name: "flat",
    data: "flat",
    table: "events",
    nativeSql: (path) => [
      `create table events as select * from read_json('${path}', format = 'newline_delimited')`,
    ],
    compared: [{ name: "events", columns: FLAT }],
  },
  {
    // The JSON is read twice: one parse into a table of structs that is taken apart later takes 1.5 times as long.
    name: "nested",
    data: "nested",
    table: "issues",
    nativeSql: (path) => [
      `create table issues as
select
  * exclude (user, labels),
  user.login as user__login,
  user.id as user__id,
  user.node_id as user__node_id,
  user.avatar_url as user__avatar_url,
  user.url as user__url,
  user.type as user__type,
  user.site_admin as user__site_admin
from read_json('${path}', format = 'newline_delimited')`,
      `create table issues__labels as
select id as issue_id, unnest(range(len(labels))) as _dlt_list_idx, unnest(labels, max_depth := 2)
from (
  select id as issue_id, labels
  from read_json('${path}', format = 'newline_delimited')
) as issues(id, labels)`,
    ],
    compared: [
      {
        name: "issues",
        columns: {
          id: "integer",
          node_id: "text",
          number: "integer",
          title: "text",
          url: "text",
          state: "text",
          locked: "bool",
          comments: "integer",
          created_at: "time",
          updated_at: "time",
          closed_at: "time",
          author_association: "text",
          body: "text",
          score: "double",
          milestone: "integer",
          user__login: "text",
          user__id: "integer",
          user__node_id: "text",
          user__avatar_url: "text",
          user__url: "text",
          user__type: "text",
          user__site_admin: "bool",
        },
      },
      {
        name: "issues__labels",
        columns: {
          _dlt_list_idx: "integer",
          id: "integer",
          node_id: "text",
          url: "text",
          name: "text",
          color: "text",
          default: "bool",
        },
      },
    ],
  },
  {
    name: "csv",
    data: "csv",
    table: "events",
    nativeSql: (path) => [`create table events as select * from read_csv('${path}')`],
    compared: [{ name: "events", columns: { ...FLAT, city: "text", day: "date" } }],
  },
];

const CANONICAL: Readonly<Record<Compared, string>> = {
  integer: "{}::bigint",
  double: "{}::double",
  text: "{}::varchar",
  bool: "{}::boolean",
  time: "epoch_us({}::timestamptz)",
  date: "{}::date",
};

/** One row: the number of rows, then per column a sum that does not depend on the order of the rows. */
export function checksumSql(table: ComparedTable, schema: string): string {
  const sums = Object.entries(table.columns).map(
    ([name, kind]) =>
      `sum(hash(${CANONICAL[kind].replace("{}", `"${name}"`)})::hugeint)::varchar as "${name}"`,
  );
  return `select count(*)::varchar as "rows", ${sums.join(", ")} from "${schema}"."${table.name}"`;
}
