/** What an entry of the error catalogue says. The entries are data, one file an area, in catalogue/. */

import type { Retry } from "../errors.ts";

export type Category =
  | "auth"
  | "bug"
  | "clock"
  | "config"
  | "contract"
  | "cursor"
  | "disk"
  | "driver"
  | "encoding"
  | "file"
  | "install"
  | "key"
  | "limit"
  | "lock"
  | "memory"
  | "network"
  | "parse"
  | "permission"
  | "pooler"
  | "rate"
  | "request"
  | "schema"
  | "server"
  | "state"
  | "timeout"
  | "timezone"
  | "tls"
  | "truncation"
  | "type"
  | "version"
  | "wrapper";

/** What can be looked at, read-only, to tell the causes apart. */
export type CheckName =
  | "activity" // sessions, blocked ones, idle transactions
  | "config" // the resolved destination, without secrets; the address of a Supabase project
  | "disk" // free space where the workspace is
  | "keys" // declared keys, unique indexes, duplicate and null keys in the table
  | "lock" // who holds the pipeline or the database file
  | "network" // DNS and TCP to the configured host, from here
  | "packages" // pending and failed packages
  | "runs" // the last runs
  | "source" // files that the pipeline's configuration names
  | "state" // cursors, and whether they make sense
  | "types" // live columns against the stored schema
  | "versions";

/** What a check can find that speaks for a cause. */
export type Flag =
  | "blocked_sessions"
  | "connections_many"
  | "cursor_behind_destination"
  | "cursor_in_future"
  | "database_locked"
  | "disk_low"
  | "dns_failed"
  | "duplicate_keys"
  | "failed_packages"
  | "file_missing"
  | "idle_in_transaction"
  | "ipv6_only"
  | "key_undeclared"
  | "null_keys"
  | "partial_load"
  | "password_missing"
  | "pending_packages"
  | "pipeline_running"
  | "read_only_server"
  | "supabase_mistake"
  | "table_missing"
  | "tcp_failed"
  | "transaction_pooler"
  | "type_mismatch"
  | "unique_index_missing"
  | "unique_index_present"
  | "variant_columns";

/** Tools that help; their arguments come from what the error is about. */
export type StepName =
  | "diff_schema"
  | "drop_pending_packages"
  | "get_schema"
  | "get_workspace"
  | "inspect_state"
  | "profile_table"
  | "query_loads"
  | "request_secret"
  | "reset_cursor"
  | "run_checks"
  | "run_pipeline"
  | "sync_state"
  | "test_source"
  | "validate_source";

/** A cause; with flags in front, evidence that speaks for it. */
export type CauseEntry = string | readonly [Flag | readonly Flag[], string];

export interface Pattern {
  /** Stable: agents, tests and docs refer to it. */
  readonly code: string;
  readonly category: Category;
  /** What happened, in one sentence. */
  readonly title: string;
  readonly retry: Retry;
  /** SQLSTATE, recognized next to the words that introduce one. */
  readonly sqlstate?: readonly string[];
  /** Codes and class names as whole words: `ECONNRESET`, `UniqueViolation`. */
  readonly names?: readonly string[];
  /** Codes of a pooler, in parentheses in its messages; they come before everything else. */
  readonly pooler?: readonly string[];
  /** HTTP status codes. */
  readonly http?: readonly number[];
  /** Messages as they are printed; `*` is anything within a line; quotes of all kinds are alike, case does not count. */
  readonly text?: readonly string[];
  /** Not this entry where one of these is anywhere in the text. */
  readonly unless?: readonly string[];
  /** Most likely first. */
  readonly causes: readonly CauseEntry[];
  readonly checks: readonly CheckName[];
  readonly fixes: readonly string[];
  readonly steps?: readonly StepName[];
  /** Words that also occur elsewhere: never a confident answer by themselves. */
  readonly weak?: boolean;
}
