/** A rest_api source from one answer of a service, as text. */

import { counted } from "../../engine/counted.ts";
import { EngineError } from "../../engine/errors.ts";
import { listPath } from "../../sources/rest_api/select.ts";
import { type Draft, type Evidence, snakeName } from "./draft.ts";
import { decimalColumns, factsOf, suggestCursors, suggestKey } from "./fields.ts";
import { guessPaging } from "./paging.ts";
import { authOf, type RestAuth } from "./rest.ts";
import { shapeAt, shapeOfValues, writtenPath } from "./shape.ts";

export interface SampleInput {
  readonly base_url: string;
  readonly path: string;
  readonly text: string;
  readonly resource?: string;
  readonly auth?: RestAuth;
  readonly headers?: readonly string[];
}

/** Errors: SPEC_UNREADABLE, when the text is not JSON or holds no rows. */
export function draftFromSample(pipeline: string, input: SampleInput): Draft {
  const body = parseSample(input.text);
  const resource =
    snakeName(
      input.resource ??
        input.path
          .split("?")[0]!
          .split("/")
          .findLast((part) => part !== "" && !part.includes("{")) ??
        "rows",
    ) || "rows";
  const path = listPath(body);
  const answer = shapeOfValues([body]);
  const list = shapeAt(answer, path);
  const rows = list?.kind === "list" ? list.items : answer;
  if (rows.kind !== "object") {
    throw new EngineError("SPEC_UNREADABLE", "The sample holds no list of objects and is none itself.", {
      hint: "Pass a whole answer of the service that has at least one row.",
    });
  }
  const evidence: Evidence[] = [
    {
      about: `${resource}.data_selector`,
      finding:
        list?.kind === "list"
          ? `the list at ${writtenPath(path)} has ${counted(countAt(body, path), "row")}`
          : "the answer has no list: it is one row",
    },
  ];
  const fields = factsOf(rows);
  const key = suggestKey(resource, fields);
  evidence.push(...key.evidence);
  for (const { field, why } of suggestCursors(fields))
    evidence.push({ about: `${resource}.cursor`, finding: `${field}: ${why}` });
  const paging = list?.kind === "list" ? guessPaging(resource, answer, [], input.headers) : undefined;
  evidence.push(...(paging?.evidence ?? []));
  const { auth, secrets } = authOf(pipeline, input.auth);
  return {
    source: "rest_api",
    config: {
      client: { base_url: input.base_url, ...(auth === undefined ? {} : { auth }) },
      resources: [
        {
          name: resource,
          ...(key.key === undefined
            ? { write_disposition: "replace" }
            : { primary_key: key.key, write_disposition: "merge" }),
          ...decimalColumns(fields),
          endpoint: {
            path: input.path,
            data_selector: list?.kind === "list" ? writtenPath(path) : "$",
            ...(list?.kind === "list"
              ? paging?.paginator === undefined
                ? {}
                : { paginator: paging.paginator }
              : { paginator: { type: "single_page" } }),
          },
        },
      ],
    },
    secrets,
    evidence,
    warnings: [
      "One answer does not show which parameter filters by time: no cursor is set. Add incremental with start_param if the service has one.",
    ],
  };
}

function parseSample(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EngineError("SPEC_UNREADABLE", "The sample is not JSON.", {
      hint: "Pass the body of the answer as it came, without headers.",
      cause,
    });
  }
}

function countAt(body: unknown, path: readonly string[]): number {
  const list = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | null)?.[key], body);
  return Array.isArray(list) ? list.length : 0;
}
