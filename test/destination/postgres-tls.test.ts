/** Encrypted connections to a Postgres server whose certificate is from an authority of the test's own. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/engine/context.ts";
import type { DestinationSession } from "../../src/engine/destinations/destination.ts";
import { type PostgresOptions, postgres } from "../../src/engine/destinations/postgres/postgres.ts";
import { EngineError, toEnvelope } from "../../src/engine/errors.ts";
import { packageOf, schemaOf, table } from "../support/packages.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";

let folder: string;
let server: PostgresServer;
/** Files: the authority of the server's certificate, and another one of the same name. */
let authority: string;
let stranger: string;

const AUTHORITY = [{ name: "commonName", value: "Test authority" }];
const caExtensions = [
  { name: "basicConstraints", cA: true, critical: true },
  { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
] as const;
/** The eight bytes that ask whether there is encryption. */
const SSL_REQUEST = "0000000804d2162f";
const KEY = { keyType: "ec", algorithm: "sha256" } as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "postgres-tls-"));
  const ca = await generate(AUTHORITY, { ...KEY, extensions: [...caExtensions] });
  const other = await generate(AUTHORITY, { ...KEY, extensions: [...caExtensions] });
  const leaf = await generate([{ name: "commonName", value: "localhost" }], {
    ...KEY,
    ca: { key: ca.private, cert: ca.cert },
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }],
  });
  authority = join(folder, "authority.pem");
  stranger = join(folder, "stranger.pem");
  await writeFile(authority, ca.cert);
  await writeFile(stranger, other.cert);
  server = await startPostgres({ certificate: { cert: leaf.cert, key: leaf.private } });
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true });
});

/** The server's certificate is for localhost, not for 127.0.0.1. */
const open = (options: PostgresOptions, host = "localhost"): Promise<DestinationSession> =>
  postgres({ url: `${server.url}/postgres`, host, ...options }).open("tls_data", defaultContext({}));

function listening(relay: Server): Promise<number> {
  return new Promise((resolve) => {
    relay.listen(0, "127.0.0.1", () => resolve((relay.address() as AddressInfo).port));
  });
}

async function refusal(work: Promise<unknown>): Promise<EngineError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EngineError)) throw new Error(`expected an EngineError, got ${String(error)}`);
  return error;
}

describe("a connection is encrypted", () => {
  test.each([
    ["prefer", "127.0.0.1", "nothing"],
    ["require", "127.0.0.1", "nothing"],
    ["require", "127.0.0.1", "the authority"],
    ["verify-ca", "127.0.0.1", "the authority"],
    ["verify-full", "localhost", "the authority"],
  ] as const)("with %s at %s, given %s", async (ssl, host, given) => {
    const session = await open({ ssl, sslRootCert: given === "nothing" ? undefined : authority }, host);
    const sql = "select ssl, version like 'TLSv1.%' from pg_stat_ssl where pid = pg_backend_pid()";
    expect((await session.query(sql)).rows).toEqual([[true, true]]);
    await session.close();
  });

  test("with the settings of a URL, and carries a load", async () => {
    const url = `postgresql://postgres:test-only@localhost:${server.port}/postgres?sslmode=verify-full&sslrootcert=${encodeURIComponent(authority)}`;
    const session = await postgres({ url }).open("tls_data", defaultContext({}));
    const schema = schemaOf([table("t", { v: "text" })]);
    await session.commitPackage(await packageOf("blocks", folder, "1.5", schema, { t: [{ v: "x" }] }));
    expect((await session.query('select v from "tls_data"."t"')).rows).toEqual([["x"]]);
    await session.close();
  });

  test("also for the request that cancels a statement, which holds a key", async () => {
    const begins: Buffer[] = [];
    const { promise: cancelSent, resolve } = Promise.withResolvers<void>();
    const relay = createServer((socket: Socket) => {
      const onward = connect(server.port, "127.0.0.1");
      socket.once("data", (bytes) => {
        if (begins.push(bytes) === 2) resolve();
      });
      for (const end of [socket, onward]) end.on("error", () => {});
      socket.pipe(onward).pipe(socket);
    });
    const port = await listening(relay);
    const stop = new AbortController();
    const session = await postgres({ url: `${server.url}/postgres`, port, ssl: "require" }).open(
      "tls_data",
      defaultContext({ signal: stop.signal, boundary: (name) => name === "load:ddl" && stop.abort() }),
    );
    const schema = schemaOf([table("t", { v: "text" })]);
    const work = await packageOf("blocks", folder, "2.5", schema, { t: [{ v: "y" }] });
    expect((await refusal(session.commitPackage(work))).code).toBe("CANCELLED");
    await cancelSent;
    expect(begins.map((bytes) => bytes.toString("hex"))).toEqual([SSL_REQUEST, SSL_REQUEST]);
    await session.close();
    relay.close();
  });
});

describe("a connection is refused before the password is sent", () => {
  test.each(["require", "verify-ca", "verify-full"] as const)("by %s with another authority", async (ssl) => {
    const error = await refusal(open({ ssl, sslRootCert: stranger }));
    expect([error.code, error.retry]).toEqual(["DESTINATION_UNREACHABLE", "after_fix"]);
    expect(error.message).toContain("certificate could not be verified");
    expect(error.hint).toContain("ssl_root_cert");
  });

  test.each(["verify-ca", "verify-full"] as const)("by %s without an authority of its own", async (ssl) => {
    const error = await refusal(open({ ssl }));
    expect([error.code, error.retry]).toEqual(["DESTINATION_UNREACHABLE", "after_fix"]);
    expect(error.hint).toContain("ssl_root_cert");
  });

  test("by verify-full for another host than the certificate's", async () => {
    const error = await refusal(open({ ssl: "verify-full", sslRootCert: authority }, "127.0.0.1"));
    expect([error.code, error.retry]).toEqual(["DESTINATION_UNREACHABLE", "after_fix"]);
    expect(error.message).toContain("for another host");
    expect(error.hint).toContain("verify-ca");
  });

  test.each([
    ["that is not there", undefined],
    ["that holds no certificate", "no certificate"],
  ])("with a file of authorities %s", async (_what, text) => {
    const file = join(folder, "broken.pem");
    if (text !== undefined) await writeFile(file, text);
    const error = await refusal(open({ ssl: "verify-full", sslRootCert: file }));
    expect(error.code).toBe("CONFIG_INVALID");
    expect(error.message).toContain(file);
  });

  test("by a server that takes encrypted connections only, when they are disabled", async () => {
    const error = await refusal(open({ ssl: "disable" }));
    expect(error.code).toBe("DESTINATION_INVALID");
    expect(error.hint).toContain("ssl_mode");
  });
});

describe("a server, or somebody in between, that says it has no encryption", () => {
  let relay: Server;
  let port: number;
  let received: Buffer[];
  beforeAll(async () => {
    relay = createServer((socket: Socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        received.push(bytes);
        socket.write("N");
      });
    });
    port = await listening(relay);
  });
  afterAll(() => void relay.close());

  test.each(["require", "verify-ca", "verify-full"] as const)(
    "gets nothing from %s but the question",
    async (ssl) => {
      received = [];
      const error = await refusal(open({ ssl, sslRootCert: authority, port }, "127.0.0.1"));
      expect([error.code, error.retry]).toEqual(["DESTINATION_INVALID", "after_fix"]);
      expect(Buffer.concat(received).toString("hex")).toBe(SSL_REQUEST);
      expect(JSON.stringify(toEnvelope(error))).not.toContain("test-only");
    },
  );
});
