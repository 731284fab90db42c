/** Listing and reading a bucket over HTTP, with the AWS SDK and an S3 server, and faults put between them. */

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { S3Bucket, type S3Object } from "../../src/sources/s3/bucket.ts";
import { type S3Settings, s3Credentials } from "../../src/sources/s3/config.ts";
import { fetchAhead } from "../../src/sources/s3/fetch-ahead.ts";
import { type Fault, S3Test, s3ErrorXml } from "../support/s3.ts";

let s3: S3Test;
beforeAll(async () => {
  s3 = await S3Test.start();
});
afterAll(() => s3.stop());
const open: S3Bucket[] = [];
afterEach(async () => {
  for (const bucket of open.splice(0)) await bucket.close();
  s3.reset();
});

const { signal } = new AbortController();
const bucketWith = (settings: Partial<S3Settings> & { bucket?: string } = {}) => {
  const { bucket = s3.bucket, ...rest } = { ...s3.settings, ...settings };
  const made = new S3Bucket({
    bucket,
    settings: rest,
    credentials: { accessKeyId: "AKIAEXAMPLE", secretAccessKey: "example-secret-key" },
  });
  open.push(made);
  return made;
};
const listAll = async (bucket: S3Bucket, prefix = "", startAfter?: string) => {
  const found: S3Object[] = [];
  for await (const page of bucket.list({ prefix, startAfter, signal })) found.push(...page);
  return found;
};
const readAll = async (bucket: S3Bucket, object: S3Object) => {
  const parts: Uint8Array[] = [];
  for await (const bytes of bucket.source(object, signal).open()) parts.push(bytes);
  return Buffer.concat(parts);
};
const put = async (key: string, body: string | Uint8Array) => {
  await s3.put(key, body);
  return (await listAll(bucketWith(), key)).find((object) => object.key === key)!;
};

describe("listing", () => {
  test("takes all pages, leaves folder markers out, and can start behind a key", async () => {
    for (let i = 0; i < 1005; i++) await s3.put(`many/${String(i).padStart(4, "0")}.csv`, "a\n1\n");
    await s3.put("many/folder/", "");
    const found = await listAll(bucketWith(), "many/");
    expect(found.length).toBe(1005);
    expect(found[0]).toMatchObject({ key: "many/0000.csv", size: 4, etag: expect.stringMatching(/^"\w+"$/) });
    expect(s3.count("list")).toBe(2);
    expect((await listAll(bucketWith(), "many/", "many/1000.csv")).length).toBe(4);
  });

  test("keys that come percent-encoded are decoded", async () => {
    const key = "a b+c/ü %.csv";
    await s3.put(key, "x");
    s3.fault = ({ kind }) =>
      kind === "list"
        ? {
            rewrite: (xml) =>
              xml
                .replace(
                  /<Key>(.*?)<\/Key>/g,
                  (_, text) => `<Key>${encodeURIComponent(text).replaceAll("%20", "+")}</Key>`,
                )
                .replace("</ListBucketResult>", "<EncodingType>url</EncodingType></ListBucketResult>"),
          }
        : undefined;
    expect((await listAll(bucketWith())).map((object) => object.key)).toEqual([key]);
    expect(s3.seen.at(-1)!.query.get("encoding-type")).toBe("url");
    s3.fault = () => undefined;
    const [object] = await listAll(bucketWith());
    expect((await readAll(bucketWith(), object!)).toString()).toBe("x");
  });

  test("a page that comes twice is S3_RESPONSE, not a loop", async () => {
    await s3.put("a", "1");
    s3.fault = () => ({
      rewrite: (xml) =>
        xml
          .replace("<IsTruncated>false", "<IsTruncated>true")
          .replace(
            "</ListBucketResult>",
            "<NextContinuationToken>same</NextContinuationToken></ListBucketResult>",
          ),
    });
    await expect(listAll(bucketWith())).rejects.toMatchObject({ code: "S3_RESPONSE" });
    expect(s3.count("list")).toBe(2);
  });

  test("HTML with status 200 is S3_RESPONSE, not an empty bucket", async () => {
    for (const body of ["<html><body>Sign in</body></html>", "<!doctype html><p>Sign in<br>", "Sign in"]) {
      s3.fault = () => ({ status: 200, body, headers: { "content-type": "text/html" } });
      await expect(listAll(bucketWith()), body).rejects.toMatchObject({
        code: "S3_RESPONSE",
        retry: "after_fix",
      });
    }
  });
});

describe("reading", () => {
  const body = Buffer.alloc(3_000_000, "0123456789abcdef");

  test("a body that breaks goes on where it broke, bound to the same version", async () => {
    const object = await put("big", body);
    s3.fault = ({ kind, before }) =>
      kind !== "get" ? undefined : before < 3 ? { cutAfter: 700_000 } : undefined;
    expect((await readAll(bucketWith(), object)).equals(body)).toBe(true);
    const ranges = s3.seen.filter(({ kind }) => kind === "get").map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=700000-", "bytes=1400000-", "bytes=2100000-"]);
  });

  test("a body that stalls is broken off and goes on", async () => {
    const object = await put("stalls", body);
    s3.fault = ({ kind, before }) => (kind === "get" && before === 0 ? { stallAfter: 1000 } : undefined);
    expect((await readAll(bucketWith({ idle_seconds: 0.2 }), object)).equals(body)).toBe(true);
    expect(s3.count("get")).toBe(2);
  });

  test("a reader that takes longer than the idle time is not taken for a stalled body", async () => {
    const object = await put("slow-reader", body);
    let length = 0;
    for await (const bytes of bucketWith({ idle_seconds: 0.1 }).source(object, signal).open()) {
      if (length === 0) await new Promise((resolve) => setTimeout(resolve, 300));
      length += bytes.length;
    }
    expect(length).toBe(body.length);
    expect(s3.count("get")).toBe(1);
  });

  test("a body that never gets further is S3_UNREACHABLE with the byte where it broke", async () => {
    const object = await put("broken", body);
    s3.fault = ({ kind, before }) => (kind === "get" ? { cutAfter: before === 0 ? 1000 : 0 } : undefined);
    await expect(readAll(bucketWith(), object)).rejects.toMatchObject({
      code: "S3_UNREACHABLE",
      retry: "yes",
      details: { byte: 1000, size: body.length },
    });
  });

  test("an object that is replaced before or while it is read is FILE_CHANGED, never a mixture", async () => {
    const before = await put("replaced", body);
    await s3.put("replaced", Buffer.alloc(body.length, "x"));
    await expect(readAll(bucketWith(), before)).rejects.toMatchObject({ code: "FILE_CHANGED", retry: "yes" });
    const now = await put("replaced", body);
    s3.fault = ({ kind, before: count }) =>
      kind !== "get"
        ? undefined
        : count === 1
          ? { cutAfter: 1000 }
          : { first: () => s3.put("replaced", Buffer.alloc(body.length, "y")) };
    await expect(readAll(bucketWith(), now)).rejects.toMatchObject({ code: "FILE_CHANGED" });
  });

  test("an HTML page in place of the object is S3_RESPONSE", async () => {
    const object = await put("page", "a,b\n1,2\n");
    s3.fault = ({ kind }) => (kind === "get" ? { status: 200, body: "<html/>" } : undefined);
    await expect(readAll(bucketWith(), object)).rejects.toMatchObject({ code: "S3_RESPONSE" });
  });

  test("the same version is read again each time it is opened", async () => {
    const object = await put("again", "a\n1\n");
    const source = bucketWith().source(object, signal);
    for (const _ of [1, 2]) {
      const parts: Uint8Array[] = [];
      for await (const bytes of source.open()) parts.push(bytes);
      expect(Buffer.concat(parts).toString()).toBe("a\n1\n");
    }
  });
});

describe("fetching ahead", () => {
  const fetchAll = async (objects: S3Object[], settings: Partial<S3Settings>) => {
    const found: (string | undefined)[] = [];
    for await (const fetched of fetchAhead(bucketWith(), objects, settings, signal)) {
      found.push(fetched?.object.key);
    }
    return found;
  };
  const several = async (count: number, body: string | Uint8Array = "a\n1\n") => {
    for (let i = 0; i < count; i++) await s3.put(`${i}`, body);
    return listAll(bucketWith());
  };
  /** How many objects are asked for at the same time, at most; each answer waits a little. */
  const inFlight = () => {
    let now = 0;
    let most = 0;
    const first = async () => {
      now++;
      most = Math.max(most, now);
      await new Promise((resolve) => setTimeout(resolve, 30));
      now--;
    };
    s3.fault = ({ kind }) => (kind === "get" ? { first } : undefined);
    return () => most;
  };

  test("keeps the order and asks for as many objects at once as it may", async () => {
    const objects = await several(9);
    const most = inFlight();
    expect(await fetchAll(objects, { prefetch_objects: 3 })).toEqual(objects.map(({ key }) => key));
    expect(most()).toBe(4);
  });

  test("holds no more bytes than it may", async () => {
    const objects = await several(6, Buffer.alloc(1000));
    const most = inFlight();
    await fetchAll(objects, { prefetch_objects: 5, prefetch_bytes: 2500 });
    expect(most()).toBe(2);
  });

  test("leaves nothing under way when its reader stops, and tells an error in its object's turn", async () => {
    const objects = await several(5);
    s3.fault = ({ kind, key }) =>
      kind === "get" && key === "2" ? { status: 403, body: s3ErrorXml("AccessDenied") } : undefined;
    const seen: string[] = [];
    const failed = (async () => {
      for await (const fetched of fetchAhead(bucketWith(), objects, {}, signal))
        seen.push(fetched!.object.key);
    })();
    await expect(failed).rejects.toMatchObject({ code: "S3_ACCESS_DENIED" });
    expect(seen).toEqual(["0", "1"]);
  });
});

describe("faults end in a code and a next step", () => {
  const xml = (status: number, name: string, message?: string, more?: string): Fault => ({
    status,
    body: s3ErrorXml(name, message, more),
  });
  const cases: [name: string, fault: Fault, code: string, retry: string, hint: RegExp, requests: number][] = [
    ["NoSuchBucket", xml(404, "NoSuchBucket"), "S3_BUCKET_NOT_FOUND", "after_fix", /path_style/, 1],
    ["AccessDenied", xml(403, "AccessDenied"), "S3_ACCESS_DENIED", "after_fix", /s3:ListBucket/, 1],
    ["a 403 of a proxy", { status: 403, body: "<p>no" }, "S3_RESPONSE", "after_fix", /proxy/, 1],
    ["InvalidAccessKeyId", xml(403, "InvalidAccessKeyId"), "S3_CREDENTIALS", "after_fix", /of this store/, 1],
    [
      "SignatureDoesNotMatch",
      xml(403, "SignatureDoesNotMatch"),
      "S3_CREDENTIALS",
      "after_fix",
      /secret key/,
      1,
    ],
    ["ExpiredToken", xml(400, "ExpiredToken"), "S3_CREDENTIALS", "after_fix", /temporary credentials/, 1],
    ["RequestTimeTooSkewed", xml(403, "RequestTimeTooSkewed"), "S3_CLOCK", "after_fix", /NTP/, 1],
    [
      "AuthorizationHeaderMalformed",
      xml(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-central-1'"),
      "S3_REGION",
      "after_fix",
      /region = "eu-central-1"/,
      1,
    ],
    [
      "PermanentRedirect",
      { ...xml(301, "PermanentRedirect"), headers: { "x-amz-bucket-region": "eu-west-1" } } as Fault,
      "S3_REGION",
      "after_fix",
      /region = "eu-west-1"/,
      1,
    ],
    ["SlowDown", xml(503, "SlowDown"), "S3_THROTTLED", "yes", /prefetch_objects/, 3],
    ["InternalError", xml(500, "InternalError"), "S3_UNREACHABLE", "yes", /Run again/, 3],
    ["a 502 of a proxy", { status: 502, body: "<html>Bad gateway" }, "S3_UNREACHABLE", "yes", /run again/, 3],
    [
      "NotImplemented",
      xml(501, "NotImplemented", "Header 'x-amz-checksum-crc32'"),
      "S3_RESPONSE",
      "after_fix",
      /when_required/,
      1,
    ],
  ];
  test.each(cases)("%s, when listing", async (_, fault, code, retry, hint, requests) => {
    s3.fault = () => fault;
    const failed = listAll(bucketWith(), "in/");
    await expect(failed).rejects.toMatchObject({
      code,
      retry,
      hint: expect.stringMatching(hint),
      details: { bucket: s3.bucket, prefix: "in/" },
    });
    expect(s3.count("list")).toBe(requests);
  });

  test("SlowDown that passes is retried", async () => {
    await s3.put("a", "1");
    s3.fault = ({ before }) => (before < 2 ? xml(503, "SlowDown") : undefined);
    expect((await listAll(bucketWith())).length).toBe(1);
    expect(s3.count("list")).toBe(3);
  });

  test.each([
    ["NoSuchKey", xml(404, "NoSuchKey"), "FILE_NOT_FOUND", "yes", /listed anew/],
    [
      "AccessDenied",
      xml(403, "AccessDenied"),
      "S3_ACCESS_DENIED",
      "after_fix",
      /s3:GetObject on exports\/in\/\*/,
    ],
    ["InvalidObjectState", xml(403, "InvalidObjectState"), "S3_ARCHIVED", "after_fix", /Restore/],
    ["InvalidRange", xml(416, "InvalidRange"), "FILE_CHANGED", "yes", /new version/],
  ] as const)("%s, when reading", async (_, fault, code, retry, hint) => {
    const object = await put("in/a.csv", "a\n");
    s3.fault = ({ kind }) => (kind === "get" ? (fault as Fault) : undefined);
    await expect(readAll(bucketWith(), object)).rejects.toMatchObject({
      code,
      retry,
      hint: expect.stringMatching(hint),
      details: { file: "s3://exports/in/a.csv" },
    });
  });

  test("nobody at the endpoint", async () => {
    await expect(
      listAll(bucketWith({ endpoint: "http://127.0.0.1:9", max_attempts: 1 })),
    ).rejects.toMatchObject({
      code: "S3_UNREACHABLE",
      message: expect.stringContaining("ECONNREFUSED"),
      retry: "yes",
    });
  });

  test("a bucket that is not there", async () => {
    await expect(listAll(bucketWith({ bucket: "nobodys" }))).rejects.toMatchObject({
      code: "S3_BUCKET_NOT_FOUND",
    });
  });

  test("the secret key is in no part of an error", async () => {
    s3.fault = () =>
      xml(403, "SignatureDoesNotMatch", "calculated", "<AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId>");
    const error = await listAll(bucketWith()).catch((thrown) => thrown);
    expect(
      `${error.message} ${error.hint} ${JSON.stringify(error.details)} ${error.cause?.message}`,
    ).not.toMatch(/example-secret-key|AKIAEXAMPLE/);
  });
});

describe("without secrets in the workspace the AWS chain decides", () => {
  const AWS = {
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_SHARED_CREDENTIALS_FILE: "/nowhere/credentials",
    AWS_CONFIG_FILE: "/nowhere/config",
    AWS_REGION: undefined,
    AWS_DEFAULT_REGION: undefined,
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
  };
  const bucketOf = (settings: Partial<S3Settings>, environment: Record<string, string | undefined>) => {
    for (const [key, value] of Object.entries({ ...AWS, ...environment })) vi.stubEnv(key, value);
    const made = new S3Bucket({ bucket: s3.bucket, settings, credentials: s3Credentials({}) });
    open.push(made);
    return made;
  };
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test("its environment variables are used", async () => {
    await s3.put("a", "1");
    const environment = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY: "example-secret-key" };
    expect((await listAll(bucketOf({ endpoint: s3.endpoint }, environment))).length).toBe(1);
  });

  test("nothing found is S3_CREDENTIALS, and no region CONFIG_MISSING, each with what to set", async () => {
    await expect(listAll(bucketOf({ endpoint: s3.endpoint }, {}))).rejects.toMatchObject({
      code: "S3_CREDENTIALS",
      hint: expect.stringContaining("CREDENTIALS__AWS_ACCESS_KEY_ID"),
    });
    await expect(listAll(bucketOf({}, {}))).rejects.toMatchObject({
      code: "CONFIG_MISSING",
      hint: expect.stringContaining("region"),
    });
  });
});
