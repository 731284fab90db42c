/**
 * Schema files beside a pipeline, as dlt keeps them (its schema_storage.py): `<schema>.schema.yaml` in the
 * import folder is written once and read before each run, for people to edit; in the export folder it is
 * written after each load, for people to look at and to keep under version control.
 */

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "./package/write-file.ts";
import {
  type DocumentFormat,
  schemaFromDocument,
  schemaToYaml,
  withoutProcessingHints,
} from "./schema/documents.ts";
import { hasSeenData, isSystemTable } from "./schema/tables.ts";
import type { Schema } from "./schema/types.ts";
import { schemaVersionHash } from "./schema/version.ts";

const FORMATS: readonly DocumentFormat[] = ["yaml", "json"];

export interface ImportedSchema {
  readonly schema: Schema;
  /** Tables with data whose schema the file has replaced. */
  readonly replaced: readonly string[];
}

/**
 * The schema to go on with when the file was edited since it was last taken: the file's content in place of
 * the stored one, as its next version. Marks of tables that have data are kept. Undefined: nothing to take.
 */
export async function importSchema(folder: string, stored: Schema): Promise<ImportedSchema | undefined> {
  const file = await readSchemaFile(folder, stored.name);
  if (file === undefined) return undefined;
  const { version_hash: hash } = file;
  if (stored.imported_version_hash === hash) return undefined;
  if (stored.version === 0) return { schema: { ...file, imported_version_hash: hash }, replaced: [] };
  const replaced: string[] = [];
  for (const [name, table] of file.tables) {
    const before = stored.tables.get(name);
    if (before === undefined || isSystemTable(name)) continue;
    if (hasSeenData(before)) replaced.push(name);
    if (before["x-normalizer"]) table["x-normalizer"] = before["x-normalizer"];
  }
  const { version, version_hash, previous_hashes } = stored;
  return {
    schema: { ...file, version, version_hash, previous_hashes, imported_version_hash: hash },
    replaced,
  };
}

async function readSchemaFile(folder: string, name: string): Promise<Schema | undefined> {
  for (const format of FORMATS) {
    const path = schemaFile(folder, name, format);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
      throw error;
    }
    const schema = schemaFromDocument(text, format, path);
    return { ...schema, name };
  }
  return undefined;
}

/** Writes the file for people to edit, unless there is one; the schema then counts as taken from it. */
export async function writeImportFile(folder: string, schema: Schema): Promise<void> {
  if ((await readSchemaFile(folder, schema.name)) !== undefined) return;
  const written = withoutProcessingHints(schema);
  written.version_hash = schemaVersionHash(written);
  await writeSchemaFile(folder, written);
  schema.imported_version_hash = written.version_hash;
}

export async function writeSchemaFile(folder: string, schema: Schema): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = schemaFile(folder, schema.name, "yaml");
  await writeFileAtomic(path, schemaToYaml(schema));
  return path;
}

export function schemaFile(folder: string, name: string, format: DocumentFormat): string {
  return join(folder, `${name}.schema.${format}`);
}
