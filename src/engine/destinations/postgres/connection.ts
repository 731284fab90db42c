/**
 * One connection. Nothing is kept in its session: every setting is `set local` inside a transaction, no
 * statement has a name, and nothing but the application's name goes into the start of the session, so that a
 * pooler may give each transaction another backend.
 */

import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { ConnectionOptions } from "node:tls";
import pg from "pg";
import type { RunContext } from "../../context.ts";
import { EngineError } from "../../errors.ts";
import type { Statement } from "../../sql/statement.ts";
import { NO_SSL_MESSAGE, postgresError } from "./errors.ts";
import type { ConnectionSettings } from "./settings.ts";
import { supabaseFindings } from "./supabase.ts";

/** Every value as the text that the server sent: nothing is lost, and nothing depends on this machine. */
const AS_TEXT = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

export type TextRow = Readonly<Record<string, string | null>>;

/** What of the driver's connection is used to cancel: its types leave these out. */
interface CancelRequest {
  readonly stream: { end(): void };
  on(event: "error", listener: () => void): void;
  once(event: "connect" | "sslconnect", listener: () => void): void;
  connect(portOrSocket: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processID: number, secretKey: number): void;
}

export class Connection {
  readonly client: pg.Client;
  readonly settings: ConnectionSettings;
  private readonly tls: ConnectionOptions | false;
  /** Set when the server or the network ended it. */
  lost: Error | undefined;

  private constructor(client: pg.Client, settings: ConnectionSettings, tls: ConnectionOptions | false) {
    this.client = client;
    this.settings = settings;
    this.tls = tls;
    // Without a listener a connection that the server ends while idle would end the process.
    client.on("error", (error) => {
      this.lost = error;
    });
  }

  /** Errors: DESTINATION_UNREACHABLE, DESTINATION_INVALID, CONFIG_MISSING. */
  static async open(settings: ConnectionSettings, context: Pick<RunContext, "log">): Promise<Connection> {
    advise(settings, context);
    try {
      const tls = await tlsOptions(settings);
      try {
        return await connect(settings, tls);
      } catch (error) {
        const hasNone = error instanceof Error && error.message === NO_SSL_MESSAGE;
        if (settings.ssl !== "prefer" || !hasNone) throw error;
        return await connect(settings, false);
      }
    } catch (error) {
      throw postgresError(error, { doing: "open", login: settings });
    }
  }

  static of(client: pg.Client, settings: ConnectionSettings, tls: ConnectionOptions | false): Connection {
    return new Connection(client, settings, tls);
  }

  /** Statements without parameters, in one round trip. */
  async run(sql: string): Promise<number> {
    const result = await this.client.query(sql);
    return result.rowCount ?? 0;
  }

  async rows({ sql, parameters }: Statement): Promise<TextRow[]> {
    const values = parameters === undefined ? [] : [...parameters];
    const result = await this.client.query<TextRow>({ text: sql, values, types: AS_TEXT });
    return result.rows;
  }

  async table(sql: string, parameters: readonly unknown[]): Promise<pg.QueryArrayResult<(string | null)[]>> {
    return this.client.query<(string | null)[]>({
      text: sql,
      values: [...parameters],
      rowMode: "array",
      types: AS_TEXT,
    });
  }

  /**
   * Asks the server to end the statement that is running; one that does not listen loses the connection. The
   * request holds a key, so it is encrypted where the connection is.
   */
  interrupt(): void {
    const { processID, secretKey } = this.client as unknown as { processID?: number; secretKey?: number };
    const { host, port } = this.settings;
    if (processID == null || secretKey == null) return;
    const request = new pg.Connection({ ssl: this.tls }) as unknown as CancelRequest;
    request.on("error", () => {});
    const send = (): void => {
      request.cancel(processID, secretKey);
      request.stream.end();
    };
    request.once("connect", this.tls === false ? send : () => request.requestSsl());
    request.once("sslconnect", send);
    if (host.startsWith("/")) request.connect(`${host}/.s.PGSQL.${port}`);
    else request.connect(port, host);
    const giveUp = setTimeout(() => this.destroy(), 5_000);
    giveUp.unref();
    this.client.once("end", () => clearTimeout(giveUp));
    this.client.once("drain", () => clearTimeout(giveUp));
  }

  /** Cuts the connection; the server undoes what was not committed. */
  destroy(): void {
    const { connection } = this.client as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
  }

  async close(): Promise<void> {
    if (this.lost === undefined) await this.client.end().catch(() => {});
  }
}

async function connect(settings: ConnectionSettings, ssl: ConnectionOptions | false): Promise<Connection> {
  const client = new pg.Client({
    host: settings.host,
    port: settings.port,
    database: settings.database,
    user: settings.username,
    password: settings.password,
    ssl,
    application_name: settings.applicationName,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    keepAlive: true,
  });
  const connection = Connection.of(client, settings, ssl);
  await client.connect();
  return connection;
}

async function tlsOptions(settings: ConnectionSettings): Promise<ConnectionOptions | false> {
  const { ssl, sslRootCert } = settings;
  if (ssl === "disable" || settings.host.startsWith("/")) return false;
  const authority = sslRootCert === undefined ? {} : { ca: await certificates(sslRootCert) };
  // As in libpq: without an authority given, require encrypts and checks nothing.
  if (ssl === "prefer" || (ssl === "require" && sslRootCert === undefined)) {
    return { ...authority, rejectUnauthorized: false };
  }
  if (ssl === "verify-full") return { ...authority, rejectUnauthorized: true };
  return { ...authority, rejectUnauthorized: true, checkServerIdentity: () => undefined };
}

async function certificates(file: string): Promise<string> {
  const unusable = (why: string, cause: unknown): EngineError =>
    new EngineError("CONFIG_INVALID", `The root certificate ${why}: ${file}`, {
      hint: "Set ssl_root_cert to a PEM file with the certificates to trust.",
      details: { file },
      cause,
    });
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw unusable("cannot be read", cause);
  }
  try {
    // refuses what the connection would take for no certificates at all
    new X509Certificate(text);
  } catch (cause) {
    throw unusable("is no certificate", cause);
  }
  return text;
}

/** A mistake in the address is told at once: attempts that cannot succeed may get the address banned. */
function advise(settings: ConnectionSettings, context: Pick<RunContext, "log">): void {
  if (settings.ignored.length > 0) {
    context.log("warn", "postgres:url_parameters_ignored", { parameters: settings.ignored });
  }
  for (const { kind, code, text, hint } of supabaseFindings(settings)) {
    if (kind === "mistake") {
      throw new EngineError("DESTINATION_INVALID", text, { hint, details: { supabase: code } });
    }
    context.log("warn", `supabase:${code}`, { message: text, hint });
  }
}
