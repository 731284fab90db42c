/** The destination is opened for each use and closed again. */

import pRetry from "p-retry";
import type { RunContext } from "../context.ts";
import type { DestinationSession } from "../destinations/destination.ts";
import { EngineError } from "../errors.ts";
import type { Run } from "./run.ts";

/** Attempts to open a destination that is busy: about ten seconds in all. */
const OPEN_RETRIES = 5;

export async function withSession<T>(run: Run, use: (session: DestinationSession) => Promise<T>): Promise<T> {
  return using(run.context, await openSession(run), use);
}

/** Tries again while the destination is busy. Whoever opens it closes it. */
export function openSession({
  pipeline,
  context,
}: Pick<Run, "pipeline" | "context">): Promise<DestinationSession> {
  return pRetry(() => pipeline.destination.open(pipeline.dataset, context), {
    retries: OPEN_RETRIES,
    minTimeout: 200,
    factor: 2,
    randomize: true,
    signal: context.signal,
    shouldRetry: ({ error }) => error instanceof EngineError && error.retry === "yes",
  });
}

/** Closes the session after its use. */
export async function using<T>(
  context: RunContext,
  session: DestinationSession,
  use: (session: DestinationSession) => Promise<T>,
): Promise<T> {
  try {
    return await use(session);
  } finally {
    await session.close();
    context.boundary("session:closed");
  }
}
