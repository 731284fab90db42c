/** The naming that the run gives a schema. */

import { type NamingConvention, namingByName } from "../schema/naming.ts";
import type { Schema } from "../schema/types.ts";
import type { PipelineParts } from "./run.ts";

/** As the schema says, else snake_case, with the destination's bound on the length of names. */
export function namingOf({ destination }: PipelineParts, schema?: Schema): NamingConvention {
  const { names, use_break_path_on_normalize } = (schema?.normalizers ?? {}) as {
    names?: string;
    use_break_path_on_normalize?: boolean;
  };
  return namingByName(names ?? "snake_case", destination.capabilities.identifierLengthMax, {
    breakPath: use_break_path_on_normalize !== false,
  });
}
