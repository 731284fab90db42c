import { describe, expect, it } from "vitest";
import { postgresError } from "../../src/engine/destinations/postgres/errors.ts";
import { postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { connectionSettings } from "../../src/engine/destinations/postgres/settings.ts";
import { supabaseAddress, supabaseFindings } from "../../src/engine/destinations/postgres/supabase.ts";
import { EngineError, toEnvelope } from "../../src/engine/errors.ts";

function refusal(work: () => unknown): EngineError {
  try {
    work();
  } catch (error) {
    if (error instanceof EngineError) return error;
  }
  throw new Error("expected an EngineError");
}

describe("a connection URL", () => {
  it("is read as libpq and dlt write it; fields win", () => {
    const url =
      "postgresql+psycopg2://me:p%40ss%23@db.example.com:6000/shop?sslmode=verify-full&connect_timeout=5&keepalives=1";
    expect(connectionSettings({ url, port: 6001 })).toEqual({
      host: "db.example.com",
      port: 6001,
      database: "shop",
      username: "me",
      password: "p@ss#",
      ssl: "verify-full",
      sslRootCert: undefined,
      connectTimeoutMs: 5000,
      applicationName: "loadwright",
      ignored: ["keepalives"],
    });
    expect(connectionSettings({ url: "postgres://me@[::1]/d" }).host).toBe("::1");
    expect(connectionSettings({ url: "postgres:///d?host=/var/run/postgresql&user=me" })).toMatchObject({
      host: "/var/run/postgresql",
      database: "d",
      ssl: "prefer",
    });
  });

  it("may trust the authorities of the machine, as libpq says it", () => {
    const url = "postgresql://me@h/d?sslmode=require&sslrootcert=system";
    expect(connectionSettings({ url })).toMatchObject({ ssl: "verify-full", sslRootCert: undefined });
  });

  it.each([
    "postgresql://me:sec#ret@host/db",
    "postgresql://me:sec/ret@host/db",
    "postgresql://me:sec?ret@host/db",
    "postgresql://me:sec%ret@host/db",
    "mysql://me:secret@host/db",
    "postgresql://me:secret@host:notaport/db",
  ])("with a character that is not encoded is refused without showing it: %s", (url) => {
    const error = refusal(() => connectionSettings({ url }));
    expect(error.code).toBe("CONFIG_INVALID");
    expect(JSON.stringify(toEnvelope(error))).not.toMatch(/sec|ret@/);
  });

  it("never shows user or password in the destination's name", () => {
    const destination = postgres({ url: "postgresql://me:secret@host/db" });
    expect(destination.displayName).toBe("postgres:host:5432/db");
    expect(destination.capabilities.identifierLengthMax).toBe(63);
  });

  it("without a host names what is missing", () => {
    const error = refusal(() => connectionSettings({ database: "d" }));
    expect([error.code, error.details.missing]).toEqual(["CONFIG_MISSING", ["host", "username"]]);
  });
});

const REF = "abcdefghijklmnopqrst";
const POOLER = "aws-0-eu-central-1.pooler.supabase.com";

describe("an address of Supabase", () => {
  it.each([
    [`db.${REF}.supabase.co`, 5432, "postgres", "direct"],
    [`db.${REF}.supabase.co`, 6543, "postgres", "dedicated_pooler"],
    [POOLER, 5432, `postgres.${REF}`, "session_pooler"],
    [POOLER, 6543, `loader.${REF}`, "transaction_pooler"],
  ])("%s:%i is recognised", (host, port, username, route) => {
    expect(supabaseAddress({ host, port, username })).toEqual({ route, ref: REF });
    expect(supabaseFindings({ host, port, username }).filter(({ kind }) => kind === "mistake")).toEqual([]);
  });

  it("that is not Supabase's has no findings", () => {
    expect(supabaseAddress({ host: "localhost", port: 6543, username: "postgres" })).toBeUndefined();
    expect(supabaseFindings({ host: "supabase.example.com", port: 5432, username: "a.b" })).toEqual([]);
  });

  it.each([
    [POOLER, 5432, "postgres", ["user_without_project"]],
    [`db.${REF}.supabase.co`, 5432, `postgres.${REF}`, ["user_with_project"]],
    [`${REF}.supabase.co`, 5432, "postgres", ["project_host"]],
    ["eu-central-1.pooler.supabase.com", 5432, `postgres.${REF}`, ["pooler_host_form"]],
    [POOLER, 6543, `postgres.${REF}`, ["transaction_pooler"]],
    [POOLER, 5433, `postgres.${REF}`, ["port"]],
  ])("%s:%i as %s: %j", (host, port, username, codes) => {
    expect(supabaseFindings({ host, port, username }).map(({ code }) => code)).toEqual(codes);
  });
});

describe("errors", () => {
  const login = { host: POOLER, port: 5432, username: `postgres.${REF}` };
  const direct = { host: `db.${REF}.supabase.co`, port: 5432, username: "postgres" };
  const server = (code: string, message: string, more: object = {}) =>
    Object.assign(new Error(message), { code, severity: "ERROR", ...more });
  const network = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

  it.each([
    [
      server("XX000", `(ENOTFOUND) tenant/user postgres.${REF} not found`),
      "DESTINATION_INVALID",
      "after_fix",
    ],
    [server("XX000", "Tenant or user not found"), "DESTINATION_INVALID", "after_fix"],
    [server("XX000", "(EMAXCONNSESSION) max clients reached"), "DESTINATION_UNREACHABLE", "yes"],
    [
      server("XX000", "(ECIRCUITBREAKER) too many authentication failures"),
      "DESTINATION_UNREACHABLE",
      "after_fix",
    ],
    [server("28P01", "password authentication failed"), "DESTINATION_INVALID", "after_fix"],
    [server("53300", "sorry, too many clients already"), "DESTINATION_UNREACHABLE", "yes"],
    [server("57P03", "the database system is starting up"), "DESTINATION_UNREACHABLE", "yes"],
    [server("40P01", "deadlock detected"), "DESTINATION_INVALID", "yes"],
    [server("08006", "connection failure"), "DESTINATION_UNREACHABLE", "yes"],
    [network("ECONNREFUSED"), "DESTINATION_UNREACHABLE", "yes"],
    [network("ENETUNREACH"), "DESTINATION_UNREACHABLE", "after_fix"],
    [network("SELF_SIGNED_CERT_IN_CHAIN"), "DESTINATION_UNREACHABLE", "after_fix"],
    [new AggregateError([network("ETIMEDOUT")]), "DESTINATION_UNREACHABLE", "yes"],
    [new Error("Connection terminated unexpectedly"), "DESTINATION_UNREACHABLE", "yes"],
  ])("%s is %s, retry %s", (error, code, retry) => {
    const made = postgresError(error, { doing: "open", login });
    expect([made.code, made.retry]).toEqual([code, retry]);
  });

  it("of Supabase's routes say which other route to take", () => {
    const hint = (error: Error) => postgresError(error, { doing: "open", login: direct }).hint;
    expect(hint(network("ENETUNREACH"))).toContain("session pooler");
    expect(hint(network("ENOTFOUND"))).toContain("paused");
    expect(hint(network("ECONNREFUSED"))).toContain("ban");
    expect(hint(network("SELF_SIGNED_CERT_IN_CHAIN"))).toContain("ssl_root_cert");
  });

  it("about values never carry the server's text", () => {
    const error = server("22P02", 'invalid input syntax for type json: "secret"', {
      where: 'JSON data, line 1: secret\nCOPY orders, line 7, column price: "secret"',
      detail: "secret",
    });
    const made = postgresError(error, { doing: "load", where: { table: "orders" } });
    expect(made.details).toEqual({ table: "orders", column: "price", sqlstate: "22P02" });
    expect(JSON.stringify(toEnvelope(made))).not.toContain("secret");
  });
});
