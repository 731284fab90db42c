/** The first request of a resource, with its placeholders, secrets and cursor filled in. */

import type { ResourceContext } from "../../engine/extract/resource-context.ts";
import type { Query } from "../http/index.ts";
import { isReference, resolveValues, type SecretSource } from "./client.ts";
import type { EndpointConfig, IncrementalConfig, ParamConfig } from "./config.ts";
import { convert } from "./convert.ts";
import { expand, expandPath, parentField, type Scope } from "./template.ts";

/** What a request is made of. */
export interface RequestTemplate {
  readonly name: string;
  readonly path: string;
  readonly endpoint: EndpointConfig;
}

type Parent = Scope["parent"];

/** Makes the first request of a chain. */
export function requestOf(
  { name, path, endpoint }: RequestTemplate,
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

type Tagged<Type extends string> = Extract<ParamConfig, { type: Type }>;

export function isResolve(param: ParamConfig | undefined): param is Tagged<"resolve"> {
  return typeof param === "object" && param !== null && "type" in param && param.type === "resolve";
}

export function isCursor(param: ParamConfig | undefined): param is Tagged<"incremental"> {
  return typeof param === "object" && param !== null && "type" in param && param.type === "incremental";
}

export function isPlain(param: ParamConfig): boolean {
  return !isResolve(param) && !isCursor(param) && !isReference(param);
}
