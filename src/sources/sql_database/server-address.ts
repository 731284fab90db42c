import type { SqlDatabaseConfig } from "./config.ts";

/** What the dialects of servers are opened with. */
export interface ServerAddress {
  readonly url: string;
  /** Wins over the URL's. */
  readonly password: string | undefined;
  readonly config: SqlDatabaseConfig;
  /** An absolute path. */
  readonly rootCert: string | undefined;
}
