/**
 * Makes `import { source } from "loadwright"` in a workspace mean this very copy of the package, whether or
 * not the workspace has it in node_modules. Two copies would have two classes of everything, and a source
 * made by one would not be known to the other.
 */

import { registerHooks } from "node:module";

/** In the checkout the entries are .ts, in the published package .js; this file has the same ending. */
const EXTENSION = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

const ENTRIES: ReadonlyMap<string, string> = new Map([
  ["loadwright", new URL(`../engine/index${EXTENSION}`, import.meta.url).href],
  ["loadwright/sources", new URL(`./index${EXTENSION}`, import.meta.url).href],
]);

/** Once at the start of a process that loads users' sources. */
export function resolveLoadwrightToThisPackage(): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const entry = ENTRIES.get(specifier);
      return entry === undefined ? nextResolve(specifier, context) : { url: entry, shortCircuit: true };
    },
  });
}
