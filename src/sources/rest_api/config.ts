/** The configuration of the rest_api source. Keys are those of dlt's rest_api where it has them. */

import { z } from "zod";
import type { Row } from "../../engine/extract/page.ts";
import { Resource } from "../../engine/extract/resource.ts";
import { DATA_TYPES } from "../../engine/schema/types.ts";
import type { HttpResponse } from "../http/index.ts";
import { parseSourceConfig } from "../parse-config.ts";

/** A secret by its name, looked up as every secret of a source: `{ secret = "github_token" }`. */
const secretReference = z.strictObject({ secret: z.string().min(1) });
const secret = z.union([z.string().min(1), secretReference]).optional();
const scalar = z.union([z.string(), z.number(), z.boolean(), z.bigint()]);
const path = z.string().min(1);
const count = z.int().positive();
const fn = <T>() => z.custom<T>((value) => typeof value === "function", "a function is wanted");
/** An object, or a word that stands for one with just that key. */
function orWord<S extends z.ZodType>(key: string, schema: S) {
  const spelled = (value: unknown) => (typeof value === "string" ? { [key]: value } : value);
  // preprocessing forgets what goes in, which authors of TypeScript sources need
  return z.preprocess(spelled, schema) as unknown as z.ZodType<z.output<S>, z.input<S> | string>;
}

const authKinds = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("bearer"), token: secret }),
  z.strictObject({
    type: z.literal("api_key"),
    api_key: secret,
    name: z.string().min(1).default("Authorization"),
    location: z.enum(["header", "query", "param", "cookie"]).default("header"),
  }),
  z.strictObject({ type: z.literal("http_basic"), username: secret, password: secret }),
  z.strictObject({ type: z.literal("header"), name: z.string().min(1), value: secret }),
  z.strictObject({
    type: z.literal("oauth2_client_credentials"),
    access_token_url: z.string().min(1),
    client_id: secret,
    client_secret: secret,
    access_token_request_data: z.record(z.string(), z.string()).optional(),
    default_token_expiration: count.optional(),
    client_auth: z.enum(["body", "basic"]).optional(),
  }),
]);

const auth = z.preprocess(
  (value) =>
    typeof value === "object" && value !== null && !("type" in value) ? { type: "bearer", ...value } : value,
  authKinds,
) as unknown as z.ZodType<
  z.output<typeof authKinds>,
  z.input<typeof authKinds> | { readonly token?: z.input<typeof secret> }
>;

/** Switches the reading of a total off, where the field has another meaning. */
const total = z
  .union([path, z.literal(false), z.literal("")])
  .nullable()
  .optional();

const paginator = orWord(
  "type",
  z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("auto") }),
    z.strictObject({ type: z.literal("single_page") }),
    z.strictObject({ type: z.literal("json_link"), next_url_path: path.default("next") }),
    z.strictObject({ type: z.literal("header_link"), links_next_key: path.default("next") }),
    z.strictObject({
      type: z.literal("header_cursor"),
      cursor_key: path.default("next"),
      cursor_param: path.default("cursor"),
    }),
    z.strictObject({
      type: z.literal("cursor"),
      cursor_path: path.default("cursors.next"),
      cursor_param: path.optional(),
      cursor_body_path: path.optional(),
      stop_after_empty_page: z.boolean().default(false),
      has_more_path: path.optional(),
    }),
    z.strictObject({
      type: z.literal("offset"),
      limit: count,
      offset: z.int().min(0).default(0),
      offset_param: path.optional(),
      limit_param: path.optional(),
      offset_body_path: path.optional(),
      limit_body_path: path.optional(),
      total_path: total,
      maximum_offset: count.optional(),
      stop_after_empty_page: z.boolean().default(true),
      has_more_path: path.optional(),
    }),
    z.strictObject({
      type: z.literal("page_number"),
      base_page: z.int().min(0).default(0),
      page: z.int().min(0).optional(),
      page_param: path.optional(),
      page_body_path: path.optional(),
      total_path: total,
      maximum_page: count.optional(),
      stop_after_empty_page: z.boolean().default(true),
      has_more_path: path.optional(),
    }),
  ]),
);

export const CONVERSIONS = ["epoch_seconds", "epoch_milliseconds", "date", "datetime"] as const;

const cursorOptions = {
  cursor_path: path,
  initial_value: z.unknown().optional(),
  end_value: z.unknown().optional(),
  lag: z.number().optional(),
  last_value_func: z.enum(["max", "min"]).optional(),
  primary_key: z.union([z.string(), z.array(z.string())]).optional(),
  row_order: z.enum(["asc", "desc"]).optional(),
  range_start: z.enum(["closed", "open"]).optional(),
  range_end: z.enum(["closed", "open"]).optional(),
  on_cursor_value_missing: z.enum(["raise", "include", "exclude"]).optional(),
  convert: z.union([z.enum(CONVERSIONS), fn<(value: unknown) => unknown>()]).optional(),
};

const incremental = z.strictObject({
  ...cursorOptions,
  start_param: path.optional(),
  end_param: path.optional(),
});

const param = z.union([
  scalar,
  z.null(),
  z.array(scalar),
  secretReference,
  z.strictObject({ type: z.literal("resolve"), resource: path, field: path }),
  z.strictObject({ type: z.literal("incremental"), ...cursorOptions }),
]);

/** What a function says about a response: pass over it, fail, or (nothing) go on. */
export type ResponseVerdict = "ignore" | "raise" | undefined;

const responseAction = z.strictObject({
  status_code: z.int().min(100).max(599).optional(),
  content: z.string().min(1).optional(),
  action: z.union([z.enum(["ignore", "raise"]), fn<(response: HttpResponse) => ResponseVerdict>()]),
});

const names = z.union([path, z.array(path).min(1)]);

const endpoint = orWord(
  "path",
  z.strictObject({
    path: z.string().optional(),
    method: z.enum(["GET", "POST", "PUT", "get", "post", "put"]).optional(),
    params: z.record(z.string(), param).optional(),
    json: z.record(z.string(), z.unknown()).optional(),
    data: z.record(z.string(), z.string()).optional(),
    headers: z.record(z.string(), z.union([z.string(), secretReference])).optional(),
    auth: auth.optional(),
    paginator: paginator.optional(),
    data_selector: path.optional(),
    data_selector_optional: z.boolean().optional(),
    response_actions: z.array(responseAction).optional(),
    incremental: incremental.optional(),
    maximum_pages: count.optional(),
    requests_per_minute: count.optional(),
    concurrency: count.optional(),
    timeout_seconds: z.number().positive().optional(),
  }),
);

const filterRule = z
  .strictObject({
    field: path,
    equals: scalar.optional(),
    not_equals: scalar.optional(),
    in: z.array(scalar).optional(),
    exists: z.boolean().optional(),
  })
  .refine(
    (rule) =>
      [rule.equals, rule.not_equals, rule.in, rule.exists].filter((one) => one !== undefined).length === 1,
    "give exactly one of equals, not_equals, in and exists",
  );

const processingStep = z.union([
  z.strictObject({ filter: z.union([fn<(row: Row) => boolean>(), filterRule]) }),
  z.strictObject({ map: fn<(row: Row) => Row>() }),
  z.strictObject({ yield_map: fn<(row: Row) => Iterable<Row>>() }),
  z.strictObject({ include: z.array(path).min(1) }),
  z.strictObject({ exclude: z.array(path).min(1) }),
  z.strictObject({ rename: z.record(z.string(), path) }),
]);

const contractMode = z.enum(["evolve", "freeze", "discard_row", "discard_value"]);

const resourceSettings = {
  endpoint: endpoint.optional(),
  include_from_parent: z.array(path).optional(),
  processing_steps: z.array(processingStep).optional(),
  incremental: incremental.optional(),
  selected: z.boolean().optional(),
  description: z.string().optional(),
  table_name: path.optional(),
  write_disposition: z
    .union([
      z.enum(["append", "replace", "merge"]),
      z.strictObject({
        disposition: z.literal("merge"),
        strategy: z.enum(["delete-insert", "upsert", "insert-only", "scd2"]),
      }),
    ])
    .optional(),
  primary_key: names.optional(),
  merge_key: names.optional(),
  columns: z
    .record(z.string(), z.looseObject({ data_type: z.enum(DATA_TYPES as [string, ...string[]]).optional() }))
    .optional(),
  max_table_nesting: z.int().min(0).optional(),
  schema_contract: z
    .union([
      contractMode,
      z.strictObject({
        tables: contractMode.optional(),
        columns: contractMode.optional(),
        data_type: contractMode.optional(),
      }),
    ])
    .optional(),
};

const resourceEntry = orWord(
  "name",
  z.strictObject({ name: z.string().min(1).optional(), ...resourceSettings }),
);

const client = z.strictObject({
  base_url: z.string().min(1),
  headers: z.record(z.string(), z.union([z.string(), secretReference])).optional(),
  params: z.record(z.string(), z.union([scalar, secretReference])).optional(),
  auth: auth.optional(),
  auth_hosts: z.array(path).optional(),
  paginator: paginator.optional(),
  requests_per_minute: count.optional(),
  concurrency: count.optional(),
  timeout_seconds: z.number().positive().optional(),
  max_attempts: count.optional(),
  backoff_seconds: z.number().positive().optional(),
});

const config = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z_]\w*$/, "use letters, digits and underscores")
    .optional(),
  client,
  resource_defaults: z.strictObject(resourceSettings).optional(),
  resources: z
    .array(z.union([z.custom<Resource>((value) => value instanceof Resource), resourceEntry]))
    .min(1),
});

/** The same without ready-made resources: a union of both would tell a wrong setting as "Invalid input". */
const dataConfig = z.strictObject({ ...config.shape, resources: z.array(resourceEntry).min(1) });

export type RestApiInput = z.input<typeof config>;
export type RestApiConfig = Omit<z.infer<typeof dataConfig>, "resources">;
export type ClientConfig = z.infer<typeof client>;
export type AuthConfig = z.infer<typeof auth>;
export type PaginatorConfig = z.infer<typeof paginator>;
export type EndpointConfig = z.infer<typeof endpoint>;
export type IncrementalConfig = z.infer<typeof incremental>;
export type ParamConfig = z.infer<typeof param>;
export type ResponseActionConfig = z.infer<typeof responseAction>;
export type ProcessingStepConfig = z.infer<typeof processingStep>;
export type FilterRule = z.infer<typeof filterRule>;
export type ResourceConfig = z.infer<typeof resourceEntry>;
export type SecretReference = z.infer<typeof secretReference>;

/** For documentation of the settings as JSON Schema. */
export const restApiConfigSchema = dataConfig;

export interface ParsedConfig extends RestApiConfig {
  readonly resources: readonly (ResourceConfig | Resource)[];
}

export function parseRestApiConfig(raw: unknown): ParsedConfig {
  const entries = (raw as { resources?: unknown } | null)?.resources;
  if (!Array.isArray(entries)) return parseSourceConfig(dataConfig, raw, "rest_api");
  // ready-made resources keep their place, what is data is checked
  const placeholder = "ready_made";
  const data = entries.map((entry: unknown) => (entry instanceof Resource ? placeholder : entry));
  const parsed = parseSourceConfig(dataConfig, { ...(raw as object), resources: data }, "rest_api");
  return {
    ...parsed,
    resources: parsed.resources.map((entry, at) => {
      const given: unknown = entries[at];
      return given instanceof Resource ? given : entry;
    }),
  };
}
