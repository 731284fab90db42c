/** Certificates of an authority of the tests' own, made by the openssl program, which comes with ca-certificates. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";

export interface Certificates {
  /** PEM files. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** A certificate for the host and nothing else, by its authority; all in the folder. */
export function makeCertificates(folder: string, host: string): Certificates {
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => {
    const { status, stderr, error } = spawnSync("openssl", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${error ?? stderr}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    ...["req", "-x509", ...key, "-subj", "/CN=authority of the tests", "-days", "2"],
    ...["-keyout", file("authority.key"), "-out", file("authority.pem")],
  );
  openssl(
    ...["req", ...key, "-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`],
    ...["-keyout", file("server.key"), "-out", file("server.csr")],
  );
  openssl(
    ...[
      "x509",
      "-req",
      "-in",
      file("server.csr"),
      "-days",
      "2",
      "-copy_extensions",
      "copy",
      "-CAcreateserial",
    ],
    ...["-CA", file("authority.pem"), "-CAkey", file("authority.key"), "-out", file("server.pem")],
  );
  return { authority: file("authority.pem"), certificate: file("server.pem"), key: file("server.key") };
}
