import { readFileSync } from "node:fs";

/** Both src/tools and dist/tools lie two folders below package.json. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }
).version;
