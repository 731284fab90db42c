/** Schemas as documents that people and other programs read, and the way back. */

import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { EngineError } from "../engine/errors.ts";
import { dbmlDiagram, mermaidDiagram } from "../engine/schema/diagrams.ts";
import {
  schemaFromDocument,
  schemaFromText,
  schemaToPrettyJson,
  schemaToYaml,
} from "../engine/schema/documents.ts";
import { isSystemTable } from "../engine/schema/tables.ts";
import type { Schema } from "../engine/schema/types.ts";
import { schemaFile } from "../engine/schema-files.ts";
import type { Dataset, Dialect } from "../engine/sql/dialect.ts";
import { schemaDdl } from "../engine/sql/schema-ddl.ts";
import type { Workspace } from "./workspace.ts";

export const SCHEMA_FORMATS = ["json", "yaml", "ddl", "mermaid", "dbml"] as const;
export type SchemaFormat = (typeof SCHEMA_FORMATS)[number];

interface Place {
  readonly dialect: Dialect;
  readonly dataset: Dataset;
}

/** JSON and YAML are dlt's stored schema; diagrams leave dlt's own tables out. */
export function schemaDocument(schema: Schema, format: SchemaFormat, place: Place): string {
  const tables = [...schema.tables.values()].filter((table) => !isSystemTable(table.name));
  switch (format) {
    case "json":
      return schemaToPrettyJson(schema);
    case "yaml":
      return schemaToYaml(schema);
    case "ddl":
      return `${schemaDdl(place.dialect, place.dataset, schema).join("\n\n")}\n`;
    case "mermaid":
      return mermaidDiagram(tables);
    case "dbml":
      return dbmlDiagram(tables);
  }
}

/** Stored schemas of one dataset, one document after the other. */
export function printSchemas(stored: readonly string[], format: SchemaFormat, place: Place): string {
  const separator = format === "yaml" ? "---\n" : "\n";
  return stored.map((text) => schemaDocument(schemaFromText(text), format, place)).join(separator);
}

/** Checks a schema file and puts it where the next run takes it from. Errors: SCHEMA_INVALID, CONFIG_MISSING, … */
export async function importSchemaFile(
  workspace: Workspace,
  pipeline: string,
  file: string | undefined,
): Promise<{ readonly schema_name: string; readonly version_hash: string; readonly file: string }> {
  const { import_schema_path: written } = workspace.pipelineConfig(pipeline);
  if (written === undefined) {
    throw new EngineError("CONFIG_MISSING", `Pipeline ${pipeline} has no import_schema_path.`, {
      hint: `Set import_schema_path = "schemas/import" in [pipelines.${pipeline}].`,
      details: { pipeline, key: "import_schema_path" },
    });
  }
  if (file === undefined) {
    throw new EngineError("ARGUMENTS_INVALID", "import-schema needs --file.", {
      hint: "Name a YAML or JSON file, as `pipeline NAME schema --format yaml` prints it.",
    });
  }
  const path = resolve(file);
  const format = path.endsWith(".json") ? "json" : "yaml";
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new EngineError("FILE_NOT_FOUND", `${path} cannot be read.`, { details: { file: path }, cause });
  });
  const schema = schemaFromDocument(text, format, path);
  const folder = workspace.inside(written);
  await mkdir(folder, { recursive: true });
  const target = schemaFile(folder, schema.name, format);
  if (target !== path) await copyFile(path, target);
  // the one written by an earlier run would be read in its place
  const other = schemaFile(folder, schema.name, format === "json" ? "yaml" : "json");
  if (other !== path) await rm(other, { force: true });
  return { schema_name: schema.name, version_hash: schema.version_hash, file: target };
}
