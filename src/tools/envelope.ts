/** The one form of every answer, made to fit the reader: small by default, saying when it is cut. */

import { z } from "zod";
import type { ErrorEnvelope } from "../engine/errors.ts";
import type { NextStep, Tool, ToolResult } from "./define-tool.ts";
import { FENCE, type Fence, newFence } from "./fence.ts";
import { cursorAfter } from "./paging.ts";

/** The fence, where there is one, stands around `data`: keys keep their order in JSON. */
export interface Envelope extends Partial<Fence> {
  readonly summary: string;
  readonly data: unknown;
  readonly truncated: boolean;
  readonly next_cursor?: string;
  readonly next_steps: readonly NextStep[];
}

export type Format = "concise" | "detailed";

export const TOKENS_MAX: Readonly<Record<Format, number>> = { concise: 6_000, detailed: 18_000 };
/** JSON with ids and numbers has about three characters a token; guessing low keeps the promise. */
const CHARS_PER_TOKEN = 3;
const TEXT_CHARS_WHEN_TIGHT = 300;

export function envelopeSchema(data: z.ZodType) {
  return z.object({
    summary: z.string(),
    ...FENCE.partial().shape,
    data,
    truncated: z.boolean(),
    next_cursor: z.string().optional(),
    next_steps: z.array(
      z.object({ tool: z.string(), arguments: z.record(z.string(), z.unknown()), why: z.string() }),
    ),
  });
}

export function tokensOf(value: unknown): number {
  return Math.ceil(JSON.stringify(value).length / CHARS_PER_TOKEN);
}

/** A result as an envelope within the budget: the tool's list is cut first, then the longest lists and texts. */
export function envelopeOf(
  tool: Tool,
  given: Readonly<Record<string, unknown>>,
  result: ToolResult<unknown>,
): Envelope {
  // With its defaults, as the tool saw it: a cursor is checked against those.
  const parsed = tool.input.safeParse(given);
  const input = parsed.success ? parsed.data : given;
  const budget = TOKENS_MAX[input.response_format === "detailed" ? "detailed" : "concise"];
  const data = jsonCopy(result.data);
  const fence = tool.untrusted === true ? newFence() : undefined;
  const head = { summary: result.summary, truncated: true, next_steps: result.next_steps ?? [], ...fence };
  // Room for the note and the cursor that cutting adds.
  const fits = (): boolean => tokensOf({ ...head, data }) + 150 <= budget;

  let cutList = false;
  let cutElse = false;
  const list = listOf(tool, data);
  while (list !== undefined && list.length > 1 && !fits()) {
    list.splice(Math.max(1, Math.floor(list.length * 0.8)));
    cutList = true;
  }
  while (!fits()) {
    if (!cutLongest(data)) break;
    cutElse = true;
  }

  const { page } = result;
  const more = page !== undefined && list !== undefined && (page.more || cutList);
  const next = more ? cursorAfter(tool.name, input, page, list.length) : undefined;
  const notes = [
    cutList || more
      ? next === undefined
        ? "The list is cut: narrow the call to see the rest."
        : "There is more: call again with next_cursor."
      : undefined,
    cutElse
      ? "Long parts are cut to fit; response_format detailed or a narrower call shows more."
      : undefined,
  ].filter((note) => note !== undefined);
  return {
    summary: [result.summary, ...notes].join(" "),
    ...(fence === undefined ? {} : { notice: fence.notice, fence_open: fence.fence_open }),
    data,
    ...(fence === undefined ? {} : { fence_close: fence.fence_close }),
    truncated: (result.truncated ?? false) || cutList || cutElse || more,
    ...(next === undefined ? {} : { next_cursor: next }),
    next_steps: result.next_steps ?? [],
  };
}

/** The answer of a call that failed; a message may quote what came from outside. */
export function errorAnswer(tool: Tool, error: ErrorEnvelope): Record<string, unknown> {
  if (tool.untrusted !== true) return { error };
  const { fence_close, ...open } = newFence();
  return { ...open, error, fence_close };
}

function jsonCopy(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, inner: unknown) =>
      typeof inner === "bigint"
        ? Number.isSafeInteger(Number(inner))
          ? Number(inner)
          : String(inner)
        : inner,
    ),
  );
}

function listOf(tool: Tool, data: unknown): unknown[] | undefined {
  if (tool.list === undefined || typeof data !== "object" || data === null) return undefined;
  const list = (data as Record<string, unknown>)[tool.list];
  return Array.isArray(list) ? list : undefined;
}

/** Shortens the heaviest list or text by half; false when nothing is left to shorten. */
function cutLongest(root: unknown): boolean {
  let heaviest: { size: number; cut: () => void } | undefined;
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      const holder = value as Record<string, unknown>;
      let candidate: { size: number; cut: () => void } | undefined;
      if (typeof inner === "string" && inner.length > TEXT_CHARS_WHEN_TIGHT) {
        const half = Math.max(TEXT_CHARS_WHEN_TIGHT, Math.floor(inner.length / 2)) - 1;
        candidate = { size: inner.length, cut: () => (holder[key] = `${inner.slice(0, half)}…`) };
      } else if (Array.isArray(inner) && inner.length > 1) {
        candidate = {
          size: JSON.stringify(inner).length,
          cut: () => inner.splice(Math.max(1, Math.floor(inner.length / 2))),
        };
      } else if (typeof inner === "object" && inner !== null && isDictionary(inner)) {
        candidate = { size: JSON.stringify(inner).length, cut: () => dropHalf(inner) };
      }
      // A list of one holds its weight further down, so the search goes on inside.
      if (candidate !== undefined && candidate.size > (heaviest?.size ?? TEXT_CHARS_WHEN_TIGHT))
        heaviest = candidate;
      visit(inner);
    }
  };
  visit(root);
  heaviest?.cut();
  return heaviest !== undefined;
}

/** More keys than any record with fixed fields has: names of tables or resources. */
function isDictionary(value: object): value is Record<string, unknown> {
  return !Array.isArray(value) && Object.keys(value).length > 24;
}

function dropHalf(dictionary: Record<string, unknown>): void {
  const keys = Object.keys(dictionary);
  for (const key of keys.slice(Math.floor(keys.length / 2))) delete dictionary[key];
}
