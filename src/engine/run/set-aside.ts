/** A package whose data is bad is set aside; one that failed for a reason outside its data stays pending. */

import { EngineError, toEnvelope } from "../errors.ts";
import type { Manifest } from "../package/types.ts";
import type { Run } from "./run.ts";

/** Errors that say something about the package's data: no later attempt can load it as it is. */
const BAD_DATA = new Set<string>([
  "CONTRACT_VIOLATION",
  "FILE_ENCODING",
  "FILE_FORMAT",
  "IDENTIFIER_INVALID",
  "LOAD_VALUE",
  "MERGE_WITHOUT_KEY",
  "NAME_COLLISION",
  "NULL_IN_REQUIRED",
  "PACKAGE_CORRUPT",
  "SCHEMA_INVALID",
  "TYPE_CHANGE_REFUSED",
  "VALUE_UNSUPPORTED",
]);

/** Sets a package aside when the error says that its data cannot be loaded; other errors leave it pending. */
export async function orSetAside(run: Run, manifest: Manifest, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const loadId = manifest.load_id;
    const badData = error instanceof EngineError && BAD_DATA.has(error.code);
    const known =
      error instanceof EngineError
        ? error.withDetails({ pipeline: run.pipeline.name, load_id: loadId })
        : error;
    if (badData && !run.context.signal.aborted) {
      const { dropped } = await run.store.setAside(loadId, toEnvelope(known));
      for (const each of dropped) {
        run.recorder.warn(
          `Package ${each} was dropped with ${loadId}, on which it builds; its rows are fetched again.`,
        );
      }
      run.recorder.package({
        load_id: loadId,
        schema_name: manifest.schema_name,
        status: "failed",
        error: toEnvelope(known),
      });
    } else {
      run.recorder.package({
        load_id: loadId,
        schema_name: manifest.schema_name,
        error: toEnvelope(known),
      });
    }
    throw known;
  }
}
