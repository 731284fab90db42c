/** What extracting is given, and what it hands over for each package. */

import type { PipelineState } from "../interop/state.ts";
import type { JobInfo, ResourceInPackage } from "../package/types.ts";
import type { NamingConvention } from "../schema/naming.ts";
import type { ContractMode, Schema } from "../schema/types.ts";
import type { StoredBoundaries } from "./boundary-store.ts";
import type { Source } from "./resource.ts";

/** Where the rows of the package being extracted go; opened when the first package is begun. */
export interface ExtractTarget {
  readonly jobsDir: string;
  /** Takes each job that is full while there are rows to come, those of a table in the order of its rows. Never fails. */
  readonly onFull?: ((job: JobInfo) => Promise<void>) | undefined;
}

/** What `seal` gets: everything extracted since the last seal. */
export interface Extracted {
  readonly jobs: readonly JobInfo[];
  readonly resources: readonly ResourceInPackage[];
  /** Tables that their contract keeps out of the schema although there are rows for them. */
  readonly refusedTables: Readonly<Record<string, ContractMode>>;
  /** Rows of such tables that were only counted. */
  readonly discarded: Readonly<Record<string, number>>;
}

export interface ExtractWork {
  readonly pipelineName: string;
  readonly source: Source;
  /** Only these; undefined: all. */
  readonly resources?: readonly string[];
  readonly rowsMax?: number;
  /** All of it in one package, because what is committed first would take away what comes last. */
  readonly whole: boolean;
  /** Rows of a table that its contract discards are written all the same, to be kept as rejected ones. */
  readonly keepRejected: boolean;
  /** Changed in place: declared tables and hints. `seal` may put a later form of it here. */
  schema: Schema;
  readonly naming: NamingConvention;
  /** Jobs are on the disk when their package is sealed. */
  readonly sync: boolean;
  /** Changed in place: cursors and resource state. */
  readonly state: PipelineState;
  /** What is remembered of rows at the last value of cursors beside the state. */
  readonly boundaries: StoredBoundaries;
  /** Begins a package; called once before the first row and after each seal. */
  readonly begin: () => Promise<ExtractTarget>;
  /** Seals the package that is open. Not called for the last one: its content is returned. */
  readonly seal: (extracted: Extracted) => Promise<void>;
  readonly warn: (message: string) => void;
}
