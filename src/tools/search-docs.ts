import { existsSync, readdirSync, readFileSync } from "node:fs";
import MiniSearch from "minisearch";
import { z } from "zod";
import { EngineError, ERRORS } from "../engine/errors.ts";
import { nearest } from "../engine/nearest.ts";
import { builtInSource, builtInSourceNames } from "../sources/registry.ts";
import { defineTool, FORMAT, READS } from "./define-tool.ts";
import { docSlugs, readDoc } from "./docs.ts";

interface Passage {
  readonly id: number;
  /** `docs/rest_api.md#paginators`, `error:LOCKED`, `rest_api: client.base_url`. */
  readonly place: string;
  readonly title: string;
  readonly text: string;
}

const PASSAGE_CHARS: Readonly<Record<"concise" | "detailed", number>> = { concise: 900, detailed: 4000 };
const ROOT = new URL("../../", import.meta.url);

export const searchDocsTool = defineTool({
  name: "search_docs",
  title: "Search the documentation",
  description:
    "Searches loadwright's documentation, skills, settings of the shipped sources and error codes, all of it on this " +
    "machine. Answers passages with their place, the best first. Useful for the name of a setting before create_source " +
    "or update_source, or for what an error code means (diagnose_error looks at an error itself).",
  mode: "read",
  annotations: READS,
  input: z.strictObject({
    query: z.string().min(2).max(300),
    k: z.int().min(1).max(20).default(5).describe("Passages at most"),
    response_format: FORMAT,
  }),
  output: z.object({
    passages: z.array(
      z.object({
        place: z.string(),
        title: z.string(),
        text: z.string(),
        cut: z.boolean(),
        score: z.number(),
      }),
    ),
  }),
  async execute({ query, k, response_format }) {
    const passages = await allPassages();
    const index = new MiniSearch<Passage>({
      fields: ["title", "place", "text"],
      tokenize: words,
      searchOptions: {
        boost: { title: 4, place: 2 },
        prefix: (term) => term.length > 3,
        fuzzy: (term) => (term.length > 5 ? 0.2 : 0),
        combineWith: "OR",
      },
    });
    index.addAll(passages);
    // passages with all the words first; some of the words are better than nothing
    const all = index.search(query, { combineWith: "AND" });
    const some = index.search(query).filter((one) => !all.some((other) => other.id === one.id));
    const found = [...all, ...some].slice(0, k);
    if (found.length === 0) {
      const terms = new Set(passages.flatMap((one) => words(one.title)));
      const near = nearest(words(query)[0] ?? query, terms);
      throw new EngineError("NO_MATCH", `The documentation has nothing about ${JSON.stringify(query)}.`, {
        hint: near.length > 0 ? `Near: ${near.join(", ")}.` : `Pages there are: ${docSlugs().join(", ")}.`,
        details: { nearest: near, pages: docSlugs() },
      });
    }
    const chars = PASSAGE_CHARS[response_format];
    return {
      summary: `${found.length} passages: ${found
        .slice(0, 5)
        .map((one) => passages[one.id as number]!.place)
        .join(", ")}.`,
      data: {
        passages: found.map(({ id, score }) => {
          const { place, title, text } = passages[id as number]!;
          return {
            place,
            title,
            text: text.slice(0, chars),
            cut: text.length > chars,
            score: Math.round(score * 10) / 10,
          };
        }),
      },
    };
  },
});

/** Names of settings are found as a whole and by their parts. */
function words(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^\p{L}\p{N}_]+/u)
    .filter((word) => word !== "")
    .flatMap((word) =>
      word.includes("_") ? [word, ...word.split("_").filter((part) => part !== "")] : [word],
    );
}

async function allPassages(): Promise<Passage[]> {
  const passages: Omit<Passage, "id">[] = [];
  for (const slug of docSlugs()) passages.push(...sections(`docs/${slug}.md`, readDoc(slug) ?? ""));
  for (const file of skillFiles())
    passages.push(...sections(file, readFileSync(new URL(file, ROOT), "utf8")));
  for (const [code, { hint, retry }] of Object.entries(ERRORS)) {
    passages.push({
      place: `error:${code}`,
      title: code,
      text: `${code}. ${hint} Does a retry help? ${retry}.`,
    });
  }
  for (const name of builtInSourceNames()) {
    const source = await builtInSource(name);
    if (source === undefined) continue;
    const schema = z.toJSONSchema(source.configSchema, { io: "input", unrepresentable: "any" });
    for (const { path, text } of settings(schema as JsonSchema, [])) {
      passages.push({
        place: `${name}: ${path}`,
        title: path,
        text: `Setting ${path} of the source ${name}: ${text}`,
      });
    }
  }
  return passages.map((one, id) => ({ ...one, id }));
}

/** A page by its headings; anchors as Markdown sites make them. */
function sections(file: string, text: string): Omit<Passage, "id">[] {
  const page = /^# (.+)$/m.exec(text)?.[1] ?? file;
  const parts: Omit<Passage, "id">[] = [];
  let fence = false;
  let title = page;
  let lines: string[] = [];
  const close = (): void => {
    const body = lines.join("\n").trim();
    const anchor = title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-");
    if (body !== "")
      parts.push({
        place: `${file}#${anchor}`,
        title: title === page ? page : `${page}: ${title}`,
        text: body,
      });
    lines = [];
  };
  for (const line of text.replace(/^---\n.*?\n---\n/s, "").split("\n")) {
    if (/^```/.test(line)) fence = !fence;
    const heading = fence ? undefined : /^#{1,4} (.+)$/.exec(line)?.[1];
    if (heading === undefined) lines.push(line);
    else {
      close();
      title = heading;
    }
  }
  close();
  return parts;
}

function skillFiles(): string[] {
  const files = existsSync(new URL("SKILL.md", ROOT)) ? ["SKILL.md"] : [];
  if (!existsSync(new URL("skills/", ROOT))) return files;
  for (const entry of readdirSync(new URL("skills/", ROOT), { recursive: true, encoding: "utf8" })) {
    if (entry.endsWith(".md")) files.push(`skills/${entry.replaceAll("\\", "/")}`);
  }
  return files.sort();
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly description?: string;
}

/** Dotted names of settings with what they may be. */
function settings(schema: JsonSchema, path: readonly string[]): { path: string; text: string }[] {
  if (path.length > 6) return [];
  const found = new Map<string, string>();
  const visit = (inner: JsonSchema, at: readonly string[]): void => {
    for (const one of settings(inner, at)) found.set(one.path, one.text);
  };
  for (const [key, inner] of Object.entries(schema.properties ?? {})) {
    found.set([...path, key].join("."), told(inner));
    visit(inner, [...path, key]);
  }
  for (const option of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) visit(option, path);
  if (schema.items !== undefined) visit(schema.items, path);
  if (typeof schema.additionalProperties === "object")
    visit(schema.additionalProperties, [...path, "<name>"]);
  return [...found].map(([at, text]) => ({ path: at, text }));
}

function told(schema: JsonSchema): string {
  const options = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  if (options.length > 0) return [...new Set(options.map(told))].slice(0, 12).join(" or ");
  const parts = [
    schema.description,
    schema.const === undefined ? undefined : JSON.stringify(schema.const),
    schema.enum === undefined
      ? schema.type
      : `one of ${schema.enum.map((one) => JSON.stringify(one)).join(", ")}`,
    schema.properties?.type?.const === undefined
      ? undefined
      : `of type ${JSON.stringify(schema.properties.type.const)}`,
    schema.default === undefined ? undefined : `default ${JSON.stringify(schema.default)}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ") || "any value";
}
