/** A tool as data: what it is called, takes and answers, and the function behind it. */

import { z } from "zod";
import { EngineError } from "../engine/errors.ts";
import type { Confirmation } from "./confirm.ts";
import type { Gates, Mode } from "./gates.ts";
import type { Page } from "./paging.ts";
import type { RunBook } from "./run-book.ts";
import type { ViewName } from "./views.ts";
import type { Workspace } from "./workspace.ts";

/** What a tool is handed besides its input. */
export interface ToolContext {
  readonly workspace: Workspace;
  readonly gates: Gates;
  readonly runs: RunBook;
  readonly confirmation: Confirmation;
  /** Aborted when the caller gives up on this call. */
  readonly signal: AbortSignal;
  /** True when the call ends because the server does: what should outlive it is then left alone. */
  readonly isShuttingDown: () => boolean;
  /** Tells the caller how far the call is; `done` goes up. */
  readonly progress: (done: number, message: string) => void;
}

export interface NextStep {
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly why: string;
}

/** What a tool's function answers; `envelope.ts` makes it fit and adds the cursor. */
export interface ToolResult<Data> {
  /** One or two lines: the answer for whoever reads no further. */
  readonly summary: string;
  readonly data: Data;
  readonly truncated?: boolean;
  readonly next_steps?: readonly NextStep[];
  /** For a list that goes on; `pageOf` makes it. */
  readonly page?: Page;
}

export interface ToolAnnotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

export const READS: ToolAnnotations = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
};

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly mode: Mode;
  readonly annotations: ToolAnnotations;
  readonly input: z.ZodObject;
  /** Of `data`. */
  readonly output: z.ZodType;
  /** Key in `data` of the list that is cut first and goes on by cursor. */
  readonly list?: string;
  /** Answers hold text from outside, such as cells, cursors, logs or messages of other systems: it is fenced. */
  readonly untrusted?: boolean;
  /** Shows the answers to a person, at clients that can. */
  readonly view?: ViewName;
  /** Checks the input and runs. Errors: ARGUMENTS_INVALID, and those of the tool. */
  run(input: unknown, context: ToolContext): Promise<ToolResult<unknown>>;
}

export interface ToolDefinition<Input extends z.ZodObject, Output extends z.ZodType> {
  readonly name: string;
  readonly title: string;
  /** When to use it and what usually comes next; describes, never commands. */
  readonly description: string;
  readonly mode: Mode;
  readonly annotations: ToolAnnotations;
  readonly input: Input;
  readonly output: Output;
  readonly list?: string;
  readonly untrusted?: boolean;
  readonly view?: ViewName;
  execute(input: z.output<Input>, context: ToolContext): Promise<ToolResult<z.input<Output>>>;
}

export function defineTool<Input extends z.ZodObject, Output extends z.ZodType>(
  definition: ToolDefinition<Input, Output>,
): Tool {
  const { execute, ...facts } = definition;
  return {
    ...facts,
    async run(input, context) {
      const parsed = definition.input.safeParse(input ?? {});
      if (!parsed.success) {
        throw new EngineError(
          "ARGUMENTS_INVALID",
          `The arguments of ${definition.name} are not valid: ${z.prettifyError(parsed.error)}`,
        );
      }
      context.gates.require(definition.mode, definition.name);
      return execute(parsed.data, context);
    },
  };
}

export const FORMAT = z
  .enum(["concise", "detailed"])
  .default("concise")
  .describe("concise: about 6,000 tokens at most; detailed: up to 18,000, with all fields");

export const PIPELINE = z.string().min(1).max(200).describe("Name of a pipeline; get_workspace lists them");

export const CURSOR = z
  .string()
  .max(500)
  .optional()
  .describe("next_cursor of the answer before this one; other arguments stay the same");

export function limitOf(standard: number, most: number) {
  return z.int().min(1).max(most).default(standard).describe(`Entries per answer, at most ${most}`);
}
