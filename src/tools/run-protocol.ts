/**
 * What a run's child process and its parent tell each other, over an IPC channel: never over stdout, which
 * belongs to whatever the source prints. Values cross as JSON text, because reports may hold 64-bit integers.
 *
 *   parent -> child   request, then perhaps cancel
 *   child  -> parent  progress and log events, reports as they grow, one result
 *
 * Who watches whom:
 * - The child of an attached run (CLI) cancels itself when the channel closes, so that a terminal that is
 *   closed or a parent that is killed leaves no run behind. If the source's code blocks even that, the
 *   pipeline's lock names the process to whoever runs next.
 * - The child of a detached run (MCP) goes on: its trace and log on disk are what anybody needs to follow it.
 * - A child that ends without a result was killed or crashed; the parent says so in the report and the trace.
 */

import type { LogLevel, ProgressEvent } from "../engine/context.ts";
import type { Permission } from "../engine/permission.ts";
import type { RunReport } from "../engine/report.ts";
import type { RefreshMode } from "../engine/reset/refresh.ts";
import type { Contract, ContractMode } from "../engine/schema/types.ts";

/** What a run can be told from outside; see the engine's RunOptions. */
export interface RunSettings {
  readonly resources?: readonly string[];
  /** At most so many rows of each resource. */
  readonly rowsMax?: number;
  readonly backfill?: { readonly from: string; readonly to: string };
  readonly interval?: { readonly from: string; readonly to: string };
  readonly refresh?: RefreshMode;
  readonly schemaContract?: Contract | ContractMode;
  /** Only tell what the run would do. */
  readonly dryRun?: boolean;
}

export interface RunRequest extends RunSettings {
  readonly kind: "run";
  readonly workspaceDir: string;
  readonly pipeline: string;
  readonly runId: string;
  readonly detached: boolean;
  /** What the process may do with the pipeline; its own engine asks again. */
  readonly allow: readonly Permission[];
}

export interface CancelRequest {
  readonly kind: "cancel";
}

export interface LogEvent {
  readonly kind: "log";
  readonly time: string;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface ReportEvent {
  readonly kind: "report";
  readonly report: RunReport;
}

/** What a reader of `RunHandle.events` sees. */
export type RunEvent = ProgressEvent | LogEvent | ReportEvent;

export type ChildMessage = RunEvent | { readonly kind: "result"; readonly report: RunReport };
export type ParentMessage = RunRequest | CancelRequest;

/** JSON text of a message; integers beyond 2^53 become strings of digits, as JSON has no exact form for them. */
export function encode(message: ChildMessage | ParentMessage): string {
  return toJson(message);
}

export function decode<Message extends ChildMessage | ParentMessage>(text: unknown): Message {
  return JSON.parse(String(text)) as Message;
}

/** `JSON.stringify` that does not throw on bigint. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_key, inner: unknown) => (typeof inner === "bigint" ? safeInteger(inner) : inner),
    indent,
  );
}

/** A copy that any JSON writer can write. */
export function plainJson<T>(value: T): T {
  return JSON.parse(toJson(value)) as T;
}

function safeInteger(value: bigint): number | string {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
}
