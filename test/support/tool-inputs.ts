import type { Tool } from "../../src/tools/define-tool.ts";
import { exampleOf } from "../../src/tools/examples.ts";

/** Arguments with which every tool can be called on the workspace of `makeShop`, without waiting. */
export function exampleInput(tool: Tool): Record<string, unknown> {
  const example = exampleOf(tool);
  if (example === undefined) throw new Error(`${tool.name} needs an example: see src/tools/examples.ts`);
  const quick = "wait_s" in tool.input.shape ? { wait_s: 0 } : {};
  return { ...example, ...quick };
}
