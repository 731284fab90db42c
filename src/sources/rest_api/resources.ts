/**
 * REST APIs by configuration: each entry becomes a resource, or a transformer when its request needs a field of
 * another resource's rows.
 */

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { EngineError } from "../../engine/errors.ts";
import { type Incremental, incremental } from "../../engine/extract/incremental.ts";
import type { Row } from "../../engine/extract/page.ts";
import {
  type ColumnHints,
  Resource,
  type ResourceOptions,
  resource,
  Source,
  type SourceContext,
  transformer,
} from "../../engine/extract/resource.ts";
import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import { didYouMean } from "../../engine/nearest.ts";
import { type HttpClient, Pace, type Query } from "../http/index.ts";
import type { BuiltInSource } from "../registry.ts";
import { isReference, makeAuth, makeClient, resolveValues, type SecretSource } from "./client.ts";
import {
  type EndpointConfig,
  type IncrementalConfig,
  type ParamConfig,
  type ParsedConfig,
  parseRestApiConfig,
  type ResourceConfig,
  type RestApiInput,
  restApiConfigSchema,
} from "./config.ts";
import { convert } from "./convert.ts";
import { makePaginator } from "./make-paginator.ts";
import { type Endpoint, readPages } from "./read.ts";
import { Selector } from "./select.ts";
import { withSteps } from "./steps.ts";
import { boundNames, expand, expandPath, parentField, referencesIn, type Scope } from "./template.ts";

/**
 * The resources that a configuration describes, for a source of one's own:
 *
 *     source({ name: "shop" }, ({ secrets }) => restApi({ client: { base_url: "…", auth: { type: "bearer" } }, resources: ["orders"] }, { secrets }))
 */
export function restApi(
  config: RestApiInput,
  { secrets = {} }: { readonly secrets?: Readonly<Record<string, string>> } = {},
): Resource[] {
  return makeResources(parseRestApiConfig(config), { secrets, literals: true });
}

export const restApiSource: BuiltInSource = {
  configSchema: restApiConfigSchema,
  async create(context) {
    const parsed = parseRestApiConfig(await withFile(context));
    const resources = makeResources(parsed, { secrets: context.secrets, literals: false });
    return new Source({ name: parsed.name ?? "rest_api", resources });
  },
};

/** `config_file` names a JSON file of the workspace that holds the settings. */
async function withFile({ config, workspaceDir }: SourceContext): Promise<unknown> {
  const { config_file, ...rest } = config;
  if (config_file === undefined) return config;
  const file = resolve(workspaceDir, String(config_file));
  try {
    return { ...(JSON.parse(await readFile(file, "utf8")) as object), ...rest };
  } catch (cause) {
    const missing = (cause as { code?: unknown }).code === "ENOENT";
    throw new EngineError(
      missing ? "FILE_NOT_FOUND" : "CONFIG_INVALID",
      `The configuration ${String(config_file)} ${missing ? "does not exist" : "is not JSON"}.`,
      { details: { file: String(config_file) }, cause },
    );
  }
}

/** An entry with the defaults filled in. */
interface Entry {
  readonly name: string;
  readonly config: ResourceConfig;
  readonly endpoint: EndpointConfig;
  readonly path: string;
  readonly parent: string | undefined;
}

function makeResources(config: ParsedConfig, source: SecretSource): Resource[] {
  const http = makeClient(config.client, source);
  const made = new Map<string, Resource>();
  const entries = new Map<string, Entry>();
  for (const item of config.resources) {
    const entry = item instanceof Resource ? item : entryOf(item, config);
    if (made.has(entry.name) || entries.has(entry.name)) {
      throw new EngineError("CONFIG_INVALID", `Two resources are named ${entry.name}.`, {
        hint: "Give one of them another name; table_name lets both fill one table.",
        details: { resource: entry.name },
      });
    }
    if (entry instanceof Resource) made.set(entry.name, entry);
    else entries.set(entry.name, entry);
  }
  const known = [...made.keys(), ...entries.keys()];
  const make = (name: string, waiting: readonly string[]): Resource => {
    const ready = made.get(name);
    if (ready !== undefined) return ready;
    const entry = entries.get(name)!;
    if (waiting.includes(name)) {
      throw new EngineError(
        "CONFIG_INVALID",
        `Resources depend on each other: ${[...waiting, name].join(", ")}.`,
      );
    }
    const { parent } = entry;
    if (parent !== undefined && !known.includes(parent)) {
      throw new EngineError("CONFIG_INVALID", `Resource ${name} refers to ${parent}, which is no resource.`, {
        hint: didYouMean(parent, known) || `Resources there are: ${known.join(", ")}.`,
        details: { resource: name, parent },
      });
    }
    const from = parent === undefined ? undefined : make(parent, [...waiting, name]);
    const resource = makeResource(entry, config, http, source, from);
    made.set(name, resource);
    return resource;
  };
  return config.resources.map((item) =>
    item instanceof Resource ? item : make(nameOf(item, item.endpoint), []),
  );
}

function entryOf(own: ResourceConfig, { resource_defaults: defaults = {} }: ParsedConfig): Entry {
  const endpoint = merged(defaults.endpoint, own.endpoint, ["params", "json"]);
  const config = { ...merged(defaults, own, ["columns"]), endpoint };
  const name = nameOf(own, own.endpoint);
  const path = endpoint.path ?? name;
  return { name, config, endpoint, path, parent: parentOf(name, path, endpoint) };
}

function nameOf(config: ResourceConfig, endpoint: EndpointConfig | undefined): string {
  const { name } = config;
  if (name !== undefined) return name;
  const path = endpoint?.path;
  if (path !== undefined && !path.includes("{") && !/^https?:/.test(path)) {
    return path.replace(/^\/+|\/+$/g, "").replaceAll("/", "_");
  }
  throw new EngineError("CONFIG_MISSING", "A resource has no name, and its path does not give one.", {
    hint: "Set `name`.",
    details: { path },
  });
}

/** Shallow, except for the members that are merged key by key. */
function merged<T extends object>(
  defaults: T | undefined,
  own: T | undefined,
  deep: readonly (keyof T)[],
): T {
  const result = { ...defaults, ...own } as T;
  for (const key of deep) {
    const [before, after] = [defaults?.[key], own?.[key]];
    if (before && after) result[key] = { ...before, ...after };
  }
  return result;
}

/** The one resource whose rows the request needs. */
function parentOf(name: string, path: string, endpoint: EndpointConfig): string | undefined {
  const { params = {}, json, data, headers } = endpoint;
  const parents = new Set<string>();
  for (const reference of referencesIn([path, json, data, headers, Object.values(params).filter(isPlain)])) {
    const [kind, parent] = reference.split(".");
    if (kind === "resources" && parent !== undefined) parents.add(parent);
  }
  for (const param of Object.values(params)) if (isResolve(param)) parents.add(param.resource);
  if (parents.size > 1) {
    throw new EngineError(
      "CONFIG_INVALID",
      `Resource ${name} refers to ${[...parents].join(" and ")}; it can have one parent.`,
      { details: { resource: name, parents: [...parents] } },
    );
  }
  return [...parents][0];
}

function makeResource(
  entry: Entry,
  config: ParsedConfig,
  http: HttpClient,
  source: SecretSource,
  from: Resource | undefined,
): Resource {
  const { name, endpoint, path } = entry;
  checkPath(entry);
  const single = /\}\/?$/.test(path);
  const paginator =
    endpoint.paginator ?? (single ? { type: "single_page" as const } : config.client.paginator);
  const ready: Endpoint = {
    resource: name,
    http,
    method: endpoint.method?.toUpperCase() ?? (endpoint.json || endpoint.data ? "POST" : "GET"),
    auth: endpoint.auth === undefined ? undefined : makeAuth(endpoint.auth, source),
    pace: paceOf(endpoint),
    timeoutMs: endpoint.timeout_seconds === undefined ? undefined : endpoint.timeout_seconds * 1000,
    actions: endpoint.response_actions ?? [],
    maximumPages: endpoint.maximum_pages,
    makePaginator: (warn, told) => makePaginator(paginator ?? { type: "auto" }, warn, told),
  };
  const cursor = cursorOf(entry);
  const selectorText = endpoint.data_selector ?? (single ? "$" : undefined);
  const requests = requestOf(entry, cursor, source);
  const selector = () => new Selector(name, selectorText, endpoint.data_selector_optional === true);
  const options = optionsOf(entry.config, name, cursor);
  if (from === undefined) {
    const read = (context: ResourceContext) => {
      const { request, headers, form } = requests(undefined, context);
      return readPages(
        { ...ready, form },
        { request, headers, selector: selector(), dependent: false },
        context,
      );
    };
    return withSteps(resource(options, read), entry.config.processing_steps ?? []);
  }
  const shared = selector();
  const added = entry.config.include_from_parent ?? [];
  const read = async function* (row: Row, context: ResourceContext) {
    const { request, headers, form } = requests({ name: from.name, row }, context);
    const scope: Scope = { resource: name, parent: { name: from.name, row } };
    const extra = Object.fromEntries(
      added.map((field) => [`_${from.name}_${field}`, parentField(scope, field)]),
    );
    const chain = { request, headers, selector: shared, dependent: true };
    for await (const rows of readPages({ ...ready, form }, chain, context)) {
      yield added.length === 0 ? rows : rows.map((one) => ({ ...one, ...extra }));
    }
  };
  return withSteps(transformer({ ...options, from }, read), entry.config.processing_steps ?? []);
}

/** A path's `{name}` must be bound by a parameter of type resolve. */
function checkPath({ name, path, endpoint, parent, config }: Entry): void {
  for (const bound of boundNames(path)) {
    if (isResolve(endpoint.params?.[bound])) continue;
    throw new EngineError("CONFIG_INVALID", `Resource ${name}: nothing fills {${bound}} in its path.`, {
      hint: `Write {resources.<parent>.<field>}, or add params.${bound} = { type = "resolve", resource = "…", field = "…" }.`,
      details: { resource: name, path },
    });
  }
  if (parent === undefined && config.include_from_parent !== undefined) {
    throw new EngineError("CONFIG_INVALID", `Resource ${name} has include_from_parent, but no parent.`, {
      details: { resource: name },
    });
  }
}

function paceOf({ requests_per_minute, concurrency }: EndpointConfig): Pace | undefined {
  if (requests_per_minute === undefined && concurrency === undefined) return undefined;
  return new Pace({ requestsPerMinute: requests_per_minute, concurrency });
}

/** The cursor of an entry, from the endpoint, the resource, or a parameter of type incremental. */
function cursorOf({ name, config, endpoint }: Entry): IncrementalConfig | undefined {
  const inParams = Object.entries(endpoint.params ?? {}).filter(([, param]) => isCursor(param));
  const own = endpoint.incremental ?? config.incremental;
  if (inParams.length + (own === undefined ? 0 : 1) > 1) {
    throw new EngineError("CONFIG_INVALID", `Resource ${name} has more than one incremental.`, {
      details: { resource: name },
    });
  }
  const param = inParams[0];
  if (param === undefined) return own;
  const { type: _, ...options } = param[1] as Extract<ParamConfig, { type: "incremental" }>;
  return { ...options, start_param: param[0] };
}

type Parent = Scope["parent"];

/** Makes the first request of a chain. */
function requestOf(
  { name, path, endpoint }: Entry,
  cursor: IncrementalConfig | undefined,
  source: SecretSource,
) {
  const { params = {}, json, data } = endpoint;
  const entries = Object.entries(endpoint.headers ?? {});
  const templates = Object.fromEntries(entries.filter(([, value]) => !isReference(value)));
  const secretHeaders = resolveValues(
    Object.fromEntries(entries.filter(([, value]) => isReference(value))),
    source,
  );
  return (parent: Parent, context: ResourceContext) => {
    const scope: Scope = { resource: name, parent, incremental: cursorValues(cursor, context) };
    const bound: Record<string, unknown> = {};
    const query: Record<string, Query[string]> = {};
    for (const [key, param] of Object.entries(params)) {
      if (isResolve(param)) bound[key] = parentField(scope, param.field);
      else if (isReference(param)) query[key] = source.secrets[param.secret];
      else if (!isCursor(param)) query[key] = expand(param, scope) as Query[string];
    }
    if (cursor?.start_param !== undefined)
      query[cursor.start_param] = scope.incremental?.start_value as string;
    if (cursor?.end_param !== undefined) query[cursor.end_param] = scope.incremental?.end_value as string;
    return {
      request: {
        path: expandPath(path, scope, bound),
        query,
        ...(json === undefined ? {} : { json: expand(json, scope) as Record<string, unknown> }),
      },
      headers: { ...(expand(templates, scope) as Record<string, string>), ...secretHeaders },
      form: data === undefined ? undefined : (expand(data, scope) as Record<string, string>),
    };
  };
}

function cursorValues(
  config: IncrementalConfig | undefined,
  { cursor }: ResourceContext,
): Record<string, unknown> | undefined {
  if (config === undefined) return undefined;
  const { convert: how } = config;
  return {
    start_value: convert(cursor.startValue, how),
    last_value: convert(cursor.lastValue, how),
    end_value: convert(cursor.endValue, how),
    initial_value: convert(cursor.initialValue, how),
  };
}

function optionsOf(
  config: ResourceConfig,
  name: string,
  cursor: IncrementalConfig | undefined,
): ResourceOptions {
  return {
    name,
    selected: config.selected,
    description: config.description,
    tableName: config.table_name,
    writeDisposition: config.write_disposition,
    primaryKey: config.primary_key,
    mergeKey: config.merge_key,
    columns: config.columns as Record<string, ColumnHints> | undefined,
    maxTableNesting: config.max_table_nesting,
    schemaContract: config.schema_contract,
    ...(cursor === undefined ? {} : { incremental: toIncremental(cursor) }),
  };
}

function toIncremental(config: IncrementalConfig): Incremental {
  return incremental(config.cursor_path, {
    initialValue: config.initial_value,
    endValue: config.end_value,
    lag: config.lag,
    lastValueFunc: config.last_value_func,
    primaryKey: config.primary_key,
    rowOrder: config.row_order,
    rangeStart: config.range_start,
    rangeEnd: config.range_end,
    onCursorValueMissing: config.on_cursor_value_missing,
  });
}

type Tagged<Type extends string> = Extract<ParamConfig, { type: Type }>;

function isResolve(param: ParamConfig | undefined): param is Tagged<"resolve"> {
  return typeof param === "object" && param !== null && "type" in param && param.type === "resolve";
}

function isCursor(param: ParamConfig | undefined): param is Tagged<"incremental"> {
  return typeof param === "object" && param !== null && "type" in param && param.type === "incremental";
}

function isPlain(param: ParamConfig): boolean {
  return !isResolve(param) && !isCursor(param) && !isReference(param);
}
