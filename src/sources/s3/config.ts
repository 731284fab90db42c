/** How to reach an S3 store: the settings that all sources over S3 share, and where credentials come from. */

import { z } from "zod";
import type { SourceContext } from "../../engine/extract/resource.ts";

export const s3Settings = z.strictObject({
  /** Absent: AWS. */
  endpoint: z.url({ protocol: /^https?$/, error: "an http or https URL is needed" }).optional(),
  region: z.string().min(1).optional(),
  /** Bucket in the path instead of the host name; default for any endpoint of one's own. */
  path_style: z.boolean().optional(),
  /** `when_supported` lets the SDK ask for checksums that many S3-compatible stores do not know. */
  checksums: z.enum(["when_required", "when_supported"]).optional(),
  /** A profile of ~/.aws/config and ~/.aws/credentials. */
  profile: z.string().min(1).optional(),
  /** Attempts of one request, and of a body that breaks without any progress. */
  max_attempts: z.int().min(1).max(20).optional(),
  /** A response that brings no byte for so long is broken off and tried again. */
  idle_seconds: z.number().positive().optional(),
  /** Objects fetched ahead of the one that is parsed, and the bytes they may take together. */
  prefetch_objects: z.int().min(0).max(64).optional(),
  prefetch_bytes: z.int().min(0).optional(),
});

export type S3Settings = z.infer<typeof s3Settings>;

export const S3_DEFAULTS = {
  maxAttempts: 5,
  idleSeconds: 60,
  prefetchObjects: 8,
  prefetchBytes: 64 * 1024 * 1024,
} as const;

/** An object up to this size is held in memory as a whole; a larger one is streamed. */
export const HELD_OBJECT_BYTES_MAX = 16 * 1024 * 1024;

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const KEY = "credentials.aws_access_key_id";
const SECRET = "credentials.aws_secret_access_key";
const TOKEN = "credentials.aws_session_token";

/**
 * The workspace's secrets by dlt's names, or undefined: then the AWS chain decides (environment, profile, SSO,
 * container, instance). Errors: CONFIG_MISSING when only one of key and secret is set.
 */
export function s3Credentials(secrets: SourceContext["secrets"]): S3Credentials | undefined {
  if (!(KEY in secrets) && !(SECRET in secrets)) return undefined;
  return {
    accessKeyId: secrets[KEY]!,
    secretAccessKey: secrets[SECRET]!,
    ...(TOKEN in secrets ? { sessionToken: secrets[TOKEN]! } : {}),
  };
}
