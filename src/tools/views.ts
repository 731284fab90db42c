/**
 * Views of answers for clients that show MCP Apps: pages of `ui/` that the host runs in a sandbox and hands the
 * tool's answer. Each is one page that loads nothing. Other clients see a resource that they need not read.
 */

import { readFileSync } from "node:fs";

/** What each shows, by the name of its script. */
export const VIEWS = {
  "run-timeline": "Steps of a run as bars, rows for each table, its error and what comes next",
  "schema-diff": "Changes of a schema, by load and table",
  plan: "What a destructive step would take away, values before and after, and whether there is a way back",
} as const;
export type ViewName = keyof typeof VIEWS;

export const VIEW_SCHEME = "ui";
/** By this type a host knows a view (MCP Apps, revision 2026-01-26). */
export const VIEW_TYPE = "text/html;profile=mcp-app";
/** Of the resource. That no origins are named means that the host lets the page reach none. */
export const VIEW_META = { ui: { prefersBorder: true } } as const;

const DIR = new URL("../../ui/", import.meta.url);

export function viewPath(view: ViewName): string {
  return `etl/${view}`;
}

/** Of a tool whose answers the view shows. */
export function metaOfTool(view: ViewName): { readonly ui: { readonly resourceUri: string } } {
  return { ui: { resourceUri: `${VIEW_SCHEME}://${viewPath(view)}` } };
}

export function viewPage(view: ViewName): string {
  const part = (file: string): string => readFileSync(new URL(file, DIR), "utf8");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${view}</title>
<style>
${part("view.css")}</style>
</head>
<body>
<script>
(() => {
"use strict";
${part("view.js")}
${part(`${view}.js`)}
})();
</script>
</body>
</html>
`;
}
