/**
 * A rest_api source from an OpenAPI document (2.0, 3.0, 3.1; JSON or YAML). References are followed inside the
 * document only; nothing is fetched. Each GET operation that answers a list becomes a resource.
 */

import { normalize, upgrade } from "@scalar/openapi-parser";
import { EngineError } from "../../engine/errors.ts";
import { didYouMean } from "../../engine/nearest.ts";
import { listPath } from "../../sources/rest_api/select.ts";
import { type Draft, type Evidence, singular, snakeName } from "./draft.ts";
import { decimalColumns, factsOf, suggestCursors, suggestKey } from "./fields.ts";
import { guessPaging, type QueryParameter } from "./paging.ts";
import { authOf, type RestAuth } from "./rest.ts";
import { listsIn, type Shape, shapeAt, UNKNOWN, writtenPath } from "./shape.ts";

export interface OpenApiInput {
  readonly text: string;
  /** Instead of the document's server. */
  readonly base_url?: string;
  /** Names or paths of what to take; default all. */
  readonly resources?: readonly string[];
  /** Where cursors start. */
  readonly initial_value?: unknown;
}

type Json = Readonly<Record<string, unknown>>;

const TEXT_CHARS_MAX = 20_000_000;
const RESOURCES_MAX = 60;
const SCHEMA_DEPTH_MAX = 7;

interface Listed {
  readonly name: string;
  readonly path: string;
  readonly operation: Json;
  readonly parameters: readonly Json[];
  readonly answer: Shape;
  readonly selector: readonly string[];
  readonly row: Shape;
  readonly headers: readonly string[];
}

/** Errors: SPEC_UNREADABLE, NO_MATCH when a wanted resource is not there. */
export function draftFromOpenApi(pipeline: string, input: OpenApiInput): Draft {
  const document = readDocument(input.text);
  const reader = new DocumentReader(document);
  const warnings: string[] = [];
  const evidence: Evidence[] = [];
  const listed = operationsOf(document, reader, warnings);
  const wanted = chosen(listed, input.resources);
  if (wanted.length === 0) {
    throw new EngineError(
      "SPEC_UNREADABLE",
      "The document has no GET operation that answers a list of objects.",
      {
        hint: "Describe the endpoints with `rest`, or pass an answer as `sample`.",
      },
    );
  }
  if (wanted.length > RESOURCES_MAX) {
    warnings.push(
      `${wanted.length} lists were found, the first ${RESOURCES_MAX} are taken; name others in resources.`,
    );
  }
  const taken = wanted.slice(0, RESOURCES_MAX);
  const { auth, secrets } = authOf(pipeline, authFrom(document, reader, taken, warnings, evidence));
  const resources = taken.flatMap((one) => resourceOf(one, listed, taken, input, reader, warnings, evidence));
  if (resources.length === 0) {
    throw new EngineError(
      "SPEC_UNREADABLE",
      "None of the lists can be read without values that the document does not give.",
      {
        hint: warnings.join(" "),
      },
    );
  }
  const title = String((document.info as Json | undefined)?.title ?? "").slice(0, 200);
  return {
    source: "rest_api",
    ...(title === "" ? {} : { description: title }),
    config: {
      client: {
        base_url: baseUrl(document, input.base_url, warnings),
        ...(auth === undefined ? {} : { auth }),
      },
      resources,
    },
    secrets,
    evidence,
    warnings,
  };
}

/** Errors: SPEC_UNREADABLE. */
function readDocument(text: string): Json {
  const unreadable = (message: string, cause?: unknown): EngineError =>
    new EngineError("SPEC_UNREADABLE", message, {
      hint: "Pass an OpenAPI 2.0, 3.0 or 3.1 document as JSON or YAML.",
      ...(cause === undefined ? {} : { cause }),
    });
  if (text.length > TEXT_CHARS_MAX)
    throw unreadable(`The document has more than ${TEXT_CHARS_MAX} characters.`);
  let document: unknown;
  try {
    document = normalize(text);
  } catch (cause) {
    const at = (cause as { linePos?: { line: number }[] }).linePos?.[0];
    throw unreadable(
      `The document is neither JSON nor YAML${at === undefined ? "" : ` (line ${at.line})`}.`,
      cause,
    );
  }
  if (
    !isObject(document) ||
    !(typeof document.openapi === "string" || typeof document.swagger === "string")
  ) {
    throw unreadable("The document says neither openapi nor swagger at its top.");
  }
  if (!isObject(document.paths)) throw unreadable("The document has no paths.");
  try {
    return upgrade(document as never).specification as unknown as Json;
  } catch (cause) {
    throw unreadable("The document cannot be understood as OpenAPI.", cause);
  }
}

class DocumentReader {
  readonly #document: Json;
  constructor(document: Json) {
    this.#document = document;
  }

  /** The object that a reference leads to; one outside the document is unknown. */
  follow(value: unknown, hops = 0): Json | undefined {
    if (!isObject(value)) return undefined;
    if (typeof value.$ref !== "string") return value;
    if (!value.$ref.startsWith("#/") || hops > 20) return undefined;
    const target = value.$ref
      .slice(2)
      .split("/")
      .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"))
      .reduce<unknown>(
        (at, key) => (isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined),
        this.#document,
      );
    return this.follow(target, hops + 1);
  }

  shape(raw: unknown, depth = 0): Shape {
    const schema = this.follow(raw);
    if (schema === undefined || depth > SCHEMA_DEPTH_MAX) return UNKNOWN;
    const parts = [schema.allOf, schema.oneOf, schema.anyOf].filter(Array.isArray).flat();
    const all = Array.isArray(schema.allOf) ? schema.allOf : [];
    const alternatives = parts
      .filter((part) => !all.includes(part))
      .filter((part) => this.follow(part)?.type !== "null");
    const types = [schema.type].flat().filter((type) => type !== undefined && type !== "null");
    if (types[0] === "array" || schema.items !== undefined) {
      return { kind: "list", items: this.shape(schema.items, depth + 1) };
    }
    if (isObject(schema.properties) || all.length > 0 || types[0] === "object") {
      const fields = new Map<string, Shape>();
      const required = new Set<string>();
      const first = alternatives.length > 0 ? [alternatives[0]] : [];
      for (const part of [...all, ...first]) {
        const inner = this.shape(part, depth + 1);
        if (inner.kind === "list" && !isObject(schema.properties)) return inner;
        if (inner.kind !== "object") continue;
        for (const [key, value] of inner.fields) fields.set(key, value);
        for (const key of inner.required) required.add(key);
      }
      for (const [key, value] of Object.entries(isObject(schema.properties) ? schema.properties : {})) {
        fields.set(key, this.shape(value, depth + 1));
      }
      if (Array.isArray(schema.required)) for (const key of schema.required) required.add(String(key));
      return { kind: "object", fields, required };
    }
    if (alternatives.length > 0) return this.shape(alternatives[0], depth + 1);
    const type = ["string", "integer", "number", "boolean"].find((known) => known === types[0]);
    return {
      kind: "value",
      type: (type ?? "unknown") as "string" | "unknown",
      ...(typeof schema.format === "string" ? { format: schema.format } : {}),
    };
  }
}

function operationsOf(document: Json, reader: DocumentReader, warnings: string[]): Listed[] {
  const found: Omit<Listed, "name">[] = [];
  for (const [path, raw] of Object.entries(document.paths as Json)) {
    const item = reader.follow(raw);
    if (item === undefined) {
      warnings.push(`${path} refers to another document, which is not fetched.`);
      continue;
    }
    const operation = reader.follow(item.get);
    if (operation === undefined || operation.deprecated === true) continue;
    const response = responseOf(operation, reader);
    if (response === undefined) continue;
    const answer = reader.shape(response.schema);
    const selector = rowsIn(answer);
    if (selector === undefined) continue;
    const list = shapeAt(answer, selector);
    const row = list?.kind === "list" ? list.items : UNKNOWN;
    const parameters = [item.parameters, operation.parameters]
      .filter(Array.isArray)
      .flat()
      .map((one) => reader.follow(one))
      .filter((one) => one !== undefined);
    found.push({ path, operation, parameters, answer, selector, row, headers: response.headers });
  }
  return named(found);
}

/** Last words of the paths, with as many before them as it takes to be different. */
function named(found: readonly Omit<Listed, "name">[]): Listed[] {
  const words = found.map(({ path }) =>
    path
      .split("/")
      .filter((part) => part !== "" && !part.includes("{") && !/^v\d+(\.\d+)?$/.test(part))
      .map(snakeName)
      .filter((part) => part !== ""),
  );
  const used = new Set<string>();
  return found.map((one, at) => {
    const own = words[at]!;
    let name = "";
    for (let take = 1; take <= Math.max(1, own.length); take++) {
      name = own.slice(-take).join("_") || "root";
      if (
        !used.has(name) &&
        words.filter((other) => (other.slice(-take).join("_") || "root") === name).length === 1
      )
        break;
    }
    for (let number = 2, base = name; used.has(name); number++) name = `${base}_${number}`;
    used.add(name);
    return { ...one, name };
  });
}

function responseOf(
  operation: Json,
  reader: DocumentReader,
): { schema: unknown; headers: string[] } | undefined {
  const responses = isObject(operation.responses) ? operation.responses : {};
  const code = ["200", "206", "2XX", "2xx", "default"].find((key) => responses[key] !== undefined);
  const response = code === undefined ? undefined : reader.follow(responses[code]);
  if (!isObject(response?.content)) return undefined;
  const type = Object.keys(response.content).find((key) => /json/i.test(key) || key === "*/*");
  const media = type === undefined ? undefined : reader.follow(response.content[type]);
  if (media?.schema === undefined) return undefined;
  return { schema: media.schema, headers: Object.keys(isObject(response.headers) ? response.headers : {}) };
}

/** The list of objects that an answer is about, by the rules that rest_api itself finds rows with. */
function rowsIn(answer: Shape): readonly string[] | undefined {
  const lists = listsIn(answer).filter((path) => {
    const list = shapeAt(answer, path);
    return list?.kind === "list" && list.items.kind === "object";
  });
  if (lists.length === 0) return undefined;
  if (answer.kind === "list") return [];
  // a single entity with lists inside is not a list
  const entity = answer.kind === "object" && ["id", "uuid"].some((key) => answer.fields.has(key));
  if (entity) return undefined;
  const found = listPath(skeleton(answer));
  return lists.find((path) => path.join("\0") === found.join("\0")) ?? lists[0];
}

function skeleton(shape: Shape): unknown {
  if (shape.kind === "list") return [];
  if (shape.kind === "value") return null;
  return Object.fromEntries([...shape.fields].map(([key, inner]) => [key, skeleton(inner)]));
}

function chosen(listed: readonly Listed[], wanted: readonly string[] | undefined): readonly Listed[] {
  if (wanted === undefined) return listed;
  return wanted.map((name) => {
    const found = listed.find(
      (one) => one.name === name || one.path === name || one.operation.operationId === name,
    );
    if (found !== undefined) return found;
    const names = listed.map((one) => one.name);
    throw new EngineError("NO_MATCH", `The document has no list ${JSON.stringify(name)}.`, {
      hint: didYouMean(name, names) || `There are: ${names.slice(0, 40).join(", ")}.`,
      details: { wanted: name, lists: names.slice(0, 100) },
    });
  });
}

function resourceOf(
  one: Listed,
  listed: readonly Listed[],
  taken: readonly Listed[],
  input: OpenApiInput,
  reader: DocumentReader,
  warnings: string[],
  evidence: Evidence[],
): Record<string, unknown>[] {
  const { name, path, operation } = one;
  const query = one.parameters
    .filter((parameter) => parameter.in === "query")
    .map((each) => queryParameter(each, reader));
  const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]!);
  const params: Record<string, unknown> = {};
  let parent: Listed | undefined;
  if (inPath.length > 0) {
    parent = inPath.length === 1 ? parentOf(path, listed) : undefined;
    if (parent === undefined || !taken.includes(parent)) {
      warnings.push(
        `${name} (${path}) needs ${inPath.join(", ")}: ${parent === undefined ? "no list gives it" : `it comes from ${parent.name}, which was not chosen`}. It is left out.`,
      );
      return [];
    }
    const field = parentField(inPath[0]!, parent);
    params[inPath[0]!] = { type: "resolve", resource: parent.name, field };
    evidence.push({
      about: `${name}.parent`,
      finding: `{${inPath[0]}} is ${field} of ${parent.name}, by the paths`,
    });
  }
  const paging = guessPaging(name, one.answer, query, one.headers);
  evidence.push(...paging.evidence);
  Object.assign(params, paging.params);
  const paged = new Set([
    ...Object.keys(paging.params),
    ...Object.values(paging.paginator ?? {}).map(String),
  ]);
  for (const parameter of query.filter((each) => each.required && !paged.has(each.name))) {
    if (parameter.default === undefined) {
      warnings.push(
        `${name} (${path}) needs the parameter ${parameter.name}, for which the document gives no value. It is left out.`,
      );
      return [];
    }
    params[parameter.name] = parameter.default;
  }
  const fields = factsOf(one.row);
  const key = suggestKey(name, fields);
  evidence.push(...key.evidence);
  const cursors = suggestCursors(fields);
  const incremental = parent === undefined ? incrementalOf(name, cursors, query, input, evidence) : undefined;
  const summary = String(operation.summary ?? "")
    .split("\n")[0]!
    .slice(0, 200);
  const disposition = key.key === undefined ? "replace" : "merge";
  const singleKey = parent !== undefined && key.key !== undefined;
  return [
    {
      name,
      ...(summary === "" ? {} : { description: summary }),
      ...(key.key === undefined ? {} : { primary_key: key.key }),
      write_disposition: disposition,
      ...decimalColumns(fields),
      ...(singleKey && parent !== undefined
        ? { include_from_parent: [parentField(inPath[0]!, parent)] }
        : {}),
      endpoint: {
        path: path.replace(/^\//, ""),
        ...(Object.keys(params).length === 0 ? {} : { params }),
        data_selector: writtenPath(one.selector),
        ...(paging.paginator === undefined ? {} : { paginator: paging.paginator }),
        ...(incremental === undefined ? {} : { incremental }),
      },
    },
  ];
}

/** `/orders/{id}/lines` hangs on `/orders`. */
function parentOf(path: string, listed: readonly Listed[]): Listed | undefined {
  const before = path.slice(0, path.indexOf("{")).replace(/\/$/, "");
  return listed.find((one) => one.path.replace(/\/$/, "") === before);
}

function parentField(parameter: string, parent: Listed): string {
  const fields = parent.row.kind === "object" ? [...parent.row.fields.keys()] : [];
  const exact = fields.find((field) => snakeName(field) === snakeName(parameter));
  if (exact !== undefined) return exact;
  const own = singular(parent.name);
  const byRest = snakeName(parameter).replace(new RegExp(`^${own}_`), "");
  return (
    fields.find((field) => snakeName(field) === byRest) ??
    suggestKey(parent.name, factsOf(parent.row)).key ??
    "id"
  );
}

const SINCE = /(since|after|from|start|min|gte?|greater)/i;

/** A cursor is set only where a parameter filters by the very field: else each run reads all there is. */
function incrementalOf(
  name: string,
  cursors: ReturnType<typeof suggestCursors>,
  query: readonly QueryParameter[],
  input: OpenApiInput,
  evidence: Evidence[],
): Record<string, unknown> | undefined {
  for (const { field, why } of cursors)
    evidence.push({ about: `${name}.cursor`, finding: `${field}: ${why}` });
  for (const { field } of cursors.filter((one) => one.kind === "changed")) {
    const stem = snakeName(field)
      .replace(/^last_/, "")
      .replace(/_(at|on|time|date|ts|timestamp)$/, "");
    const filter = query.find(
      (each) =>
        (snakeName(each.name).includes(stem) &&
          SINCE.test(snakeName(each.name).replace(snakeName(field), ""))) ||
        /^(since|modified_since|updated_since|changed_since)$/.test(snakeName(each.name)),
    );
    if (filter === undefined) continue;
    evidence.push({ about: `${name}.cursor`, finding: `parameter ${filter.name} filters by ${field}` });
    return {
      cursor_path: field,
      start_param: filter.name,
      ...(input.initial_value === undefined ? {} : { initial_value: input.initial_value }),
    };
  }
  if (cursors.length > 0) {
    evidence.push({
      about: `${name}.cursor`,
      finding: "no parameter filters by it, so none is set: each run reads all rows",
    });
  }
  return undefined;
}

function queryParameter(parameter: Json, reader: DocumentReader): QueryParameter {
  const schema = reader.follow(parameter.schema) ?? {};
  const choices = Array.isArray(schema.enum) ? (schema.enum as unknown[]) : undefined;
  const fallback = schema.default ?? (choices?.length === 1 ? choices[0] : undefined) ?? parameter.example;
  return {
    name: String(parameter.name),
    required: parameter.required === true,
    ...(typeof schema.type === "string" ? { type: schema.type } : {}),
    ...(fallback === undefined || (typeof fallback === "object" && fallback !== null)
      ? {}
      : { default: fallback }),
    ...(typeof schema.minimum === "number" ? { minimum: schema.minimum } : {}),
    ...(typeof schema.maximum === "number" ? { maximum: schema.maximum } : {}),
  };
}

function authFrom(
  document: Json,
  reader: DocumentReader,
  taken: readonly Listed[],
  warnings: string[],
  evidence: Evidence[],
): RestAuth | undefined {
  const schemes = (document.components as Json | undefined)?.securitySchemes;
  if (!isObject(schemes)) return undefined;
  const operationSecurity = taken
    .map((one) => one.operation.security)
    .find((one) => Array.isArray(one) && one.length > 0);
  const required = [operationSecurity, document.security].find((one) => Array.isArray(one) && one.length > 0);
  const asked = Array.isArray(required) ? required.filter(isObject).flatMap((one) => Object.keys(one)) : [];
  for (const name of asked.length > 0 ? asked : Object.keys(schemes).slice(0, 1)) {
    const scheme = reader.follow(schemes[name]);
    const auth = scheme === undefined ? undefined : authKind(scheme, warnings);
    if (auth === undefined) continue;
    evidence.push({ about: "client.auth", finding: `${auth.type}, by the security scheme ${name}` });
    return auth;
  }
  if (asked.length > 0)
    warnings.push(
      `The credentials (${asked.join(", ")}) are of a kind that has no setting; the client has none.`,
    );
  return undefined;
}

function authKind(scheme: Json, warnings: string[]): RestAuth | undefined {
  switch (scheme.type) {
    case "http":
      if (String(scheme.scheme).toLowerCase() === "basic") return { type: "http_basic" };
      return String(scheme.scheme).toLowerCase() === "bearer" ? { type: "bearer" } : undefined;
    case "apiKey":
      return { type: "api_key", name: String(scheme.name), location: scheme.in as "header" };
    case "oauth2": {
      const flow = isObject(scheme.flows) ? scheme.flows.clientCredentials : undefined;
      if (isObject(flow))
        return { type: "oauth2_client_credentials", access_token_url: String(flow.tokenUrl) };
      warnings.push(
        "The service wants an OAuth2 login by a person: put an access token into the secret; it is not renewed.",
      );
      return { type: "bearer" };
    }
    case "openIdConnect":
      warnings.push(
        "The service wants an OpenID Connect login: put an access token into the secret; it is not renewed.",
      );
      return { type: "bearer" };
  }
  return undefined;
}

function baseUrl(document: Json, given: string | undefined, warnings: string[]): string {
  if (given !== undefined) return given;
  const server = Array.isArray(document.servers) ? (document.servers[0] as Json | undefined) : undefined;
  const variables = isObject(server?.variables) ? server.variables : {};
  const url = String(server?.url ?? "").replace(/\{([^}]+)\}/g, (whole, name: string) => {
    const variable = variables[name];
    return isObject(variable) && variable.default !== undefined ? String(variable.default) : whole;
  });
  if (/^https?:\/\//.test(url) && !url.includes("{")) return url;
  warnings.push(
    `The document does not say where the service is (${url || "no server"}): set client.base_url.`,
  );
  return `https://example.com${url.startsWith("/") ? url : ""}`;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
