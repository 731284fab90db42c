/**
 * Writes what was measured into docs/performance.md, between its marks, and the plots beside it.
 *
 *     npm run bench:page
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CASES } from "./cases.ts";
import { type Panel, plotSvg } from "./plot.ts";
import { type CaseResult, RESULTS_DIR, type Result, type TargetResult } from "./results.ts";

const DOCS = join(import.meta.dirname, "..", "docs");
const PAGE = join(DOCS, "performance.md");
const PLOTS = join(DOCS, "performance");

const measured = CASES.flatMap(({ name }) => resultOf(name) ?? []);
const sized = CASES.flatMap(({ name }) => resultOf(`${name}-sizes`) ?? []);

let page = readFileSync(PAGE, "utf8");
page = between(page, "targets", targetsTable(measured));
page = between(page, "details", measured.map(details).join("\n\n"));
page = between(page, "plots", sized.map(plot).join("\n\n"));
writeFileSync(PAGE, page);

function resultOf(name: string): CaseResult | undefined {
  const file = join(RESULTS_DIR, `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as CaseResult) : undefined;
}

function between(text: string, mark: string, content: string): string {
  const [open, close] = [`<!-- ${mark} -->`, `<!-- /${mark} -->`];
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${open} … ${close}.`);
  return `${text.slice(0, from + open.length)}\n${content}\n${text.slice(to)}`;
}

function targetsTable(results: readonly CaseResult[]): string {
  const lines = results.flatMap(({ title, targets }) =>
    targets.map(({ who, of, wanted, reached, met }) => {
      const beside = of === undefined ? "whole process" : `rate of ${of}`;
      const [is, to] = [inUnit({ of }, reached), `${of === undefined ? "≤" : "≥"} ${inUnit({ of }, wanted)}`];
      return `| ${title} | ${who} | ${beside} | ${is} | ${to} | ${met ? "yes" : "**no**"} |`;
    }),
  );
  return table("| job | who | beside | measured | wanted | met |", lines, "---|---|---|--:|--:|---");
}

function inUnit({ of }: Pick<TargetResult, "of">, value: number): string {
  return of === undefined ? `${value.toFixed(2)} s` : value.toFixed(2);
}

function details({ title, case: name, measured: day, medianOf, machine, results }: CaseResult): string {
  const lines = results.map((result) => {
    const { contender, rows, seconds, cpuSeconds, rowsPerSecond, peakMb } = result;
    const all = result.runs.map((run) => run.seconds.toFixed(2)).join(", ");
    const cells = [contender, thousands(rows), seconds.toFixed(2), all, cpuSeconds.toFixed(2)];
    return `| ${[...cells, thousands(rowsPerSecond), peakMb].join(" | ")} |`;
  });
  const head = "| who | rows | median s | all runs | CPU s | rows/s | peak MB |";
  return `**${title}** (\`--only ${name}\`; ${machine.database}, median of ${medianOf}, ${day})${steps(results)}

${table(head, lines, "---|--:|--:|---|--:|--:|--:")}`;
}

/** Where the time of our fastest run goes. */
function steps(results: readonly Result[]): string {
  const ours = results.find(({ contender }) => contender === "loadwright");
  const fastest = ours?.runs.toSorted((a, b) => a.seconds - b.seconds)[0];
  if (fastest === undefined || Object.keys(fastest.steps).length === 0) return "";
  const told = Object.entries(fastest.steps).map(([step, ms]) => `${step} ${(ms / 1000).toFixed(2)}`);
  const inSteps = Object.values(fastest.steps).reduce((sum, ms) => sum + ms, 0) / 1000;
  return `. loadwright, fastest run: ${told.join(", ")}, start and end of the process ${(fastest.seconds - inSteps).toFixed(2)} s`;
}

function plot({ case: name, title, results }: CaseResult): string {
  const who = [...new Set(results.map(({ contender }) => contender))];
  const panel = (
    of: keyof Pick<Result, "rowsPerSecond" | "peakMb">,
    title: string,
    label: Panel["label"],
  ) => ({
    title,
    label,
    series: who.map((name) => ({
      name,
      points: results.flatMap((each) => (each.contender === name ? [[each.rows, each[of]] as const] : [])),
    })),
  });
  mkdirSync(PLOTS, { recursive: true });
  const panels = [
    panel("rowsPerSecond", "thousand rows/s", (value) => String(Math.round(value / 1000))),
    panel("peakMb", "peak memory in MB", (value) => String(Math.round(value))),
  ];
  writeFileSync(join(PLOTS, `${name}.svg`), plotSvg(panels));
  const lines = results.map(
    ({ contender, rows, seconds, rowsPerSecond, peakMb }) =>
      `| ${contender} | ${thousands(rows)} | ${seconds.toFixed(2)} | ${thousands(rowsPerSecond)} | ${peakMb} |`,
  );
  return `**${title}** (\`--only ${name} --sizes …\`)

![${title}: rows a second and peak memory against rows](performance/${name}.svg)

${table("| who | rows | s | rows/s | peak MB |", lines, "---|--:|--:|--:|--:")}`;
}

function table(head: string, lines: readonly string[], alignments: string): string {
  return [head, `|${alignments}|`, ...lines].join("\n");
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
