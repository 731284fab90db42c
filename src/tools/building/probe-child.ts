/** The process of a probe; see probe-protocol.ts. */

import { toEnvelope } from "../../engine/errors.ts";
import { createSource } from "../../sources/registry.ts";
import { resolveLoadwrightToThisPackage } from "../../sources/resolve-loadwright.ts";
import { parseSqlDatabaseConfig } from "../../sources/sql_database/config.ts";
import { capturePrints } from "../capture-prints.ts";
import { plainJson } from "../run-protocol.ts";
import { Secrets } from "../secrets.ts";
import { describeResource } from "./describe.ts";
import type {
  AskedSecret,
  Description,
  ProbeAnswer,
  ProbeRequest,
  ReflectedTable,
} from "./probe-protocol.ts";

const PRINTED_MAX = 50;

process.once("message", (text) => void main(JSON.parse(String(text)) as ProbeRequest));
process.on("disconnect", () => process.exit(1));
// what almost every source imports: loaded while this process waits for its request
void import("../../engine/index.ts");

async function main(request: ProbeRequest): Promise<void> {
  const secrets = new Secrets({ workspaceDir: request.workspaceDir, pipelineName: request.pipeline });
  const printed: string[] = [];
  capturePrints((_stream, line) => {
    if (printed.length < PRINTED_MAX) printed.push(line);
  });
  const failed = (error: unknown): void => answer({ kind: "error", error: toEnvelope(error) }, secrets);
  process.on("uncaughtException", failed).on("unhandledRejection", failed);
  try {
    resolveLoadwrightToThisPackage();
    const value =
      request.kind === "describe"
        ? await describe(request, secrets)
        : request.kind === "reflect"
          ? { tables: await reflect(request, secrets) }
          : await (await import("./scratch-read.ts")).scratchRead(request, secrets, printed);
    answer({ kind: "value", value }, secrets);
  } catch (error) {
    failed(error);
  }
}

let answered = false;
function answer(given: ProbeAnswer, secrets: Secrets): void {
  if (answered) return;
  answered = true;
  // handles that the source's code left open must not keep the process
  process.send?.(JSON.stringify(secrets.maskAll(plainJson(given))), () => process.exit(0));
}

/** The source is made, its resources are not run. A missing secret is noted and stood in for. */
async function describe(
  { source, config, workspaceDir }: ProbeRequest,
  secrets: Secrets,
): Promise<Description> {
  const asked = new Map<string, AskedSecret>();
  const real = secrets.forSource(source);
  const noted = new Proxy<Record<string, string>>(Object.create(null), {
    get(_target, key) {
      if (typeof key === "symbol" || key === "then" || key === "toJSON") return undefined;
      const set = key in real;
      asked.set(key, { key, set });
      return set ? real[key] : standIn(key);
    },
    has: (_target, key) => typeof key === "string" && key in real,
  });
  const context = { config, secrets: noted, workspaceDir };
  if (source === "sql_database") {
    // its tables are known only by connecting; the settings and the address are not
    const { openDatabase } = await import("../../sources/sql_database/address.ts");
    openDatabase(parseSqlDatabaseConfig(config), context);
    return { name: source, secrets: [...asked.values()] };
  }
  const made = await createSource(source, context);
  return {
    name: made.name,
    resources: made.resources.map((one) => describeResource(one, made.resources)),
    secrets: [...asked.values()],
  };
}

function standIn(key: string): string {
  return key === "credentials" ? "postgresql://nobody@localhost/missing" : "missing-secret";
}

async function reflect(
  { config, workspaceDir, source }: ProbeRequest,
  secrets: Secrets,
): Promise<ReflectedTable[]> {
  const { openDatabase } = await import("../../sources/sql_database/address.ts");
  const database = openDatabase(parseSqlDatabaseConfig(config), {
    config,
    secrets: secrets.forSource(source),
    workspaceDir,
  });
  return (await database.reflect()).map((table) => ({
    name: table.name,
    kind: table.kind,
    ...(table.description === undefined ? {} : { description: table.description }),
    primary_key: table.primaryKey,
    columns: table.columns.map((column) => ({
      name: column.name,
      type: String(column.hints.data_type ?? column.kind),
      nullable: column.nullable,
    })),
  }));
}
