/** What the engine has to know of Postgres, with and without a connection. */

import { POSTGRES_IDENTIFIER_BYTES_MAX } from "../../sql/dialect.ts";
import type { Capabilities } from "../destination.ts";

export const POSTGRES_CAPABILITIES: Capabilities = {
  identifierLengthMax: POSTGRES_IDENTIFIER_BYTES_MAX,
  jobFormat: "blocks",
  ahead: { pauseMs: 2000, bytesPerSecondMax: Number.POSITIVE_INFINITY },
};
