import { looksSecret } from "../engine/inspect/secret-like.ts";

const MASKED = "[looks like a secret]";

/** A cell for an answer that nobody asked to see every cell of. */
export function maskedCell<T>(column: string, value: T): T | string {
  return typeof value === "string" && looksSecret(column, value) ? MASKED : value;
}
