import { z } from "zod";
import { EngineError } from "../engine/errors.ts";
import { didYouMean } from "../engine/nearest.ts";
import { listSources } from "../sources/registry.ts";
import { SourceFiles } from "./building/source-files.ts";
import { TEMPLATES } from "./building/templates.ts";
import { CURSOR, defineTool, FORMAT, limitOf, type NextStep, READS } from "./define-tool.ts";
import { pageOf } from "./paging.ts";
import type { Workspace } from "./workspace.ts";

const ENTRY = z.object({
  name: z.string(),
  kind: z.enum(["shipped", "workspace", "template"]),
  description: z.string().optional(),
  auth: z.array(z.string()).optional().describe("Kinds of credentials, or names of secrets"),
  resources: z.array(z.string()).optional().describe("Names with their keys, as far as they are fixed"),
  file: z.string().optional(),
  pipelines: z.array(z.string()).describe("Pipelines of this workspace that use it"),
  docs: z.string().optional(),
});
type Entry = z.infer<typeof ENTRY>;

/** What no schema of settings tells. */
const SHIPPED: Readonly<Record<string, Pick<Entry, "auth" | "resources" | "docs">>> = {
  filesystem: {
    auth: ["none", "credentials.aws_access_key_id", "credentials.aws_secret_access_key"],
    resources: ["as configured, one for each set of files; default: files"],
    docs: "filesystem",
  },
  s3_exports: {
    auth: ["credentials.aws_access_key_id", "credentials.aws_secret_access_key"],
    resources: ["as configured; key: _file_name, _row_id"],
    docs: "s3_exports",
  },
  everflow: {
    auth: ["api_key"],
    resources: [
      "stats; key: date, affiliate_id, advertiser_id",
      "conversions",
      "offers, affiliates, advertisers",
    ],
    docs: "everflow",
  },
  redtrack: {
    auth: ["api_key"],
    resources: ["report; key: date, source_id", "conversions"],
    docs: "redtrack",
  },
  rest_api: {
    auth: ["bearer", "api_key", "http_basic", "header", "oauth2_client_credentials"],
    resources: [
      "as configured, one for each endpoint; create_source makes it from OpenAPI, a description or a sample",
    ],
    docs: "rest_api",
  },
  sql_database: {
    auth: ["credentials"],
    resources: ["one for each table; keys as the database declares them"],
    docs: "sql_database",
  },
};

export const findSourceTool = defineTool({
  name: "find_source",
  title: "Sources and templates",
  description:
    "Lists what a pipeline can load from: the sources that come with loadwright, those of this workspace, and the " +
    "templates of create_source, with kinds of credentials, resources and keys. A query narrows it by words of names " +
    "and descriptions. search_docs explains settings, create_source builds a new one.",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    query: z.string().max(200).optional().describe("Words, such as csv or http; without it, everything"),
    limit: limitOf(50, 200),
    cursor: CURSOR,
    response_format: FORMAT,
  }),
  output: z.object({ sources: z.array(ENTRY) }),
  list: "sources",
  async execute(input, { workspace }) {
    const all = entries(workspace);
    const words = (input.query ?? "")
      .toLowerCase()
      .split(/[^\w]+/)
      .filter((word) => word !== "");
    const textOf = new Map(all.map((one) => [one, JSON.stringify(one).toLowerCase()]));
    const withAll = all.filter((one) => words.every((word) => textOf.get(one)?.includes(word)));
    // what has some of the words is better than nothing, and is said to be that
    const found =
      withAll.length > 0
        ? withAll
        : all.filter((one) => words.some((word) => word.length > 2 && textOf.get(one)?.includes(word)));
    if (found.length === 0) {
      const names = [...new Set(all.map((one) => one.name))];
      throw new EngineError("NO_MATCH", `No source or template fits ${JSON.stringify(input.query)}.`, {
        hint:
          didYouMean(words[0] ?? "", names) ||
          `There are: ${names.join(", ")}. create_source builds another.`,
        details: { sources: names },
      });
    }
    const { shown, page } = pageOf("find_source", input, found, (one) => `${one.kind} ${one.name}`);
    const first = shown[0];
    const next_steps: NextStep[] =
      first?.docs === undefined
        ? []
        : [{ tool: "search_docs", arguments: { query: first.name }, why: "its settings" }];
    return {
      summary: `${found.length} sources and templates${words.length === 0 ? "" : withAll.length > 0 ? ` for ${JSON.stringify(input.query)}` : ` with some words of ${JSON.stringify(input.query)}`}: ${found
        .slice(0, 10)
        .map((one) => one.name)
        .join(", ")}.`,
      data: { sources: [...shown] },
      next_steps,
      page,
    };
  },
});

function entries(workspace: Workspace): Entry[] {
  const files = new SourceFiles(workspace);
  const users = (source: string): string[] =>
    [...workspace.config.pipelines.values()].filter((one) => one.source === source).map((one) => one.name);
  const sources = listSources(workspace.dir).map((one): Entry => {
    if (one.origin === "built_in") {
      return {
        name: one.name,
        kind: "shipped",
        description: one.description,
        ...SHIPPED[one.name],
        pipelines: users(one.name),
      };
    }
    const text = one.file === undefined ? "" : (files.filesOfSource(one.name)[one.file] ?? "");
    return {
      name: one.name,
      kind: "workspace",
      file: one.file,
      ...readFromText(text),
      pipelines: users(one.name),
    };
  });
  const templates = TEMPLATES.map(
    (one): Entry => ({
      name: one.name,
      kind: "template",
      description: `create_source, style typescript: ${one.description}`,
      auth: [...one.auth],
      pipelines: [],
    }),
  );
  return [...sources, ...templates];
}

/** By looking at the text, because running a person's code to list it is not worth it; validate_source runs it. */
function readFromText(text: string): Pick<Entry, "description" | "auth" | "resources"> {
  const description = /source\(\s*\{[^}]*?description:\s*(["'`])(.*?)\1/s.exec(text)?.[2];
  const secrets = [...text.matchAll(/secrets\.(\w+)|secret:\s*["'](\w+)["']/g)].map(
    (match) => match[1] ?? match[2]!,
  );
  const resources = [...text.matchAll(/\b(?:resource|transformer)\(\s*\{(?:[^{}]|\{[^{}]*\})*\}/g)].flatMap(
    (match) => {
      const name = /\bname:\s*["'](\w+)["']/.exec(match[0])?.[1];
      const key = /\bprimaryKey:\s*(\[[^\]]*\]|["']\w+["'])/.exec(match[0])?.[1];
      if (name === undefined) return [];
      return [key === undefined ? name : `${name}; key: ${key.replace(/["'[\]]/g, "").trim()}`];
    },
  );
  return {
    ...(description === undefined ? {} : { description }),
    ...(secrets.length === 0 ? {} : { auth: [...new Set(secrets)] }),
    ...(resources.length === 0 ? {} : { resources }),
  };
}
