/**
 * The schema that rows are normalized with before their package is sealed: a copy of what has been declared so far,
 * which goes its own way. When the package is sealed it must turn out that nothing else was declared.
 */

import { plainJson } from "../interop/json.ts";
import { schemaFromText, schemaToText } from "../schema/documents.ts";
import type { Schema, Table } from "../schema/types.ts";

export class DeclaredSchema {
  /** Changed by normalizing. */
  readonly schema: Schema;
  /** Each table as it was declared. */
  private readonly tables = new Map<string, string>();
  private readonly settings: string;

  constructor(declared: Schema) {
    this.schema = copyOf(declared);
    this.settings = settingsOf(declared);
    for (const [name, table] of this.schema.tables) this.tables.set(name, textOf(table));
  }

  /** Takes the tables that were declared since. False: rows have made one of them already. */
  follow(declared: Schema): boolean {
    const added = [...declared.tables.keys()].filter((name) => !this.tables.has(name));
    if (added.length === 0) return true;
    const copy = copyOf(declared);
    for (const name of added) {
      if (this.schema.tables.has(name)) return false;
      const table = copy.tables.get(name)!;
      this.tables.set(name, textOf(table));
      this.schema.tables.set(name, table);
    }
    return true;
  }

  /**
   * Gives the copy the version of the sealed schema, and its order of tables: it is then what normalizing the sealed
   * one would have made. False: the sealed one declares something else.
   */
  become(sealed: Schema): boolean {
    if (settingsOf(sealed) !== this.settings || !this.follow(sealed)) return false;
    if (sealed.tables.size !== this.tables.size) return false;
    for (const [name, table] of sealed.tables) if (this.tables.get(name) !== textOf(table)) return false;
    const { tables } = this.schema;
    const all = [...tables];
    const declared = [...sealed.tables.keys()].map((name) => [name, tables.get(name)!] as const);
    tables.clear();
    for (const [name, table] of declared) tables.set(name, table);
    for (const [name, table] of all) tables.set(name, table);
    Object.assign(this.schema, { ...sealed, tables });
    return true;
  }
}

/** As it is read from a sealed package. */
function copyOf(schema: Schema): Schema {
  return schemaFromText(schemaToText(schema));
}

/** Columns in their order, which matters. */
function textOf(table: Table): string {
  return plainJson(table);
}

function settingsOf({ settings, normalizers }: Schema): string {
  return plainJson([settings, normalizers]);
}
