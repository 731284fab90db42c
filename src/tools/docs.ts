/** The pages of documentation that come with the package. */

import { readdirSync, readFileSync } from "node:fs";

const DIR = new URL("../../docs/", import.meta.url);

/** Names of the pages: `mcp` for docs/mcp.md. */
export function docSlugs(): string[] {
  return readdirSync(DIR)
    .filter((file) => file.endsWith(".md"))
    .map((file) => file.slice(0, -".md".length))
    .sort();
}

/** The text of a page, or undefined: only names of the list lead to a file. */
export function readDoc(slug: string): string | undefined {
  return docSlugs().includes(slug) ? readFileSync(new URL(`${slug}.md`, DIR), "utf8") : undefined;
}

/** Its first heading. */
export function docTitle(slug: string): string {
  return /^# (.+)$/m.exec(readDoc(slug) ?? "")?.[1] ?? slug;
}
