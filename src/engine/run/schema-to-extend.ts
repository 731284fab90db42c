/** The schema that a source's declarations are added to. */

import { schemaFromText } from "../schema/documents.ts";
import type { Schema } from "../schema/types.ts";
import { newSchema } from "../schema/version.ts";
import { importSchema } from "../schema-files.ts";
import { currentSchema } from "./current.ts";
import type { Run } from "./run.ts";
import { withSession } from "./session.ts";

/** The one here, else the destination's, else a new one; an edited schema file wins over what is stored. */
export async function schemaToExtend(run: Run, name: string): Promise<Schema> {
  const stored =
    (await currentSchema(run.store, name)) ?? (await schemaAtDestination(run, name)) ?? neverStored(name);
  return withImport(run, stored);
}

/** A schema that no destination has: it becomes version 1 when it is extracted for the first time. */
export function neverStored(name: string): Schema {
  return { ...newSchema(name), version: 0 };
}

async function schemaAtDestination(run: Run, name: string): Promise<Schema | undefined> {
  return withSession(run, async (session) => {
    if (!(await session.exists())) return undefined;
    const row = await session.readSchema(name);
    return row && schemaFromText(row.schema);
  });
}

async function withImport({ recorder, pipeline }: Run, stored: Schema): Promise<Schema> {
  const { importSchemaPath } = pipeline.options;
  const imported = importSchemaPath && (await importSchema(importSchemaPath, stored));
  if (!imported) return stored;
  if (imported.replaced.length > 0) {
    recorder.warn(
      `The schema file in ${importSchemaPath} was edited and replaces the stored schema; these tables have data: ${imported.replaced.join(", ")}.`,
    );
  }
  return imported.schema;
}
