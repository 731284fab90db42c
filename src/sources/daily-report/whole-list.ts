/**
 * All pages of a list that may change while it is read. A row that arrives or goes moves the rows behind it, so
 * that one is seen twice and another not at all: then there are fewer different rows than the service counts,
 * or one comes twice, and the list is read again.
 */

import { EngineError } from "../../engine/errors.ts";
import type { JsonValue } from "../../engine/interop/json.ts";

export type JsonObject = { [key: string]: JsonValue };

export interface ListPage {
  readonly rows: readonly JsonObject[];
  /** Rows of the whole list, when the service says it. */
  readonly total: number | undefined;
}

export interface WholeList {
  /** For messages: `conversions of 2026-03-01`. */
  readonly what: string;
  readonly idOf: (row: JsonObject) => string;
  readonly pageRows: number;
  /** 1-based. */
  readonly fetch: (page: number) => Promise<ListPage>;
}

const READS_MAX = 4;

/** Each row once. Errors: REPORT_SHIFTED when the list moved in each of four readings; those of `fetch`. */
export async function wholeList(list: WholeList): Promise<JsonObject[]> {
  for (let read = 1; ; read++) {
    const rows = await readOnce(list);
    if (rows !== undefined) return rows;
    if (read === READS_MAX) {
      throw new EngineError(
        "REPORT_SHIFTED",
        `The ${list.what} changed while they were read, ${READS_MAX} times in a row.`,
        { details: { list: list.what, reads: READS_MAX } },
      );
    }
  }
}

/** Undefined when the pages do not fit each other. */
async function readOnce({ fetch, idOf, pageRows }: WholeList): Promise<JsonObject[] | undefined> {
  const rows = new Map<string, JsonObject>();
  let seen = 0;
  for (let number = 1; ; number++) {
    const page = await fetch(number);
    for (const row of page.rows) rows.set(idOf(row), row);
    seen += page.rows.length;
    // a service may give smaller pages than it was asked for
    const last =
      page.total === undefined ? page.rows.length < pageRows : seen >= page.total || page.rows.length === 0;
    if (!last) continue;
    const complete = rows.size === seen && (page.total === undefined || rows.size === page.total);
    return complete ? [...rows.values()] : undefined;
  }
}
