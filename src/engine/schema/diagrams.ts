/** Tables of a schema as diagrams: Mermaid's erDiagram (mermaid.js.org) and DBML (dbml.dbdiagram.io). */

import { completeColumns, completeColumnWith, PARENT_KEY, ROW_KEY } from "./tables.ts";
import { describeType } from "./type-change.ts";
import type { Column, Table } from "./types.ts";

interface Reference {
  readonly from: Table;
  readonly fromColumn: string;
  readonly to: Table;
  readonly toColumn: string;
}

export function mermaidDiagram(tables: readonly Table[]): string {
  const lines = ["erDiagram"];
  for (const table of tables) {
    lines.push(`    ${mermaidName(table.name)} {`);
    for (const column of completeColumns(table)) {
      const key = column.primary_key ? " PK" : column.parent_key ? " FK" : column.unique ? " UK" : "";
      const note = column.description ? ` "${oneLine(column.description).replaceAll('"', "'")}"` : "";
      lines.push(`        ${column.data_type} ${mermaidWord(column.name)}${key}${note}`);
    }
    lines.push("    }");
  }
  for (const { from, to } of references(tables)) {
    lines.push(`    ${mermaidName(to.name)} ||--o{ ${mermaidName(from.name)} : contains`);
  }
  return `${lines.join("\n")}\n`;
}

/** A quoted entity may have any name but for quotes; an attribute is a word. */
function mermaidName(name: string): string {
  return /^[A-Za-z_][\w-]*$/.test(name) ? name : `"${oneLine(name).replaceAll('"', "'")}"`;
}

function mermaidWord(name: string): string {
  const word = name.replace(/[^\w-]/gu, "_");
  return /^[A-Za-z_]/.test(word) ? word : `_${word}`;
}

export function dbmlDiagram(tables: readonly Table[]): string {
  const parts = tables.map((table) => {
    const columns = completeColumns(table).map((column) => `  ${dbmlColumn(column)}`);
    const note = table.description ? ["", `  Note: ${dbmlText(table.description)}`] : [];
    return [`Table ${dbmlName(table.name)} {`, ...columns, ...note, "}"].join("\n");
  });
  const refs = references(tables).map(
    ({ from, fromColumn, to, toColumn }) =>
      `Ref: ${dbmlName(from.name)}.${dbmlName(fromColumn)} > ${dbmlName(to.name)}.${dbmlName(toColumn)}`,
  );
  return `${[...parts, ...(refs.length > 0 ? [refs.join("\n")] : [])].join("\n\n")}\n`;
}

function dbmlColumn(column: Column): string {
  const settings = [
    column.primary_key ? "pk" : "",
    column.unique ? "unique" : "",
    column.nullable === false ? "not null" : "",
    column.description ? `note: ${dbmlText(column.description)}` : "",
  ].filter((setting) => setting !== "");
  const type = describeType(column);
  // a type of several words is quoted
  const written = type.includes(" ") ? `"${type}"` : type;
  return `${dbmlName(column.name)} ${written}${settings.length > 0 ? ` [${settings.join(", ")}]` : ""}`;
}

function dbmlName(name: string): string {
  return `"${oneLine(name).replaceAll('"', "'")}"`;
}

function dbmlText(text: string): string {
  return `'${oneLine(text).replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** Nested tables that name the row they are in; the parent has to be among the tables. */
function references(tables: readonly Table[]): Reference[] {
  const byName = new Map(tables.map((table) => [table.name, table]));
  return tables.flatMap((from) => {
    const to = byName.get(from.parent ?? "");
    const fromColumn = completeColumnWith(from, PARENT_KEY);
    const toColumn = to && completeColumnWith(to, ROW_KEY);
    if (to === undefined || fromColumn === undefined || toColumn === undefined) return [];
    return [{ from, fromColumn, to, toColumn }];
  });
}
