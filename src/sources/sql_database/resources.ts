/** Tables of a database as resources of the engine, and as the built-in source that a pipeline names. */

import { EngineError } from "../../engine/errors.ts";
import { ColumnsPage, JsonlPage } from "../../engine/extract/page.ts";
import type { SourceContext } from "../../engine/extract/resource.ts";
import { type DeclaredColumns, type Resource, resource, Source } from "../../engine/extract/resource.ts";
import type { ResourceContext, RunScope } from "../../engine/extract/resource-context.ts";
import type { BuiltInSource } from "../registry.ts";
import { openDatabase } from "./address.ts";
import { type ChosenTable, chooseColumns, chooseTables, keyNames } from "./choose.ts";
import { parseSqlDatabaseConfig, type SqlDatabaseConfig, sqlDatabaseConfigSchema } from "./config.ts";
import { cursorOf, rangeOf } from "./cursor.ts";
import type { SourceColumn, SqlDatabase, SqlRun } from "./types.ts";

export const sqlDatabaseSource: BuiltInSource = {
  configSchema: sqlDatabaseConfigSchema,
  create: async (args) => new Source({ name: "sql_database", resources: await sqlDatabaseResources(args) }),
};

/**
 * The tables of a database as resources; for a source of one's own:
 *
 *     source({ name: "shop" }, (context) => sqlDatabaseResources(context))
 *
 * The database is asked for its tables at once. Secrets: `credentials`, a URL, or only its password as
 * `credentials.password`. Errors: CONFIG_*, SOURCE_*.
 */
export async function sqlDatabaseResources(context: SourceContext): Promise<Resource[]> {
  const config = parseSqlDatabaseConfig(context.config);
  const database = openDatabase(config, context);
  const tables = chooseTables(config, await database.reflect(), database.displayName);
  const runs = new Runs(database);
  return tables.map((chosen) => tableResource(chosen, config, runs));
}

function tableResource(chosen: ChosenTable, config: SqlDatabaseConfig, runs: Runs): Resource {
  const { name, table, settings } = chosen;
  const columns = chooseColumns(chosen);
  const { incremental: cursorSettings } = settings;
  const names = columns.map((column) => column.name);
  const declaredKey = keyNames(settings.primary_key);
  const reflectedKey = table.primaryKey.every((column) => names.includes(column)) ? table.primaryKey : [];
  const key = declaredKey.length > 0 ? declaredKey : reflectedKey;
  const disposition =
    settings.write_disposition ??
    config.write_disposition ??
    (cursorSettings === undefined ? "replace" : key.length > 0 || settings.merge_key ? "merge" : "append");
  const merges = disposition === "merge";
  const cursorColumn = columns.find((column) => column.name === cursorSettings?.cursor);
  const incremental =
    cursorSettings === undefined || cursorColumn === undefined
      ? undefined
      : // a row that was changed without its cursor moving is another row, unless it would be appended again
        cursorOf(cursorSettings, cursorColumn, name, merges || key.length === 0 ? names : key);
  const description = settings.description ?? table.description;
  return resource(
    {
      name,
      tableName: settings.table_name,
      description,
      writeDisposition: disposition,
      columns: declared(columns),
      ...(merges && key.length > 0 ? { primaryKey: key } : {}),
      ...(settings.merge_key === undefined ? {} : { mergeKey: settings.merge_key }),
      ...(incremental === undefined ? {} : { incremental }),
    },
    async function* (context: ResourceContext) {
      const run = await runs.of(context);
      const request = {
        table,
        columns,
        ...(cursorSettings === undefined || cursorColumn === undefined
          ? {}
          : { range: rangeOf(cursorSettings, cursorColumn, context.cursor) }),
      };
      const raises = (cursorSettings?.on_cursor_value_missing ?? "raise") === "raise";
      if (cursorColumn?.nullable && raises && (await run.hasNull(table, cursorColumn))) {
        throw new EngineError(
          "CURSOR_MISSING",
          `Table ${table.name} has rows without a value in its cursor ${cursorColumn.name}.`,
          {
            hint: 'Set on_cursor_value_missing to "exclude" or "include", or choose another column.',
            details: { table: table.name, cursor: cursorColumn.name },
          },
        );
      }
      for await (const page of run.read(request, context)) {
        yield page instanceof ColumnsPage
          ? page
          : new JsonlPage(page, { sorted: request.range !== undefined });
      }
    },
  );
}

/** A description and a type for each column; keys alone are never null, so that a column may go away. */
function declared(columns: readonly SourceColumn[]): DeclaredColumns {
  return Object.fromEntries(columns.map(({ name, hints }) => [name, hints]));
}

/** One connection, or one snapshot, for all resources of a run. */
class Runs {
  private readonly database: SqlDatabase;
  private readonly open = new WeakMap<RunScope, Promise<SqlRun>>();

  constructor(database: SqlDatabase) {
    this.database = database;
  }

  of({ run, log }: ResourceContext): Promise<SqlRun> {
    let opened = this.open.get(run);
    if (opened === undefined) {
      opened = this.database.openRun(log);
      this.open.set(run, opened);
      const opening = opened;
      run.atEnd(async () => (await opening).close());
    }
    return opened;
  }
}
