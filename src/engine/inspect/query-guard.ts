/**
 * Says whether one statement may run on the read-only connection, from the tree of DuckDB's own parser
 * (`json_serialize_sql`, which knows SELECT only). Pure: text and tree in, a reason out.
 *
 * This is one of four layers. The others are the statement count, the prepared statement's type, and the
 * lock-down of the connection (read-only file, no file system, no extensions, configuration locked).
 * What the lock-down does not stop, and therefore this does: settings and host paths that system views
 * and table functions show, SQL hidden in strings, and functions with side effects.
 */

/** Functions in `from` that compute or describe the data. Everything else there is refused. */
const TABLE_FUNCTIONS_ALLOWED: ReadonlySet<string> = new Set([
  "duckdb_columns",
  "duckdb_constraints",
  "duckdb_functions",
  "duckdb_indexes",
  "duckdb_keywords",
  "duckdb_schemas",
  "duckdb_sequences",
  "duckdb_tables",
  "duckdb_types",
  "duckdb_views",
  "generate_series",
  "generate_subscripts",
  "histogram",
  "histogram_values",
  "json_each",
  "json_tree",
  "pragma_show",
  "pragma_table_info",
  "range",
  "regexp_split_to_table",
  "repeat",
  "repeat_row",
  "summary",
  "unnest",
]);

/** Scalar functions that read the environment, have side effects, stall, or raise text of their own. */
const SCALAR_FUNCTIONS_REFUSED: ReadonlySet<string> = new Set([
  "add_parquet_key",
  "current_setting",
  "currval",
  "error",
  "getenv",
  "getvariable",
  "inet_client_addr",
  "inet_client_port",
  "inet_server_addr",
  "inet_server_port",
  "json_deserialize_sql",
  "json_execute_serialized_sql",
  "json_serialize_plan",
  "nextval",
  "pg_sleep",
  "query",
  "query_table",
  "set_config",
  "setseed",
  "sleep_ms",
  "which_secret",
  "write_log",
]);

/** Names of readers and of functions about the host, whatever extension brings them. */
const FUNCTION_PATTERN_REFUSED =
  /^(read_|write_|copy_|pragma_|duckdb_|http|s3_|glob$|sniff_|load_|install_|attach|from_substrait|.*_scan$|.*_query$|.*_execute$)/;

/** System views that show settings, host paths or other people's statements. */
const VIEWS_REFUSED: ReadonlySet<string> = new Set([
  "duckdb_databases",
  "duckdb_external_file_cache",
  "duckdb_extensions",
  "duckdb_logs",
  "duckdb_prepared_statements",
  "duckdb_secrets",
  "duckdb_settings",
  "duckdb_temporary_files",
  "duckdb_variables",
  "pg_prepared_statements",
  "pg_settings",
  "pragma_database_list",
]);

/** DuckDB would read a table name like these as a file. */
const FILE_LIKE = /[\\/*]|:|\.(csv|tsv|txt|json|jsonl|ndjson|parquet|db|ddb|duckdb|arrow|xlsx|avro|gz|zst)$/i;

const SHOW_REFUSED: ReadonlySet<string> = new Set(["databases", "variables", "secrets", "settings"]);

type JsonObject = { readonly [key: string]: unknown };

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nameOf(value: unknown): string {
  return typeof value === "string" ? value.toLowerCase() : "";
}

/** Longest statement that is looked at, in characters. */
export const SQL_CHARS_MAX = 100_000;

/** What the text alone shows: a NUL ends a C string, so that two parsers could see two statements. */
export function refusalOfText(sql: string): string | undefined {
  if (sql.length > SQL_CHARS_MAX) return `the statement is longer than ${SQL_CHARS_MAX} characters`;
  if (sql.includes("\0")) return "the statement holds a NUL character";
  return undefined;
}

/**
 * Splits `explain` or `explain analyze` off a statement, because the parser's JSON knows SELECT only.
 * The caller runs exactly prefix + body, so that nothing unseen is between them.
 */
export function splitExplain(sql: string): { prefix: "" | "explain " | "explain analyze "; body: string } {
  const match = /^(?:\s|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*explain(\s+analyze)?\s+/i.exec(sql);
  if (!match) return { prefix: "", body: sql };
  return { prefix: match[1] ? "explain analyze " : "explain ", body: sql.slice(match[0].length) };
}

/** Why this parsed statement is refused, or undefined. The tree is the answer of `json_serialize_sql`. */
export function refusalOfTree(tree: unknown): string | undefined {
  const open: unknown[] = [tree];
  while (open.length > 0) {
    const node = open.pop();
    if (Array.isArray(node)) {
      open.push(...node);
    } else if (isObject(node)) {
      const refusal = refusalOfNode(node);
      if (refusal !== undefined) return refusal;
      for (const child of Object.values(node)) if (typeof child === "object") open.push(child);
    }
  }
  return undefined;
}

function refusalOfNode(node: JsonObject): string | undefined {
  if (node.type === "TABLE_FUNCTION") {
    const name = isObject(node.function) ? nameOf(node.function.function_name) : "";
    if (!TABLE_FUNCTIONS_ALLOWED.has(name)) return `the table function ${quoted(name)} is not allowed`;
    return undefined;
  }
  if (node.type === "BASE_TABLE") {
    const name = nameOf(node.table_name);
    if (VIEWS_REFUSED.has(name)) return `the system view ${quoted(name)} is not allowed`;
    if (node.schema_name === "" && FILE_LIKE.test(name)) return `${quoted(name)} would be read as a file`;
    return undefined;
  }
  if (node.type === "SHOW_REF") {
    const name = nameOf(node.table_name).replaceAll('"', "");
    return SHOW_REFUSED.has(name) ? `SHOW ${name} is not allowed` : undefined;
  }
  if (typeof node.function_name === "string") {
    const name = nameOf(node.function_name);
    // A table function that is allowed comes by here once more as the child of its TABLE_FUNCTION.
    if (TABLE_FUNCTIONS_ALLOWED.has(name)) return undefined;
    if (SCALAR_FUNCTIONS_REFUSED.has(name) || FUNCTION_PATTERN_REFUSED.test(name)) {
      return `the function ${quoted(name)} is not allowed`;
    }
  }
  return undefined;
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
