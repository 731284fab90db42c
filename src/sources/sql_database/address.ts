/**
 * The database that a URL names. The scheme says which kind it is:
 *
 *     postgresql://user:password@host:5432/database?sslmode=require      (postgres:// too)
 *     mysql://user:password@host:3306/database                           (mariadb:// too)
 *     sqlite:///relative/path.db      sqlite:////absolute/path.db
 *     duckdb:///relative/path.duckdb  duckdb:////absolute/path.duckdb
 *
 * As in SQLAlchemy (and dlt), `+driver` behind the scheme is allowed and means nothing here. A relative path
 * starts at the workspace. A URL is never part of a message: a password may stand in it.
 */

import { resolve } from "node:path";
import { EngineError } from "../../engine/errors.ts";
import type { SourceContext } from "../../engine/extract/resource.ts";
import type { SqlDatabaseConfig } from "./config.ts";
import { duckdbSource } from "./duckdb/database.ts";
import { mysqlSource } from "./mysql/database.ts";
import { postgresSource } from "./postgres/database.ts";
import type { ServerAddress } from "./server-address.ts";
import { sqliteSource } from "./sqlite/database.ts";
import type { SqlDatabase } from "./types.ts";

/** Errors: CONFIG_MISSING, CONFIG_INVALID. Does not connect. */
export function openDatabase(config: SqlDatabaseConfig, context: SourceContext): SqlDatabase {
  const { secrets, workspaceDir } = context;
  const url = urlOf(config, secrets);
  const scheme = /^([a-z]+)(?:\+\w+)?:\/\//i.exec(url)?.[1]?.toLowerCase();
  const rootCert =
    config.ssl_root_cert === undefined ? undefined : resolve(workspaceDir, config.ssl_root_cert);
  const address: ServerAddress = {
    url,
    password: optional(secrets, "credentials.password"),
    config,
    rootCert,
  };
  switch (scheme) {
    case "postgres":
    case "postgresql":
      return postgresSource(address);
    case "mysql":
    case "mariadb":
      return mysqlSource(address);
    case "sqlite":
      return sqliteSource(pathOf(url, workspaceDir), config);
    case "duckdb":
      return duckdbSource(pathOf(url, workspaceDir), config);
  }
  throw new EngineError("CONFIG_INVALID", "The database's URL does not say what it is.", {
    hint: "Begin it with postgresql://, mysql://, mariadb://, sqlite:/// or duckdb:///.",
    details: { setting: "credentials", ...(scheme === undefined ? {} : { scheme }) },
  });
}

function urlOf(config: SqlDatabaseConfig, secrets: SourceContext["secrets"]): string {
  const secret = optional(secrets, "credentials");
  if (secret !== undefined) return secret;
  if (config.url === undefined) {
    // inside a workspace the secrets know near misses and where to write it
    const missing = secrets.credentials;
    if (missing !== undefined) return missing;
    throw new EngineError("CONFIG_MISSING", "The sql_database source has no URL of its database.", {
      hint: "Set the secret credentials, or config.url when there is no password in it.",
      details: { setting: "url" },
    });
  }
  if (/^[a-z+]+:\/\/[^/@]*:[^/@]+@/i.test(config.url)) {
    throw new EngineError("CONFIG_INVALID", "The setting url of the sql_database source holds a password.", {
      hint: "Passwords do not belong in loadwright.toml: set SOURCES__SQL_DATABASE__CREDENTIALS to the URL, or __CREDENTIALS__PASSWORD to the password alone.",
      details: { setting: "url" },
    });
  }
  return config.url;
}

function optional(secrets: SourceContext["secrets"], key: string): string | undefined {
  return key in secrets ? secrets[key] : undefined;
}

/** Three slashes lead to a relative path, four to an absolute one, as in SQLAlchemy. */
function pathOf(url: string, workspaceDir: string): string {
  const path = /^[a-z+]+:\/\/\/(.+?)(?:\?.*)?$/is.exec(url)?.[1];
  if (path === undefined) {
    throw new EngineError("CONFIG_INVALID", "The URL of a database file needs a path.", {
      hint: "Write sqlite:///path/below/the/workspace.db, or sqlite:////absolute/path.db.",
      details: { setting: "url" },
    });
  }
  return resolve(workspaceDir, path);
}
