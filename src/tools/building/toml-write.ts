/** Values as TOML text that a person would write: small tables on one line, large ones with headers. */

const LINE_CHARS_MAX = 110;

/** A table with its header, and the tables in it that are too large for a line. */
export function writeTable(path: readonly string[], table: Readonly<Record<string, unknown>>): string {
  return `${tableLines(path, table, `[${header(path)}]`).join("\n")}\n`;
}

function tableLines(
  path: readonly string[],
  table: Readonly<Record<string, unknown>>,
  head: string,
): string[] {
  const lines = [head];
  const below: string[][] = [];
  for (const [key, value] of Object.entries(table)) {
    if (value === undefined || value === null) continue;
    const line = `${written(key)} = ${inline(value)}`;
    const inner = [...path, key];
    if (isTable(value) && line.length > LINE_CHARS_MAX) {
      below.push(tableLines(inner, value, `[${header(inner)}]`));
    } else if (isTableList(value) && (line.length > LINE_CHARS_MAX || value.length > 1)) {
      for (const one of value) below.push(tableLines(inner, one, `[[${header(inner)}]]`));
    } else if (Array.isArray(value) && line.length > LINE_CHARS_MAX) {
      lines.push(`${written(key)} = [`, ...value.map((one) => `  ${inline(one)},`), "]");
    } else lines.push(line);
  }
  for (const each of below) lines.push("", ...each);
  return lines;
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTableList(value: unknown): value is readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}

function inline(value: unknown): string {
  if (typeof value === "number" && !Number.isInteger(value))
    return String(value).replace("Infinity", "inf").toLowerCase();
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean")
    return String(value);
  if (Array.isArray(value))
    return `[${value
      .filter((one) => one != null)
      .map(inline)
      .join(", ")}]`;
  if (isTable(value)) {
    const members = Object.entries(value)
      .filter(([, inner]) => inner !== undefined && inner !== null)
      .map(([key, inner]) => `${written(key)} = ${inline(inner)}`);
    return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
  }
  return quoted(String(value));
}

/** A basic string; control characters as escapes, which JSON and TOML write alike, but for DEL. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}

function header(path: readonly string[]): string {
  return path.map(written).join(".");
}

function written(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : quoted(key);
}
