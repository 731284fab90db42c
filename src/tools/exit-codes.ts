/** What the process answers to the shell. Documented in docs/cli.md and in `loadwright --help`. */

import type { ErrorCode } from "../engine/errors.ts";
import type { RunReport } from "../engine/report.ts";

export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  failedWithPending: 3,
  locked: 4,
  confirm: 5,
  cancelled: 130,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0    done
  1    failed; nothing is left pending
  2    the command, the workspace or its settings are not right; nothing was started
  3    the run failed and left a package pending: the next run takes it up first
  4    another run holds the pipeline, or another program the database; try again later
  5    a confirmation is needed: look at the plan, then add --yes
  130  cancelled`;

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  CONFIG_INVALID: EXIT.usage,
  CONFIG_MISSING: EXIT.usage,
  NO_WORKSPACE: EXIT.usage,
  WORKSPACE_EXISTS: EXIT.usage,
  PIPELINE_NOT_FOUND: EXIT.usage,
  SOURCE_NOT_FOUND: EXIT.usage,
  RESOURCE_NOT_FOUND: EXIT.usage,
  ARGUMENTS_INVALID: EXIT.usage,
  LOCKED: EXIT.locked,
  DESTINATION_LOCKED: EXIT.locked,
  CONFIRM_REQUIRED: EXIT.confirm,
  CANCELLED: EXIT.cancelled,
};

export function exitCodeOfError(code: string): number {
  return BY_CODE[code as ErrorCode] ?? EXIT.error;
}

export function exitCodeOfRun(report: RunReport): number {
  if (report.status === "succeeded") return EXIT.ok;
  if (report.status === "cancelled") return EXIT.cancelled;
  const pending = report.packages.some(({ status }) => status === "extracted" || status === "normalized");
  const byError = report.error === undefined ? EXIT.error : exitCodeOfError(report.error.code);
  // who must wait must know so, whatever else is pending
  if (byError === EXIT.locked) return byError;
  return pending ? EXIT.failedWithPending : byError;
}
