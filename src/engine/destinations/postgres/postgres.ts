/** Postgres as a destination: one schema a dataset, one connection a session, one transaction a package. */

import { postgresDialect } from "../../sql/dialect.ts";
import type { Destination } from "../destination.ts";
import { POSTGRES_CAPABILITIES } from "./capabilities.ts";
import type { LoadSettings } from "./package-load.ts";
import { connectionSettings, type PostgresOptions } from "./settings.ts";

export type { PostgresOptions, SslMode } from "./settings.ts";

const LOCK_TIMEOUT_MS = 5 * 60_000;

/** Errors: CONFIG_INVALID, CONFIG_MISSING. */
export function postgres(options: PostgresOptions): Destination {
  const settings = connectionSettings(options);
  const dialect = postgresDialect({ createIndexes: options.createIndexes });
  const load: LoadSettings = {
    statementTimeoutMs: options.statementTimeoutMs ?? 0,
    lockTimeoutMs: options.lockTimeoutMs ?? LOCK_TIMEOUT_MS,
    removesNuls: options.nul === "remove",
  };
  return {
    kind: "postgres",
    type: "dlt.destinations.postgres",
    name: options.name ?? null,
    capabilities: POSTGRES_CAPABILITIES,
    displayName: `postgres:${settings.host}:${settings.port}/${settings.database}`,
    async open(schema, context) {
      dialect.quote(schema); // refuses a name that Postgres would cut
      // the driver is loaded with the first session: whoever loads into DuckDB starts without it
      const { PostgresSession } = await import("./session.ts");
      return PostgresSession.open({ settings, dialect, dataset: { schema }, load, context });
    },
  };
}
