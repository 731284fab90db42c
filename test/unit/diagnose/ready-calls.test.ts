import { afterAll, describe, expect, it } from "vitest";
import { CATALOG } from "../../../src/tools/catalog.ts";
import { ConfirmBook } from "../../../src/tools/confirm.ts";
import type { ToolContext } from "../../../src/tools/define-tool.ts";
import { diagnoseError } from "../../../src/tools/diagnose-tool.ts";
import { Gates } from "../../../src/tools/gates.ts";
import { RunBook } from "../../../src/tools/run-book.ts";
import { findWorkspace } from "../../../src/tools/workspace.ts";
import { ERROR_CORPUS } from "../../support/error-corpus.ts";
import { makeWorkspace } from "../../support/workspace.ts";

const workspace = makeWorkspace({ "loadwright.toml": '[pipelines.shop]\nsource = "shop"\n' });
afterAll(() => workspace.remove());

const gates = new Gates();
const context: ToolContext = {
  workspace: findWorkspace(workspace.dir),
  gates,
  runs: new RunBook(),
  confirmation: { book: new ConfirmBook(), canAsk: false },
  signal: new AbortController().signal,
  isShuttingDown: () => false,
  progress: () => {},
};

interface Fixes {
  readonly fixes: readonly { readonly tool: string; readonly arguments: unknown }[];
}

describe("the fixes of a diagnosis", () => {
  for (const pipeline of ["shop", undefined]) {
    it(`are calls that their tools accept, for every entry ${pipeline ? "with" : "without"} a pipeline`, async () => {
      let calls = 0;
      for (const [code, text] of ERROR_CORPUS) {
        const input = { text, table: "orders", gather_evidence: false, ...(pipeline ? { pipeline } : {}) };
        const result = await diagnoseError.run(input, context);
        expect(diagnoseError.output.safeParse(result.data).success, code).toBe(true);
        for (const each of (result.data as Fixes).fixes) {
          const tool = CATALOG.find(({ name }) => name === each.tool);
          expect(tool?.input.safeParse(each.arguments).success, `${code}: ${each.tool}`).toBe(true);
          calls += 1;
        }
      }
      expect(calls).toBeGreaterThan(pipeline ? 200 : 100);
    });
  }
});
