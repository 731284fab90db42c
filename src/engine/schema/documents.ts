/**
 * A schema as text: dlt's stored JSON, and the YAML of its schema files (`<name>.schema.yaml`). Both are read
 * back here and by dlt.
 */

import { createRequire } from "node:module";
import type * as Yaml from "yaml";
import { EngineError } from "../errors.ts";
import { indentJson, parseJsonDocument, plainJson } from "../interop/json.ts";
import { checkDocument } from "./check-document.ts";
import type { Schema } from "./types.ts";
import { bumpSchema, schemaToStored, storedToSchema } from "./version.ts";

const load = createRequire(import.meta.url);
/** Seventy modules that hardly any run needs: loaded with the first schema file. */
const yaml = (): typeof Yaml => load("yaml") as typeof Yaml;

/** Errors: SCHEMA_INVALID, SCHEMA_ENGINE_NEWER. */
export function schemaFromText(text: string): Schema {
  let stored: unknown;
  try {
    stored = parseJsonDocument(Buffer.from(text));
  } catch (cause) {
    throw new EngineError("SCHEMA_INVALID", "The stored schema cannot be used: it is not JSON.", { cause });
  }
  return storedToSchema(stored);
}

export function schemaToText(schema: Schema): string {
  return plainJson(schemaToStored(schema));
}

export function schemaToPrettyJson(schema: Schema): string {
  return `${indentJson(schemaToText(schema))}\n`;
}

/** YAML 1.1, in which dlt reads it: there `no`, `on` and dates need quotes to be text. */
export function schemaToYaml(schema: Schema): string {
  const { imported_version_hash: _, ...stored } = schemaToStored(schema);
  const tables = new Map(
    [...schema.tables].map(([name, { name: _, columns, ...hints }]) => [
      name,
      {
        columns: new Map([...columns].map(([column, { name: _, ...own }]) => [column, own])),
        ...hints,
      },
    ]),
  );
  // through JSON, so that there is one rule of how a value is written
  const document: unknown = parseJsonDocument(Buffer.from(plainJson({ ...stored, tables })));
  return yaml().stringify(document, {
    version: "1.1",
    // a Map is a mapping here, not the ordered list of YAML 1.1
    customTags: (tags) => tags.filter((tag) => typeof tag === "string" || !tag.tag.endsWith(":omap")),
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}

export type DocumentFormat = "json" | "yaml";

/**
 * The schema of a file that somebody may have edited: its hash and version are those of its content, whatever
 * it says. `file` is for messages. Errors: SCHEMA_INVALID, SCHEMA_ENGINE_NEWER.
 */
export function schemaFromDocument(text: string, format: DocumentFormat, file: string): Schema {
  let stored: unknown;
  try {
    stored = format === "json" ? parseJsonDocument(Buffer.from(text)) : parseYaml(text);
  } catch (cause) {
    throw new EngineError("SCHEMA_INVALID", `${file} is not ${format.toUpperCase()}: ${firstLine(cause)}`, {
      hint: "Correct the file, or export the schema anew.",
      details: { file },
      cause,
    });
  }
  let schema: Schema;
  try {
    schema = storedToSchema(stored);
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== "SCHEMA_INVALID") throw error;
    throw new EngineError("SCHEMA_INVALID", error.message.replace("The stored schema", file), {
      hint: "Correct the file, or export the schema anew.",
      details: { file },
    });
  }
  checkDocument(schema, file);
  bumpSchema(schema);
  return schema;
}

/**
 * As dlt's parser (PyYAML) reads it and writes it: columns called `n`, `y` or `e5` have no quotes there, and are
 * neither false nor true nor a number.
 */
function parseYaml(text: string): unknown {
  const document = yaml().parseDocument(text, {
    version: "1.1",
    logLevel: "silent",
    customTags: (tags) =>
      tags.map((each) => {
        // those that have a test are of scalars
        const tag = each as Yaml.ScalarTag;
        if (!tag.test) return each;
        if (tag.tag.endsWith(":bool")) return { ...tag, test: withoutLetters(tag.test) };
        if (tag.tag.endsWith(":float") && tag.format === "EXP") return { ...tag, test: PYTHON_EXPONENT };
        return each;
      }),
  });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  return document.toJS({ mapAsMap: true, maxAliasCount: 100 });
}

const PYTHON_EXPONENT = /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)[eE][-+][0-9]+$/;

function withoutLetters(words: RegExp): RegExp {
  return new RegExp(`^(?![YyNn]$)${words.source.slice(1)}`);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}

/** What normalizing and loading noted in a schema: not for files that begin new datasets. */
export function withoutProcessingHints(schema: Schema): Schema {
  const tables = new Map(
    [...schema.tables].map(([name, table]) => {
      const { "x-normalizer": _, "x-loader": __, "x-extractor": ___, ...hints } = table;
      const columns = new Map(
        [...table.columns].map(([column, own]) => {
          const { "x-normalizer": _, "x-loader": __, "x-extractor": ___, ...kept } = own;
          return [column, kept as typeof own];
        }),
      );
      return [name, { ...hints, name, columns } as typeof table];
    }),
  );
  return { ...schema, tables };
}
