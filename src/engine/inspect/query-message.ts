/**
 * Messages of DuckDB without paths of the host and without cells. What is wrong with a statement is told in words of the
 * statement; what is wrong with a value quotes the value, mostly between quotes, sometimes bare or on a line of its own.
 */

import { basename, dirname } from "node:path";

/** The statement is at fault: its own words stand in the message. */
const OF_STATEMENT = /^(Parser|Binder|Catalog|Permission|Syntax|TransactionContext) Error/i;

export function cleanMessage(message: string, request: { path: string; sql: string }): string {
  const told = withoutPaths(message, request);
  return (OF_STATEMENT.test(told) ? told : withoutCells(told, request.sql)).slice(0, 2000);
}

function withoutPaths(message: string, { path, sql }: { path: string; sql: string }): string {
  const folder = dirname(path);
  let clean = message.replaceAll(path, "<database>");
  if (folder.length > 1) clean = clean.replaceAll(folder, "<folder>");
  clean = clean.replaceAll(basename(path), "<database>");
  return clean.replace(/(?:[A-Za-z]:)?[\\/](?:[\w.@+-]+[\\/])+[\w.@+-]*/g, (each) =>
    sql.includes(each) ? each : "<path>",
  );
}

function withoutCells(message: string, sql: string): string {
  // quoted text may hold line ends: it goes before lines are looked at
  const quoted = message.replace(/(['"])(.*?)\1/gs, (whole, quote: string, inner: string) =>
    sql.includes(inner) ? whole : `${quote}…${quote}`,
  );
  const [first = "", ...more] = quoted.split("\n");
  const place = more.find((line) => /^LINE \d+:/.test(line));
  const bare = first
    .replace(/\bwith value (?!['"])\S+/g, "with value …")
    .replace(/\(-?[\d.]+ \S -?[\d.]+\)/g, "(…)")
    // these quote what they were given after a colon, or bare
    .replace(/^(Invalid Input Error: [^:"']*\bspecifier) (?!['"]).*$/, "$1 …")
    .replace(/^(Invalid Input Error: [^:"']*):.*$/, "$1");
  return place === undefined ? bare : `${bare}\n${place}`;
}
