/** What is set for a whole source, as it stands in its schema. */

import type { Source } from "../extract/resource.ts";
import type { Contract, ContractMode, Schema } from "../schema/types.ts";

/** What the source and the run say about the schema as a whole. A contract holds only while it is said. */
export function applySettings(
  schema: Schema,
  source: Source,
  contract: Contract | ContractMode | undefined,
): void {
  if (source.description) schema.description = source.description;
  const json = schema.normalizers.json as { config?: Record<string, unknown> };
  if (source.maxTableNesting !== undefined) {
    json.config = { ...json.config, max_nesting: source.maxTableNesting };
  }
  if (source.rootKey !== undefined) {
    json.config = { ...json.config, root_key_propagation: source.rootKey };
  }
  const settings = { ...schema.settings };
  delete settings.schema_contract;
  const ofSource = contract ?? source.schemaContract;
  schema.settings = ofSource ? { ...settings, schema_contract: ofSource } : settings;
}
