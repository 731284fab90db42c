/** Everflow's reports and entities as resources, and as the built-in source that a pipeline names. */

import { type Resource, Source } from "../../engine/extract/resource.ts";
import { parseSourceConfig } from "../parse-config.ts";
import type { BuiltInSource } from "../registry.ts";
import { EverflowApi } from "./api.ts";
import { everflowConfigSchema } from "./config.ts";
import { conversionsResource, type DailyOptions, statsResource } from "./daily.ts";
import { ENTITIES, entityResource } from "./entities.ts";

export interface EverflowOptions extends Partial<DailyOptions> {
  /** How long all requests wait after a 429; default 30 s, the length of Everflow's limit window. */
  readonly pauseMs?: number;
}

/**
 * The resources `stats`, `conversions`, `offers`, `affiliates` and `advertisers`; for a source of one's own:
 *
 *     source({ name: "network" }, ({ secrets }) => everflowResources({ start_date: "2026-01-01" }, secrets.api_key))
 */
export function everflowResources(
  config: unknown,
  apiKey: string,
  options: EverflowOptions = {},
): Resource[] {
  const parsed = parseSourceConfig(everflowConfigSchema, config, "everflow");
  const api = new EverflowApi(parsed, apiKey, options.pauseMs);
  const daily: DailyOptions = { now: Date.now, ...options };
  return [
    statsResource(api, parsed, daily),
    conversionsResource(api, parsed, daily),
    ...ENTITIES.map((list) => entityResource(api, list)),
  ];
}

export const everflowSource: BuiltInSource = {
  configSchema: everflowConfigSchema,
  create: ({ config, secrets }) => {
    // a mistake in the configuration is told before a missing secret
    parseSourceConfig(everflowConfigSchema, config, "everflow");
    return new Source({ name: "everflow", resources: everflowResources(config, secrets.api_key!) });
  },
};
