import { EngineError } from "../../src/engine/errors.ts";

/** The coded error that the work ends in; anything else fails the test. */
export async function refusal(work: Promise<unknown>): Promise<EngineError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EngineError)) throw new Error(`expected an EngineError, got ${String(error)}`);
  return error;
}
