/**
 * Which entry of the catalogue an error text is. The innermost link of the chain decides; within it a pooler's
 * code comes before a SQLSTATE, that before a library's code, that before words. Entries that only wrap another
 * error answer when nothing else does.
 */

import type { Retry } from "../errors.ts";
import { CATALOGUE } from "./catalogue/index.ts";
import { alike, type ErrorText, type Link, readErrorText } from "./error-text.ts";
import type { Pattern } from "./pattern.ts";

export type Confidence = "high" | "medium" | "low" | "none";

export interface Candidate {
  readonly pattern: Pattern;
  readonly confidence: Confidence;
}

export interface Classified {
  /** Best first; empty when nothing fits. */
  readonly candidates: readonly Candidate[];
  readonly exceptions: readonly string[];
  readonly subject: Subject;
  /** A SQLSTATE that no entry has: its class tells at least whether a retry helps. */
  readonly unknownSqlstate?: { readonly sqlstate: string; readonly retry: Retry };
}

/** Names that the text gives; never values. */
export interface Subject {
  readonly table?: string;
  readonly column?: string;
  readonly constraint?: string;
  readonly loadId?: string;
}

interface Hit {
  readonly pattern: Pattern;
  readonly depth: number;
  readonly tier: number;
  /** Characters of the pattern that are no wildcard. */
  readonly weight: number;
  readonly at: number;
}

const TIER = { pooler: 5, sqlstate: 4, name: 3, http: 3, text: 2 } as const;
/** Words so few may stand anywhere. */
const TEXT_WEIGHT_SURE = 16;

export function classify(raw: string): Classified {
  const text = readErrorText(raw);
  const whole = text.links.map((each) => each.text).join("\n");
  const hits = text.links.flatMap((link) => hitsIn(link, whole));
  const ranked = bestPerPattern(hits).sort(better);
  const [best, second] = ranked;
  const candidates = ranked.slice(0, 5).map((hit, i) => ({
    pattern: hit.pattern,
    confidence: i === 0 ? confidenceOf(best!, second) : ("low" as const),
  }));
  const unknown = candidates.length === 0 ? unknownSqlstate(text) : undefined;
  return {
    candidates,
    exceptions: text.exceptions,
    subject: subjectOf(text),
    ...(unknown === undefined ? {} : { unknownSqlstate: unknown }),
  };
}

function confidenceOf(best: Hit, second: Hit | undefined): Confidence {
  if (best.pattern.category === "wrapper") return "low";
  if (best.pattern.weak) return "medium";
  if (best.tier === TIER.text && best.weight < TEXT_WEIGHT_SURE) return "medium";
  const rival =
    second !== undefined &&
    second.depth === best.depth &&
    second.tier === best.tier &&
    second.pattern.category !== "wrapper" &&
    second.weight >= best.weight;
  return rival ? "medium" : "high";
}

function better(a: Hit, b: Hit): number {
  const wraps = (hit: Hit) => Number(hit.pattern.category === "wrapper");
  const guesses = (hit: Hit) => Number(hit.pattern.weak ?? false);
  return (
    wraps(a) - wraps(b) ||
    guesses(a) - guesses(b) ||
    b.depth - a.depth ||
    b.tier - a.tier ||
    b.weight - a.weight ||
    a.at - b.at
  );
}

function bestPerPattern(hits: readonly Hit[]): Hit[] {
  const best = new Map<string, Hit>();
  for (const hit of hits) {
    const known = best.get(hit.pattern.code);
    if (known === undefined || better(hit, known) < 0) best.set(hit.pattern.code, hit);
  }
  return [...best.values()];
}

// ---- one link ----

interface Matcher {
  readonly expression: RegExp;
  readonly tier: number;
  readonly weight: number;
}

interface Compiled {
  readonly pattern: Pattern;
  readonly matchers: readonly Matcher[];
  readonly unless: readonly RegExp[];
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  410: "Gone",
  422: "Unprocessable",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service (?:Temporarily )?Unavailable",
  504: "Gateway Time-?out",
};

const COMPILED: readonly Compiled[] = CATALOGUE.map((pattern) => ({
  pattern,
  matchers: [
    ...(pattern.pooler ?? []).map((code) => matcher(new RegExp(`\\(${code}\\)`), TIER.pooler, code)),
    ...(pattern.sqlstate ?? []).map((state) => matcher(sqlstateExpression(state), TIER.sqlstate, state)),
    ...(pattern.names ?? []).map((name) => matcher(new RegExp(`(?<!\\w)${name}(?!\\w)`), TIER.name, name)),
    ...(pattern.http ?? []).map((status) => matcher(httpExpression(status), TIER.http, String(status))),
    ...(pattern.text ?? []).map((text) => matcher(wildcard(text), TIER.text, text.replaceAll("*", ""))),
  ],
  unless: (pattern.unless ?? []).map(wildcard),
}));

function matcher(expression: RegExp, tier: number, literal: string): Matcher {
  return { expression, tier, weight: literal.length };
}

function hitsIn({ text, depth }: Link, whole: string): Hit[] {
  const hits: Hit[] = [];
  for (const { pattern, matchers, unless } of COMPILED) {
    let best: Hit | undefined;
    for (const { expression, tier, weight } of matchers) {
      const found = expression.exec(text);
      if (found === null) continue;
      const hit = { pattern, depth, tier, weight, at: found.index };
      if (best === undefined || better(hit, best) < 0) best = hit;
    }
    if (best !== undefined && !unless.some((each) => each.test(whole))) hits.push(best);
  }
  return hits;
}

/** A pattern of the catalogue: `*` is anything within a line. */
function wildcard(text: string): RegExp {
  const source = alike(text)
    .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^\\n]{0,300}?");
  return new RegExp(source, "i");
}

/**
 * With a letter in it a SQLSTATE stands for itself, but in a comparison of a query; five digits may be any number, so
 * they need an introduction.
 */
function sqlstateExpression(state: string): RegExp {
  if (/[A-Z]/.test(state)) return new RegExp(`(?<![\\w-]| = ")${state}(?![\\w-])`);
  return new RegExp(
    `(?:SQLSTATE|SQL state|pgcode|sqlstate)"?\\s*[:=(\\["]*\\s*"?${state}\\b|\\bcode"?\\s*[:=]\\s*"${state}"|\\b(?:ERROR|FATAL|PANIC)\\s*[:(\\[]?\\s*${state}\\b|(?<!\\bERROR \\d{4} ?)[([]${state}[)\\]]`,
  );
}

function httpExpression(status: number): RegExp {
  return new RegExp(
    `(?:HTTP(?:/[\\d.]+)?|status|status[ _]?code|statusCode|response|responded with|answered|got)"?\\s*(?:code|status|was|of|is|with)?\\s*[:=(]?\\s*"?${status}\\b(?!\\s*(?:rows|items|ms|records|bytes))|\\b${status}\\s+(?:Client|Server)\\s+Error|\\b${status}:? (?:${REASONS[status] ?? "-"})|\\b${status}, message=|\\b${status} error responses?\\b|returned error: ${status}\\b`,
    "i",
  );
}

// ---- what the text names ----

function subjectOf({ links }: ErrorText): Subject {
  const text = [...links]
    .sort((a, b) => b.depth - a.depth)
    .map((each) => each.text)
    .join("\n");
  const first = (...expressions: RegExp[]): string | undefined => {
    for (const expression of expressions) {
      const found = expression.exec(text)?.[1];
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const NAME = "([A-Za-z_][\\w$]{0,62})";
  const found = {
    table: first(
      new RegExp(`(?:relation|table) "(?:[\\w$]+"?\\."?)?${NAME}"`, "i"),
      new RegExp(`"table"\\s*:\\s*"${NAME}"`),
      new RegExp(`\\bin table ${NAME}\\b`, "i"),
      new RegExp(`table_name=${NAME}`),
      new RegExp(`Job with job_id="?${NAME}\\.[0-9a-f]{10}`),
    ),
    column: first(
      new RegExp(`column "${NAME}"`, "i"),
      new RegExp(`"column"\\s*:\\s*"${NAME}"`),
      new RegExp(`source column ${NAME}\\b`),
      new RegExp(`\\bcolumn ${NAME} (?:in|of)\\b`),
    ),
    constraint: first(new RegExp(`constraint "${NAME}"`, "i"), new RegExp(`"constraint"\\s*:\\s*"${NAME}"`)),
    loadId: first(/\bload[ _]id"?[=: ]+"?(\d{9,11}\.\d+)/i),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

function unknownSqlstate({ links }: ErrorText): Classified["unknownSqlstate"] {
  for (const { text } of [...links].sort((a, b) => b.depth - a.depth)) {
    const sqlstate = /(?:SQLSTATE|pgcode)"?\s*[:=(["]*\s*"?([0-9A-Z]{5})\b/i.exec(text)?.[1];
    if (sqlstate === undefined) continue;
    return { sqlstate, retry: /^(08|40|53|55P03|57P0)/.test(sqlstate) ? "yes" : "no" };
  }
  return undefined;
}
