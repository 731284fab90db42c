/** Sources as TypeScript: what a draft says, as code to go on from, with a test beside it. */

import type { Draft } from "./draft.ts";

export interface SourceCode {
  readonly files: Readonly<Record<string, string>>;
  /** What stays in loadwright.toml. */
  readonly config: Readonly<Record<string, unknown>>;
}

export const TEMPLATES = [
  { name: "empty", description: "One resource that yields rows you make, with a cursor", auth: ["none"] },
  {
    name: "rest_api",
    description: "JSON over HTTP, from settings in code",
    auth: ["none", "bearer", "api_key", "http_basic", "header", "oauth2_client_credentials"],
  },
  { name: "filesystem", description: "Files of a folder, with steps on their rows", auth: ["none"] },
  {
    name: "sql_database",
    description: "Tables of a database, with steps on their rows",
    auth: ["credentials"],
  },
] as const;

export function emptyTemplate(name: string): SourceCode {
  return {
    config: {},
    files: {
      [`sources/${name}/index.ts`]: `import { incremental, resource, source } from "loadwright";

interface Item {
  readonly id: number;
  readonly name: string;
  readonly updated_at: string;
}

/** Replace this by what you load: fetch what changed since, and yield it page by page. */
async function* fetchItems(since: string): AsyncGenerator<Item[]> {
  const items: Item[] = [
    { id: 1, name: "first", updated_at: "2024-01-01T00:00:00Z" },
    { id: 2, name: "second", updated_at: "2024-01-02T00:00:00Z" },
  ];
  yield items.filter((item) => item.updated_at >= since);
}

export default source({ name: ${JSON.stringify(name)}, description: "Describe what it loads" }, () => [
  resource(
    {
      name: "items",
      writeDisposition: "merge",
      primaryKey: "id",
      incremental: incremental("updated_at", { initialValue: "2024-01-01T00:00:00Z" }),
    },
    async function* ({ cursor, signal, ended }) {
      for await (const page of fetchItems(String(cursor.lastValue))) {
        signal.throwIfAborted();
        yield page.map((item) => ({ ...item }));
      }
      ended("everything since the cursor was read");
    },
  ),
]);
`,
      ...testFile(name, {
        resources: ["items"],
        more: `
test("a second run adds nothing", async () => {
  const dir = mkdtempSync(join(tmpdir(), "${name}-"));
  try {
    const made = pipeline({ name: "scratch", destination: duckdb({ path: join(dir, "scratch.duckdb") }), dir });
    const first = await made.run(await make());
    assert.equal(first.status, "succeeded", first.error?.message);
    assert.equal(first.rows.items, 2);
    const second = await made.run(await make());
    assert.equal(second.rows.items ?? 0, 0);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
`,
        imports: [
          'import { mkdtempSync, rmSync } from "node:fs";',
          'import { tmpdir } from "node:os";',
          'import { join } from "node:path";',
        ],
        engine: ['import { duckdb, pipeline } from "loadwright";'],
      }),
    },
  };
}

/** The draft of a built-in source as code: its settings stay data, steps can be put behind each resource. */
export function codeOf(name: string, draft: Draft): SourceCode {
  const described = JSON.stringify(draft.description ?? name);
  const settings = literal(draft.config);
  const resources = resourceNames(draft);
  switch (draft.source) {
    case "rest_api":
      return {
        config: {},
        files: {
          [`sources/${name}/index.ts`]: `import { source } from "loadwright";
import { type RestApiInput, restApi } from "loadwright/sources";

const SETTINGS: RestApiInput = ${settings};

export default source({ name: ${JSON.stringify(name)}, description: ${described} }, ({ config, secrets }) => {
  // config.base_url of loadwright.toml wins: for a sandbox of the service, or a test
  const base_url = String(config.base_url ?? SETTINGS.client.base_url);
  return restApi({ ...SETTINGS, client: { ...SETTINGS.client, base_url } }, { secrets });
});
`,
          ...testFile(name, { resources, secrets: draft.secrets.map((one) => one.key) }),
        },
      };
    case "filesystem":
      return {
        config: {},
        files: {
          [`sources/${name}/index.ts`]: `import { source } from "loadwright";
import { filesystemResources } from "loadwright/sources";

const SETTINGS = ${settings};

export default source({ name: ${JSON.stringify(name)}, description: ${described} }, (context) =>
  // put .map(row => …) or .filter(row => …) behind a resource to change its rows
  filesystemResources(SETTINGS, context.workspaceDir),
);
`,
          ...testFile(name, { resources }),
        },
      };
    default:
      return {
        config: draft.config,
        files: {
          [`sources/${name}/index.ts`]: `import { source } from "loadwright";
import { sqlDatabaseResources } from "loadwright/sources";

export default source({ name: ${JSON.stringify(name)}, description: ${described} }, async (context) => {
  const resources = await sqlDatabaseResources(context);
  // put .map(row => …) or .filter(row => …) behind a resource to change its rows
  return resources;
});
`,
          [`sources/${name}/index.test.ts`]: `import assert from "node:assert/strict";
import test from "node:test";
import factory from "./index.ts";

test("without an address of the database it says so", async () => {
  await assert.rejects(async () => factory({ config: {}, secrets: {} }), { code: "CONFIG_MISSING" });
});
`,
        },
      };
  }
}

export function resourceNames(draft: Draft): string[] {
  const { resources } = draft.config;
  if (Array.isArray(resources)) return resources.map((one) => String((one as { name: unknown }).name));
  return Object.keys((resources ?? {}) as object);
}

function testFile(
  name: string,
  parts: {
    readonly resources: readonly string[];
    readonly secrets?: readonly string[];
    readonly more?: string;
    readonly imports?: readonly string[];
    readonly engine?: readonly string[];
  },
): Record<string, string> {
  const secrets = Object.fromEntries((parts.secrets ?? []).map((key) => [key, "for-a-test"]));
  const imports = [
    'import assert from "node:assert/strict";',
    ...(parts.imports ?? []),
    'import test from "node:test";',
    ...(parts.engine ?? []),
  ];
  return {
    [`sources/${name}/index.test.ts`]: `${imports.join("\n")}
import factory from "./index.ts";

const make = () => factory({ config: {}, secrets: ${literal(secrets)} });

test("it has its resources, and each that merges has a key", async () => {
  const { resources } = await make();
  assert.deepEqual(
    resources.map((one) => one.name),
    ${JSON.stringify(parts.resources)},
  );
  for (const { name, hints } of resources) {
    if (hints.writeDisposition === "merge") assert.ok(hints.primaryKey ?? hints.mergeKey, name);
  }
});
${parts.more ?? ""}`,
  };
}

/** A value as a TypeScript literal. */
function literal(value: unknown, indent = ""): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "undefined";
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((one) => `${inner}${literal(one, inner)},\n`).join("")}${indent}]`;
  }
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  if (entries.length === 0) return "{}";
  const flat = `{ ${entries.map(([key, member]) => `${propertyName(key)}: ${JSON.stringify(member)}`).join(", ")} }`;
  if (flat.length < 90 && entries.every(([, member]) => typeof member !== "object" || member === null))
    return flat;
  return `{\n${entries.map(([key, member]) => `${inner}${propertyName(key)}: ${literal(member, inner)},\n`).join("")}${indent}}`;
}

function propertyName(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
}
