/**
 * What the AWS SDK throws, as errors with a next step. The names are those of the S3 API; an error without a
 * body (HEAD, a proxy's page) has only a status.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */

import { EngineError, type ErrorCode, type ErrorOptionsOfEngine } from "../../engine/errors.ts";

export interface S3Place {
  readonly bucket: string;
  /** The prefix that was listed, or the object's key. */
  readonly key: string;
  readonly action: "list" | "read";
  readonly endpoint: string | undefined;
}

interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Record<string, string> };
}

export const urlOf = (bucket: string, key: string): string => `s3://${bucket}/${key}`;

/** Any error of a request; one that is coded already, and the abort of a cancelled run, stay what they are. */
export function s3Error(error: unknown, place: S3Place): unknown {
  if (error instanceof EngineError) return error;
  const thrown = error as SdkError;
  if (thrown?.name === "AbortError") return error;
  const status = thrown?.$metadata?.httpStatusCode ?? thrown?.$response?.statusCode;
  const [code, message, options] = explain(thrown, status, place);
  return new EngineError(code, message, {
    ...options,
    details: {
      bucket: place.bucket,
      ...(place.action === "read"
        ? { file: urlOf(place.bucket, place.key) }
        : { prefix: place.key, request: "ListObjectsV2" }),
      ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
      ...(status === undefined ? {} : { status }),
      error_name: thrown?.name,
      ...options?.details,
    },
    cause: error,
  });
}

type Explained = [code: ErrorCode, message: string, options?: ErrorOptionsOfEngine];

function explain(error: SdkError, status: number | undefined, place: S3Place): Explained {
  const { bucket, action } = place;
  const what =
    action === "list" ? `Listing ${urlOf(bucket, place.key)}` : `Reading ${urlOf(bucket, place.key)}`;
  const where = place.endpoint ?? "AWS";
  const text = error.message ?? "";
  switch (error.name) {
    case "NoSuchBucket":
      return ["S3_BUCKET_NOT_FOUND", `${where} has no bucket ${bucket}.`];
    case "NoSuchKey":
    case "NotFound":
      return action === "list"
        ? ["S3_BUCKET_NOT_FOUND", `${where} has no bucket ${bucket}.`]
        : [
            "FILE_NOT_FOUND",
            `${urlOf(bucket, place.key)} does not exist (any more).`,
            {
              hint: "Run again: the objects are listed anew.",
              retry: "yes",
            },
          ];
    case "InvalidAccessKeyId":
      return [
        "S3_CREDENTIALS",
        `${what}: ${where} does not know the access key.`,
        {
          hint: "Use a key pair of this store: a key of AWS is not known to R2 or MinIO, and a deleted key to nobody.",
        },
      ];
    case "SignatureDoesNotMatch":
      return [
        "S3_CREDENTIALS",
        `${what}: the signature is refused.`,
        {
          hint: "Enter the secret key again (look for a space at its end), and check region and endpoint; a proxy must not rewrite the host.",
        },
      ];
    case "ExpiredToken":
    case "ExpiredTokenException":
    case "TokenRefreshRequired":
    case "InvalidToken":
      return [
        "S3_CREDENTIALS",
        `${what}: the session token has expired or is not valid.`,
        {
          hint: "Get new temporary credentials (aws sso login, assume the role again), or use a long-lived key.",
        },
      ];
    case "CredentialsProviderError":
    case "TokenProviderError":
      return [
        "S3_CREDENTIALS",
        `${what}: no credentials were found.`,
        {
          hint: "Set SOURCES__S3_EXPORTS__CREDENTIALS__AWS_ACCESS_KEY_ID and …__AWS_SECRET_ACCESS_KEY (for a filesystem source SOURCES__FILESYSTEM__…) in .env, or use the environment of the AWS tools.",
        },
      ];
    case "RequestTimeTooSkewed":
      return ["S3_CLOCK", `${what}: the clock of this machine and that of ${where} differ too much.`];
    case "PermanentRedirect":
    case "TemporaryRedirect":
    case "AuthorizationHeaderMalformed":
    case "IllegalLocationConstraintException":
      return wrongRegion(error, place, what);
    case "SlowDown":
    case "ServiceUnavailable":
    case "Throttling":
    case "ThrottlingException":
    case "TooManyRequestsException":
      return ["S3_THROTTLED", `${what}: ${where} asks for fewer requests, after all retries.`];
    case "InternalError":
      return [
        "S3_UNREACHABLE",
        `${what}: ${where} failed with an internal error, after all retries.`,
        {
          hint: "Run again later.",
        },
      ];
    case "InvalidObjectState":
      return ["S3_ARCHIVED", `${urlOf(bucket, place.key)} is in an archive class and cannot be read.`];
    case "PreconditionFailed":
    case "InvalidRange":
      return [
        "FILE_CHANGED",
        `${urlOf(bucket, place.key)} was replaced while it was read.`,
        {
          hint: "Run again: the new version is read. Set `min_age_seconds` if it is being written for long.",
        },
      ];
    case "NotImplemented":
      return [
        "S3_RESPONSE",
        `${what}: ${where} does not implement what was asked.`,
        {
          hint: 'Set checksums = "when_required": older S3-compatible stores do not know the checksum headers.',
        },
      ];
    case "TimeoutError":
    case "RequestTimeout":
    case "NetworkingError":
      return ["S3_UNREACHABLE", `${what}: ${where} did not answer in time, after all retries.`];
    case "AccessDenied":
    case "Forbidden":
    case "AllAccessDisabled":
    case "AccountProblem":
      return denied(place, what);
  }
  const notXml = /Deserialization error|is not expected|Unexpected token|Unclosed|not closed|XML/i.test(text);
  if (notXml && (status === undefined || status < 500)) {
    return ["S3_RESPONSE", `${what}: ${where} answered with something that is not S3${told(status)}.`];
  }
  if (/Region is missing/i.test(text)) {
    return [
      "CONFIG_MISSING",
      `${what}: no region is set.`,
      {
        hint: "Set `region` beside the bucket, or AWS_REGION.",
      },
    ];
  }
  if (error.code !== undefined && /^E[A-Z_]+$|^UND_/.test(error.code)) {
    return ["S3_UNREACHABLE", `${what}: ${where} cannot be reached (${error.code}).`];
  }
  return byStatus(status, place, what, where);
}

function byStatus(status: number | undefined, place: S3Place, what: string, where: string): Explained {
  const { bucket, key, action } = place;
  switch (status) {
    case 301:
    case 307:
      return wrongRegion({}, place, what);
    case 401:
    case 403:
      return denied(place, what);
    case 404:
      return action === "list"
        ? ["S3_BUCKET_NOT_FOUND", `${where} has no bucket ${bucket}.`]
        : ["FILE_NOT_FOUND", `${urlOf(bucket, key)} does not exist (any more).`, { retry: "yes" }];
    case 412:
    case 416:
      return ["FILE_CHANGED", `${urlOf(bucket, key)} was replaced while it was read.`];
    case 429:
    case 503:
      return ["S3_THROTTLED", `${what}: ${where} asks for fewer requests, after all retries.`];
  }
  if (status !== undefined && status >= 500) {
    return ["S3_UNREACHABLE", `${what}: ${where} failed with status ${status}, after all retries.`];
  }
  return status === undefined
    ? ["S3_UNREACHABLE", `${what}: the connection to ${where} failed.`]
    : ["S3_RESPONSE", `${what}: ${where} refused the request${told(status)}.`];
}

/** Without the right to list, S3 says "denied" of an object that is not there. */
function denied({ action, bucket, key }: S3Place, what: string): Explained {
  return action === "list"
    ? ["S3_ACCESS_DENIED", `${what} is denied.`, { hint: `Grant s3:ListBucket on the bucket ${bucket}.` }]
    : [
        "S3_ACCESS_DENIED",
        `${what} is denied.`,
        {
          hint: `Grant s3:GetObject on ${bucket}/${folderOf(key)}*, and kms:Decrypt if the objects are encrypted with KMS.`,
        },
      ];
}

function wrongRegion(error: SdkError, { bucket }: S3Place, what: string): Explained {
  const expected =
    error.Region ??
    error.$response?.headers?.["x-amz-bucket-region"] ??
    /expecting '([\w-]+)'/.exec(error.message ?? "")?.[1];
  return [
    "S3_REGION",
    expected === undefined
      ? `${what}: the bucket ${bucket} is in another region.`
      : `${what}: the bucket ${bucket} is in the region ${expected}.`,
    expected === undefined
      ? {}
      : { hint: `Set region = "${expected}".`, details: { expected_region: expected } },
  ];
}

function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1);
}

function told(status: number | undefined): string {
  return status === undefined ? "" : ` (status ${status})`;
}
