/**
 * Where a Postgres server is and how to log in: from a connection URL as libpq and dlt write it, from single
 * fields, or both (a field wins). A URL is never part of a message, because the password stands in it.
 */

import { EngineError } from "../../errors.ts";

/** As in libpq. `prefer` takes an unencrypted connection where the server has no other. */
export type SslMode = "disable" | "prefer" | "require" | "verify-ca" | "verify-full";

export interface PostgresOptions {
  /** `postgresql://user:password@host:5432/database?sslmode=require` */
  readonly url?: string;
  /** A host name, an address, or the folder of a socket. */
  readonly host?: string;
  readonly port?: number;
  readonly database?: string;
  readonly username?: string;
  readonly password?: string;
  /** A name given by the user, kept in dlt's state. */
  readonly name?: string;
  /** Default: `prefer`, or `verify-full` for true and `disable` for false. */
  readonly ssl?: SslMode | boolean;
  /**
   * A file with the certificates to trust, PEM. With it `require` checks the certificate too. `system`: those
   * that Node.js trusts, with `verify-full`.
   */
  readonly sslRootCert?: string;
  /** Default: 15 s, as in dlt. */
  readonly connectTimeoutMs?: number;
  /** For each statement of a load; default: no limit, whatever the server's or the role's is. */
  readonly statementTimeoutMs?: number;
  /** How long a load waits for a table that somebody else has locked; default: 5 minutes. */
  readonly lockTimeoutMs?: number;
  /** Shown in `pg_stat_activity`; default: `loadwright`. */
  readonly applicationName?: string;
  /** Default: true, as in dlt: a unique index for each column that is hinted as unique (`_dlt_id`). */
  readonly createIndexes?: boolean;
  /**
   * Postgres holds no NUL character in text and JSON. Default: `error`, the load is refused with table and
   * column. `remove`: they are taken out, and the log says of how many cells.
   */
  readonly nul?: "error" | "remove";
}

export interface ConnectionSettings {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly username: string;
  readonly password: string | undefined;
  readonly ssl: SslMode;
  readonly sslRootCert: string | undefined;
  readonly connectTimeoutMs: number;
  readonly applicationName: string;
  /** Parameters of the URL that mean nothing here. */
  readonly ignored: readonly string[];
}

const SSL_MODES: readonly string[] = ["disable", "prefer", "require", "verify-ca", "verify-full"];
const CONNECT_TIMEOUT_MS = 15_000;

/** Errors: CONFIG_INVALID, CONFIG_MISSING. */
export function connectionSettings(options: PostgresOptions): ConnectionSettings {
  const url: Partial<UrlParts> = options.url === undefined ? {} : partsOf(options.url);
  const host = options.host ?? url.host;
  const username = options.username ?? url.username;
  const missing = Object.entries({ host, username }).flatMap(([key, value]) => (value ? [] : [key]));
  if (host === undefined || username === undefined || missing.length > 0) {
    throw new EngineError("CONFIG_MISSING", `The Postgres destination has no ${missing.join(" and no ")}.`, {
      hint: "Give a connection URL, or host, database, username and password.",
      details: { missing },
    });
  }
  const port = options.port ?? url.port ?? 5432;
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid("The port is not a port number.");
  const sslRootCert = options.sslRootCert ?? url.sslRootCert;
  // libpq's word for the authorities of the machine, with which it checks the host too
  const trustsSystem = sslRootCert === "system";
  return {
    host,
    port,
    database: options.database ?? url.database ?? username,
    username,
    password: options.password ?? url.password,
    ssl: sslMode(trustsSystem ? "verify-full" : (options.ssl ?? url.ssl)),
    sslRootCert: trustsSystem ? undefined : sslRootCert,
    connectTimeoutMs: options.connectTimeoutMs ?? url.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    applicationName: options.applicationName ?? url.applicationName ?? "loadwright",
    ignored: url.ignored ?? [],
  };
}

interface UrlParts {
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly database: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly ssl: string | undefined;
  readonly sslRootCert: string | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly applicationName: string | undefined;
  readonly ignored: readonly string[];
}

function partsOf(text: string): UrlParts {
  if (!/^postgres(ql)?(\+\w+)?:\/\//.test(text)) throw unreadable("It does not begin with postgresql://.");
  // the host may be left out where a parameter or the default socket says it
  const url = parsed(text.replace(/^postgres(ql)?(\+\w+)?:\/\//, "postgresql://"));
  const rest = url.pathname + url.search + url.hash;
  if (url.hash !== "" || (url.username === "" && rest.includes("@"))) {
    throw unreadable("The password seems to hold one of the characters # ? / @ as it is.");
  }
  const query = new Map(url.searchParams);
  const take = (key: string): string | undefined => {
    const value = query.get(key);
    query.delete(key);
    return value === "" ? undefined : value;
  };
  const timeout = take("connect_timeout");
  const seconds = timeout === undefined ? undefined : Number(timeout);
  if (seconds !== undefined && !(seconds >= 0)) throw invalid("connect_timeout is not a number of seconds.");
  const port = take("port") ?? url.port;
  return {
    host: take("host") ?? some(decoded(url.hostname.replace(/^\[(.*)\]$/, "$1"))),
    port: port === "" ? undefined : Number(port),
    database: take("dbname") ?? some(decoded(url.pathname.slice(1))),
    username: take("user") ?? some(decoded(url.username)),
    password: take("password") ?? some(decoded(url.password)),
    ssl: take("sslmode"),
    sslRootCert: take("sslrootcert"),
    // 0 waits for ever, as in libpq
    connectTimeoutMs: seconds === undefined ? undefined : seconds * 1000,
    applicationName: take("application_name"),
    ignored: [...query.keys()],
  };
}

function parsed(text: string): URL {
  try {
    return new URL(text);
  } catch {
    throw unreadable("Host or port cannot be made out.");
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw unreadable("It has a % that begins no percent code.");
  }
}

const some = (text: string): string | undefined => (text === "" ? undefined : text);

function sslMode(value: string | boolean | undefined): SslMode {
  if (value === undefined) return "prefer";
  if (typeof value === "boolean") return value ? "verify-full" : "disable";
  if (value === "allow") return "prefer";
  if (SSL_MODES.includes(value)) return value as SslMode;
  throw invalid(`There is no SSL mode ${JSON.stringify(value)}; there are ${SSL_MODES.join(", ")}.`);
}

function unreadable(why: string): EngineError {
  return invalid(
    `The connection URL cannot be read. ${why}`,
    "Write postgresql://user:password@host:port/database with reserved characters of the password percent-encoded (@ as %40, # as %23, / as %2F, ? as %3F, % as %25), or give the fields one by one.",
  );
}

function invalid(message: string, hint?: string): EngineError {
  return new EngineError("CONFIG_INVALID", message, { hint });
}
