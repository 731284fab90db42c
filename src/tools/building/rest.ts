/** A rest_api source from a short description. */

import { type Draft, type Evidence, type SecretNeed, snakeName } from "./draft.ts";

export interface RestAuth {
  readonly type: "none" | "bearer" | "api_key" | "http_basic" | "header" | "oauth2_client_credentials";
  /** Of the header, parameter or cookie. */
  readonly name?: string;
  readonly location?: "header" | "query" | "cookie";
  readonly access_token_url?: string;
}

export interface RestResource {
  readonly name?: string;
  readonly path: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly data_selector?: string;
  readonly primary_key?: string | readonly string[];
  readonly write_disposition?: "append" | "replace" | "merge";
  readonly cursor?: string;
  readonly start_param?: string;
  readonly initial_value?: unknown;
  readonly paginator?: unknown;
}

export interface RestInput {
  readonly base_url: string;
  readonly auth?: RestAuth;
  readonly paginator?: unknown;
  readonly requests_per_minute?: number;
  readonly resources: readonly RestResource[];
}

export function draftFromRest(pipeline: string, input: RestInput): Draft {
  const { auth, secrets } = authOf(pipeline, input.auth);
  const evidence: Evidence[] = [];
  const resources = input.resources.map((one) => {
    const name = one.name ?? (snakeName(one.path.split("?")[0]!.replace(/\{[^}]*\}/g, "")) || "rows");
    const disposition = one.write_disposition ?? (one.primary_key === undefined ? "replace" : "merge");
    if (one.write_disposition === undefined) {
      evidence.push({
        about: `${name}.write_disposition`,
        finding:
          one.primary_key === undefined ? "replace: there is no key to merge by" : "merge: there is a key",
      });
    }
    const incremental =
      one.cursor === undefined
        ? {}
        : {
            incremental: {
              cursor_path: one.cursor,
              ...(one.initial_value === undefined ? {} : { initial_value: one.initial_value }),
              ...(one.start_param === undefined ? {} : { start_param: one.start_param }),
            },
          };
    return {
      name,
      ...(one.primary_key === undefined ? {} : { primary_key: one.primary_key }),
      write_disposition: disposition,
      endpoint: {
        path: one.path,
        ...(one.params === undefined ? {} : { params: one.params }),
        ...(one.data_selector === undefined ? {} : { data_selector: one.data_selector }),
        ...(one.paginator === undefined ? {} : { paginator: one.paginator }),
        ...incremental,
      },
    };
  });
  return {
    source: "rest_api",
    config: {
      client: {
        base_url: input.base_url,
        ...(auth === undefined ? {} : { auth }),
        ...(input.paginator === undefined ? {} : { paginator: input.paginator }),
        ...(input.requests_per_minute === undefined
          ? {}
          : { requests_per_minute: input.requests_per_minute }),
      },
      resources,
    },
    secrets,
    evidence,
    warnings: [],
  };
}

/** Credentials as settings, whose values are secrets named after the pipeline. */
export function authOf(
  pipeline: string,
  auth: RestAuth | undefined,
): { readonly auth: Record<string, unknown> | undefined; readonly secrets: SecretNeed[] } {
  const named = (key: string, why: string): { ref: { secret: string }; need: SecretNeed } => ({
    ref: { secret: `${pipeline.toLowerCase()}_${key}` },
    need: { key: `${pipeline.toLowerCase()}_${key}`, why },
  });
  switch (auth?.type) {
    case undefined:
    case "none":
      return { auth: undefined, secrets: [] };
    case "bearer": {
      const { ref, need } = named("token", "bearer token of the service");
      return { auth: { type: "bearer", token: ref }, secrets: [need] };
    }
    case "api_key": {
      const { ref, need } = named("api_key", "key of the service");
      const { name = "Authorization", location = "header" } = auth;
      return { auth: { type: "api_key", name, location, api_key: ref }, secrets: [need] };
    }
    case "header": {
      const { ref, need } = named("api_key", `value of the header ${auth.name ?? "Authorization"}`);
      return { auth: { type: "header", name: auth.name ?? "Authorization", value: ref }, secrets: [need] };
    }
    case "http_basic": {
      const user = named("username", "user name at the service");
      const password = named("password", "password at the service");
      return {
        auth: { type: "http_basic", username: user.ref, password: password.ref },
        secrets: [user.need, password.need],
      };
    }
    case "oauth2_client_credentials": {
      const id = named("client_id", "OAuth2 client");
      const secret = named("client_secret", "OAuth2 client secret");
      return {
        auth: {
          type: "oauth2_client_credentials",
          access_token_url: auth.access_token_url ?? "",
          client_id: id.ref,
          client_secret: secret.ref,
        },
        secrets: [id.need, secret.need],
      };
    }
  }
}
