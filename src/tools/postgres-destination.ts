/**
 * The Postgres destination of a workspace: what is public from `[destinations.<name>]`, what is secret by dlt's
 * names, first under the destination's name, then under `postgres`:
 *
 *     DESTINATION__POSTGRES__CREDENTIALS=postgresql://user:password@host:5432/database
 *     DESTINATION__POSTGRES__CREDENTIALS__PASSWORD=…   (and __HOST, __PORT, __DATABASE, __USERNAME)
 */

import { resolve } from "node:path";
import type { Destination } from "../engine/destinations/destination.ts";
import { POSTGRES_CAPABILITIES } from "../engine/destinations/postgres/capabilities.ts";
import { type PostgresOptions, postgres } from "../engine/destinations/postgres/postgres.ts";
import { connectionSettings } from "../engine/destinations/postgres/settings.ts";
import { EngineError } from "../engine/errors.ts";
import type { PostgresConfig } from "./config.ts";
import type { Secrets } from "./secrets.ts";

const TYPE = "postgres";

/**
 * Without credentials it is a destination all the same, which says at `open` what is missing: listing
 * pipelines and reading what is on disk need none.
 */
export function postgresDestination(
  config: PostgresConfig | undefined,
  secrets: Secrets,
  workspaceDir: string,
): Destination {
  const name = config?.name ?? TYPE;
  try {
    return postgres(postgresOptions(config, secrets, workspaceDir));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return {
      kind: "postgres",
      type: "dlt.destinations.postgres",
      name: config?.name ?? null,
      capabilities: POSTGRES_CAPABILITIES,
      displayName: "postgres",
      async open() {
        // the secrets know near misses and where to write it
        if (error.code === "CONFIG_MISSING") secrets.requireOfDestination(name, "credentials");
        throw error;
      },
    };
  }
}

/** Errors: CONFIG_MISSING, CONFIG_INVALID. */
export function postgresOptions(
  config: PostgresConfig | undefined,
  secrets: Secrets,
  workspaceDir: string,
): PostgresOptions {
  const name = config?.name ?? TYPE;
  const find = (key: string): string | undefined =>
    secrets.ofDestination(name, key) ?? secrets.ofDestination(TYPE, key);
  const port = find("credentials.port");
  const timeout = find("credentials.connect_timeout");
  const seconds = timeout === undefined ? config?.connect_timeout_s : Number(timeout);
  const rootCert = config?.ssl_root_cert;
  const options: PostgresOptions = {
    url: find("credentials"),
    host: find("credentials.host") ?? config?.host,
    port: port === undefined ? config?.port : Number(port),
    database: find("credentials.database") ?? config?.database,
    username: find("credentials.username") ?? config?.username,
    password: find("credentials.password"),
    name: config?.name === TYPE ? undefined : config?.name,
    ssl: config?.ssl_mode,
    sslRootCert: rootCert === undefined ? undefined : resolve(workspaceDir, rootCert),
    connectTimeoutMs: seconds === undefined ? undefined : seconds * 1000,
    statementTimeoutMs: config?.statement_timeout_ms,
    lockTimeoutMs: config?.lock_timeout_ms,
    applicationName: config?.application_name,
    createIndexes: config?.create_indexes,
    nul: config?.nul,
  };
  const { password } = connectionSettings(options);
  if (password !== undefined) secrets.alsoMask(password);
  return options;
}
