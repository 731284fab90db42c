/**
 * Says whether one statement may run on Postgres, from the tree of Postgres's own parser (libpg_query). Pure:
 * tree in, a reason or the functions to look up out.
 *
 * What is allowed is listed, node by node: a SELECT, VALUES or WITH without DML and without locks, or EXPLAIN of
 * one. Tables are those of the datasets, and those of information_schema and pg_catalog that tell of tables:
 * the same database often holds what is nobody's business here (auth.users, vault.decrypted_secrets,
 * pg_authid). Functions are decided in two steps: a name that is refused whatever it does, here; then its
 * entries in pg_proc (`refusalOfFunctions`): all of them must be Postgres's own and immutable or stable, but
 * for a few that are harmless and useful. A function of a user or an extension may do anything inside, dblink
 * included, and its volatility is only what its author said; so none is allowed.
 *
 * The other layers: the extended protocol takes one statement only; the transaction is read-only; its settings
 * are fixed; the connection is its own and ends with the query.
 */

type JsonObject = { readonly [key: string]: unknown };

const NODES_ALLOWED: ReadonlySet<string> = new Set([
  "A_ArrayExpr",
  "A_Const",
  "A_Expr",
  "A_Indices",
  "A_Indirection",
  "A_Star",
  "BitString",
  "BoolExpr",
  "Boolean",
  "BooleanTest",
  "CaseExpr",
  "CaseWhen",
  "CoalesceExpr",
  "CollateClause",
  "ColumnDef",
  "ColumnRef",
  "CommonTableExpr",
  "DefElem",
  "ExplainStmt",
  "Float",
  "FuncCall",
  "GroupingFunc",
  "GroupingSet",
  "Integer",
  "JoinExpr",
  "JsonAggConstructor",
  "JsonArgument",
  "JsonArrayAgg",
  "JsonArrayConstructor",
  "JsonArrayQueryConstructor",
  "JsonBehavior",
  "JsonFormat",
  "JsonFuncExpr",
  "JsonIsPredicate",
  "JsonKeyValue",
  "JsonObjectAgg",
  "JsonObjectConstructor",
  "JsonOutput",
  "JsonParseExpr",
  "JsonReturning",
  "JsonScalarExpr",
  "JsonSerializeExpr",
  "JsonTable",
  "JsonTableColumn",
  "JsonTablePathSpec",
  "JsonValueExpr",
  "List",
  "MinMaxExpr",
  "NamedArgExpr",
  "NullTest",
  "ParamRef",
  "RangeFunction",
  "RangeSubselect",
  "RangeTableSample",
  "RangeVar",
  "ResTarget",
  "RowExpr",
  "SQLValueFunction",
  "SelectStmt",
  "SortBy",
  "String",
  "SubLink",
  "TypeCast",
  "TypeName",
  "WindowDef",
]);

/** Catalogue tables and views that describe tables; none shows cells, settings, logins or other statements. */
const CATALOGUE_ALLOWED: ReadonlySet<string> = new Set([
  "pg_attribute",
  "pg_class",
  "pg_constraint",
  "pg_description",
  "pg_enum",
  "pg_index",
  "pg_indexes",
  "pg_matviews",
  "pg_namespace",
  "pg_sequences",
  "pg_tables",
  "pg_type",
  "pg_views",
]);

/**
 * Of information_schema what describes tables. The rest shows passwords of foreign servers (user_mapping_options), the
 * source code of functions, roles and grants.
 */
const INFORMATION_ALLOWED: ReadonlySet<string> = new Set([
  "check_constraints",
  "column_column_usage",
  "columns",
  "constraint_column_usage",
  "constraint_table_usage",
  "domains",
  "element_types",
  "key_column_usage",
  "referential_constraints",
  "schemata",
  "sequences",
  "table_constraints",
  "tables",
  "view_column_usage",
  "view_table_usage",
  "views",
]);

/** pg_* functions administer the server, with these exceptions. */
const PG_FUNCTIONS_ALLOWED: ReadonlySet<string> = new Set([
  "pg_column_size",
  "pg_get_constraintdef",
  "pg_get_expr",
  "pg_get_indexdef",
  "pg_get_viewdef",
  "pg_indexes_size",
  "pg_input_is_valid",
  "pg_relation_size",
  "pg_size_bytes",
  "pg_size_pretty",
  "pg_table_size",
  "pg_total_relation_size",
  "pg_typeof",
]);

/** Volatile by the catalogue, yet without any effect. */
const VOLATILE_ALLOWED: ReadonlySet<string> = new Set([
  "clock_timestamp",
  "gen_random_uuid",
  "pg_indexes_size",
  "pg_relation_size",
  "pg_table_size",
  "pg_total_relation_size",
  "random",
  "timeofday",
]);

/**
 * Refused by name, whatever the catalogue of this server says of them: settings, addresses, large objects,
 * SQL in strings, transaction ids, sequences.
 */
const FUNCTIONS_REFUSED =
  /^(pg_(?!catalog$)|current_setting$|set_config$|inet_|lo_|lo(read|write|creat)|(query|cursor|table|schema|database)_to_xml|ts_stat$|ts_rewrite$|txid_|dblink|nextval$|setval$|currval$|lastval$|setseed$|binary_upgrade_|xpath_table$|crosstab|connectby|http(_|$))/;

const EXPLAIN_OPTIONS = new Set([
  "analyze",
  "buffers",
  "costs",
  "format",
  "generic_plan",
  "memory",
  "settings",
  "summary",
  "timing",
  "verbose",
  "wal",
]);

export interface FunctionName {
  readonly name: string;
  /** `t.name` may mean `name(t)`; as a column it is no function. */
  readonly attribute: boolean;
}

export interface Verdict {
  readonly refusal?: string;
  /** To be checked with `refusalOfFunctions`. */
  readonly functions: readonly FunctionName[];
}

/** `statements`: what the parser answered; the caller has seen that it is one. Names are as the parser folds them. */
export function judgePostgres(statement: unknown, datasets: readonly string[]): Verdict {
  const functions = new Map<string, FunctionName>();
  const root = isObject(statement) ? statement : {};
  const [kind] = Object.keys(root);
  if (kind !== "SelectStmt" && kind !== "ExplainStmt") return refuse(`it is ${articled(kind)}, not a SELECT`);
  if (kind === "ExplainStmt") {
    const inner = (root.ExplainStmt as JsonObject).query;
    const [explained] = isObject(inner) ? Object.keys(inner) : [];
    if (explained !== "SelectStmt") return refuse("EXPLAIN is allowed of a SELECT only");
  }
  const open: unknown[] = [root];
  while (open.length > 0) {
    const node = open.pop();
    if (Array.isArray(node)) {
      for (const each of node) if (typeof each === "object") open.push(each);
      continue;
    }
    if (!isObject(node)) continue;
    for (const [key, value] of Object.entries(node)) {
      if (key === "intoClause") return refuse("SELECT INTO makes a table");
      if (key === "lockingClause") return refuse("FOR UPDATE and FOR SHARE lock rows");
      if (/^[A-Z]/.test(key)) {
        if (!NODES_ALLOWED.has(key)) return refuse(`${key} is not allowed`);
        const refusal = refusalOfNode(key, value, datasets, functions);
        if (refusal !== undefined) return refuse(refusal);
      } else if (key === "typeName" || key === "relation") {
        const refusal = refusalOfNode(
          key === "typeName" ? "TypeName" : "RangeVar",
          value,
          datasets,
          functions,
        );
        if (refusal !== undefined) return refuse(refusal);
      }
      if (typeof value === "object") open.push(value);
    }
  }
  return { functions: [...functions.values()] };
}

function refuse(refusal: string): Verdict {
  return { refusal, functions: [] };
}

function refusalOfNode(
  key: string,
  value: unknown,
  datasets: readonly string[],
  functions: Map<string, FunctionName>,
): string | undefined {
  const node = isObject(value) ? value : {};
  switch (key) {
    case "FuncCall": {
      const names = stringsOf(node.funcname);
      const name = names.at(-1) ?? "";
      if (names.length > 1 && names[0] !== "pg_catalog")
        return `the function ${quoted(names)} is not allowed`;
      if (isRefusedByName(name)) return `the function ${quoted(names)} is not allowed`;
      functions.set(name, { name, attribute: false });
      return undefined;
    }
    case "ColumnRef":
    case "A_Indirection": {
      // t.f and (t).f mean f(t) where t has no column f
      const fields = stringsOf(key === "ColumnRef" ? node.fields : node.indirection);
      for (const name of key === "ColumnRef" ? fields.slice(1) : fields) {
        if (isRefusedByName(name))
          return `${quoted([name])} would be read as a function, which is not allowed`;
        if (!functions.has(name)) functions.set(name, { name, attribute: true });
      }
      return undefined;
    }
    case "RangeVar":
      return refusalOfTable(node, datasets);
    case "TypeName":
      return refusalOfSchema("type", stringsOf(node.names), datasets);
    case "A_Expr":
    case "SortBy":
    case "SubLink": {
      const operator = stringsOf(node.name ?? node.useOp ?? node.operName);
      return operator.length > 1 && operator[0] !== "pg_catalog"
        ? `the operator ${quoted(operator)} is not allowed`
        : undefined;
    }
    case "RangeTableSample": {
      const method = stringsOf(node.method).at(-1) ?? "";
      return ["system", "bernoulli"].includes(method)
        ? undefined
        : `the sampling method ${method} is not allowed`;
    }
    case "DefElem": {
      const option = String(node.defname ?? "").toLowerCase();
      return EXPLAIN_OPTIONS.has(option) ? undefined : `the option ${quoted([option])} is not allowed`;
    }
  }
  return undefined;
}

function isRefusedByName(name: string): boolean {
  return FUNCTIONS_REFUSED.test(name) && !PG_FUNCTIONS_ALLOWED.has(name);
}

function refusalOfTable(node: JsonObject, datasets: readonly string[]): string | undefined {
  const name = String(node.relname ?? "");
  const schema = typeof node.schemaname === "string" ? node.schemaname : undefined;
  if (node.catalogname !== undefined) return "a table is named without the database";
  if (schema === "information_schema") {
    return INFORMATION_ALLOWED.has(name)
      ? undefined
      : `information_schema.${name.slice(0, 63)} is not allowed`;
  }
  // pg_catalog comes before every search path, and all of its tables begin so
  if (schema === "pg_catalog" || (schema === undefined && name.startsWith("pg_"))) {
    return CATALOGUE_ALLOWED.has(name) ? undefined : `the system table ${quoted([name])} is not allowed`;
  }
  if (schema === undefined || datasets.includes(schema)) return undefined;
  return `the schema ${quoted([schema])} is none of this workspace's datasets`;
}

function refusalOfSchema(
  what: string,
  names: readonly string[],
  datasets: readonly string[],
): string | undefined {
  const schema = names.length > 1 ? names[0]! : "pg_catalog";
  return schema === "pg_catalog" || datasets.includes(schema)
    ? undefined
    : `the ${what} ${quoted(names)} is not allowed`;
}

/** A row of pg_proc. */
export interface CatalogueFunction {
  readonly name: string;
  readonly schema: string;
  /** `i`, `s` or `v`. */
  readonly volatility: string;
  readonly arguments: number;
}

/** `found`: every function of these names in pg_catalog and in the search path, all overloads. */
export function refusalOfFunctions(
  wanted: readonly FunctionName[],
  found: readonly CatalogueFunction[],
): string | undefined {
  for (const { name, attribute } of wanted) {
    for (const each of found) {
      if (each.name !== name || (attribute && each.arguments !== 1)) continue;
      if (each.schema !== "pg_catalog") return `the function ${quoted([name])} is not one of Postgres's own`;
      if (each.volatility === "v" && !VOLATILE_ALLOWED.has(name)) {
        return `the function ${quoted([name])} may have effects`;
      }
    }
  }
  return undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The names in a list of String nodes; other members (`*`, subscripts) are left out. */
function stringsOf(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((each: unknown) => {
    const text = isObject(each) && isObject(each.String) ? each.String.sval : undefined;
    return typeof text === "string" ? [text] : [];
  });
}

function quoted(names: readonly string[]): string {
  return JSON.stringify(names.join(".").slice(0, 80));
}

function articled(kind: string | undefined): string {
  if (kind === undefined) return "empty";
  const words = kind
    .replace(/Stmt$/, "")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toUpperCase();
  return `${/^[AEIOU]/.test(words) ? "an" : "a"} ${words}`;
}
