/** One connection to MySQL or MariaDB. */

import { readFileSync } from "node:fs";
import { connect as connectSocket, isIP } from "node:net";
import mysql, { type Connection, type ConnectionOptions, type SslOptions } from "mysql2";
import { EngineError } from "../../../engine/errors.ts";
import type { ServerAddress } from "../server-address.ts";
import { mysqlError } from "./errors.ts";

export interface MysqlSettings {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly username: string;
  readonly password: string | undefined;
  readonly ssl: "disable" | "prefer" | "require" | "verify-ca" | "verify-full";
  readonly rootCert: string | undefined;
  readonly connectTimeoutMs: number;
}

const CONNECT_TIMEOUT_MS = 15_000;

/** Errors: CONFIG_INVALID, CONFIG_MISSING. */
export function mysqlSettings({ url, password, config, rootCert }: ServerAddress): MysqlSettings {
  const parts = parsed(url);
  const database = decodeURIComponent(parts.pathname.slice(1));
  const missing = Object.entries({ host: parts.hostname, username: parts.username, database }).flatMap(
    ([key, value]) => (value === "" ? [key] : []),
  );
  if (missing.length > 0) {
    throw new EngineError(
      "CONFIG_MISSING",
      `The URL of the MySQL source has no ${missing.join(" and no ")}.`,
      {
        hint: "Write mysql://user:password@host:3306/database.",
        details: { missing },
      },
    );
  }
  return {
    host: decodeURIComponent(parts.hostname),
    port: parts.port === "" ? 3306 : Number(parts.port),
    database,
    username: decodeURIComponent(parts.username),
    password: password ?? (parts.password === "" ? undefined : decodeURIComponent(parts.password)),
    ssl: config.ssl_mode ?? "prefer",
    rootCert,
    connectTimeoutMs:
      config.connect_timeout_s === undefined ? CONNECT_TIMEOUT_MS : config.connect_timeout_s * 1000,
  };
}

function parsed(text: string): URL {
  try {
    const url = new URL(text.replace(/^(mysql|mariadb)(\+\w+)?:/i, "mysql:"));
    for (const part of [url.hostname, url.username, url.password, url.pathname]) decodeURIComponent(part);
    const rest = url.pathname + url.search + url.hash;
    if (url.hash === "" && !(url.username === "" && rest.includes("@"))) return url;
  } catch {
    // told below, without the URL
  }
  throw new EngineError("CONFIG_INVALID", "The connection URL cannot be read.", {
    hint: "Write mysql://user:password@host:3306/database with reserved characters of the password percent-encoded (@ as %40, # as %23, / as %2F, ? as %3F, % as %25).",
  });
}

/** Errors: SOURCE_UNREACHABLE, SOURCE_LOGIN_REFUSED, CONFIG_INVALID. */
export async function connect(settings: MysqlSettings): Promise<Connection> {
  const ssl = tlsOptions(settings);
  try {
    try {
      return await opened(settings, ssl);
    } catch (error) {
      const hasNone = (error as { code?: unknown }).code === "HANDSHAKE_NO_SSL_SUPPORT";
      if (settings.ssl !== "prefer" || !hasNone) throw error;
      return await opened(settings, undefined);
    }
  } catch (error) {
    throw mysqlError(error, settings, {});
  }
}

function opened(settings: MysqlSettings, ssl: SslOptions | undefined): Promise<Connection> {
  const { host, port, database, username, password, connectTimeoutMs } = settings;
  const socket = host.startsWith("/") ? { socketPath: host } : { host, port };
  const address = isIP(host) !== 0 && ssl?.verifyIdentity ? addressAsName(host, port) : socket;
  const connection = mysql.createConnection({
    ...address,
    database,
    user: username,
    password,
    connectTimeout: connectTimeoutMs,
    charset: "utf8mb4_bin",
    ...(ssl === undefined ? {} : { ssl }),
  });
  return new Promise((resolve, reject) => {
    connection.once("error", reject);
    connection.connect((error) => {
      if (error === null || error === undefined) {
        connection.off("error", reject);
        resolve(connection);
      } else {
        connection.destroy();
        reject(error);
      }
    });
  });
}

/**
 * The driver compares a certificate with `localhost` where the host is an address. With a dot at its end, which
 * TLS removes, it is a name to the driver, and is compared as the address that it is.
 */
function addressAsName(host: string, port: number): Pick<ConnectionOptions, "host" | "port" | "stream"> {
  return { host: `${host}.`, port, stream: () => connectSocket(port, host) };
}

/** As the Postgres destination understands the modes. */
function tlsOptions({ ssl, rootCert }: MysqlSettings): SslOptions | undefined {
  if (ssl === "disable") return undefined;
  const authority = rootCert === undefined ? {} : { ca: certificates(rootCert) };
  if (ssl === "prefer" || (ssl === "require" && rootCert === undefined))
    return { ...authority, rejectUnauthorized: false };
  return { ...authority, rejectUnauthorized: true, verifyIdentity: ssl === "verify-full" };
}

function certificates(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new EngineError("CONFIG_INVALID", `The root certificate cannot be read: ${file}`, {
      hint: "Set ssl_root_cert to a PEM file.",
      details: { file },
      cause,
    });
  }
}
