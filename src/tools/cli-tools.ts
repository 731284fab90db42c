/**
 * The agent's tools on the command line: `loadwright tool NAME '{…}'` answers the same JSON as the MCP server.
 * Every mode is open, because a person types; what destroys is asked on the terminal.
 */

import { EngineError, ERRORS } from "../engine/errors.ts";
import { didYouMean } from "../engine/nearest.ts";
import { CATALOG } from "./catalog.ts";
import { AskPerson, type Confirmation, ConfirmBook } from "./confirm.ts";
import type { Tool } from "./define-tool.ts";
import { type Envelope, envelopeOf } from "./envelope.ts";
import { Gates, OPENABLE_MODES } from "./gates.ts";
import { RunBook } from "./run-book.ts";
import type { Workspace } from "./workspace.ts";

export interface ToolCall {
  readonly name: string;
  /** JSON text of an object. */
  readonly input: string;
  /** Puts a tool's question to the person, with its plan; rejects where nobody can answer. */
  readonly ask: (question: string, plan: unknown) => Promise<boolean>;
  readonly progress: (message: string) => void;
  readonly signal: AbortSignal;
}

export function toolByName(name: string): Tool {
  const tool = CATALOG.find((each) => each.name === name);
  if (tool !== undefined) return tool;
  const names = CATALOG.map((each) => each.name);
  throw new EngineError("ARGUMENTS_INVALID", `There is no tool ${name}. ${didYouMean(name, names)}`.trim(), {
    hint: "`loadwright tool` lists them.",
    details: { tools: names },
  });
}

export async function callTool(workspace: Workspace, call: ToolCall): Promise<Envelope> {
  const tool = toolByName(call.name);
  const input = parsedInput(call.input);
  const gates = new Gates([...OPENABLE_MODES]);
  const book = new ConfirmBook();
  const runs = new RunBook();
  const attempt = async (answered?: Confirmation["answered"]): Promise<Envelope> => {
    const result = await tool.run(input, {
      workspace,
      gates,
      runs,
      confirmation: { book, canAsk: true, answered },
      signal: call.signal,
      isShuttingDown: () => false,
      progress: (_done, message) => call.progress(message),
    });
    return workspace.secrets().maskAll(envelopeOf(tool, input, result));
  };
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof AskPerson)) throw error;
    const answer = (await call.ask(error.question, workspace.secrets().maskAll(error.plan)))
      ? "accepted"
      : "declined";
    return attempt({ answer, token: error.token });
  }
}

function parsedInput(text: string): Record<string, unknown> {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (cause) {
    throw new EngineError("ARGUMENTS_INVALID", `The input is not JSON: ${(cause as Error).message}`, {
      hint: `Quote it as one word: loadwright tool get_schema '{"pipeline": "shop"}'`,
      cause,
    });
  }
  if (typeof input === "object" && input !== null && !Array.isArray(input)) return { ...input };
  throw new EngineError("ARGUMENTS_INVALID", "The input must be a JSON object.", {
    hint: ERRORS.ARGUMENTS_INVALID.hint,
  });
}
