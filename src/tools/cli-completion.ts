/**
 * `loadwright completion bash|zsh|fish` prints a script for the shell; the shell then asks `loadwright complete
 * -- WORDS` while somebody types. Commands and options come from the command line itself, names from the workspace.
 */

import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";
import { complete, isCompletable } from "./completions.ts";
import { findWorkspace, type Workspace } from "./workspace.ts";

export async function addCompletion(root: Command): Promise<void> {
  const completion = tab(root, { completionCommandName: "completion" });
  for (const command of root.commands) {
    const completed = completion.commands.get(command.name());
    if (completed !== undefined && command.summary() !== "") completed.description = command.summary();
  }
  const workspace = workspaceHere();
  if (workspace === undefined) return;
  const pipelines = await complete(workspace, "pipeline", "");
  const sources = await complete(workspace, "source", "");
  for (const command of completion.commands.values()) {
    for (const [key, values] of [
      ["pipeline", pipelines],
      ["name", pipelines],
      ["source", sources],
    ] as const) {
      if (!isCompletable(key) && command.value !== "pipeline") continue;
      const suggest = (add: (value: string, description: string) => void): void => {
        for (const value of values) add(value, key);
      };
      const argument = command.arguments.get(key);
      if (argument !== undefined) argument.handler = suggest;
      const option = command.options.get(key);
      if (option !== undefined) option.handler = suggest;
    }
  }
}

/** Outside of a workspace, commands and options can be completed still. */
function workspaceHere(): Workspace | undefined {
  try {
    return findWorkspace(process.cwd());
  } catch {
    return undefined;
  }
}
