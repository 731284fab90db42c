/**
 * The types that files agree on, as a run goes on. A guess matters for a column that the table does not have
 * yet, so the first file that knows a column decides; a later file that calls it text says so for itself, since
 * its cells may have leading zeros. Files whose guesses are equal share a job of the package: thousands of small
 * files would else be thousands of jobs.
 */

import { JsonlPage, TextsPage } from "../../engine/extract/page.ts";
import type { DataType } from "../../engine/schema/types.ts";
import type { FilePage } from "./file-page.ts";

export class RunGuesses {
  private readonly known = new Map<string, DataType>();
  private together: Readonly<Record<string, DataType>> = {};

  /** The page with the run's guesses in place of its file's. */
  apply(page: FilePage): FilePage {
    if (page.guesses === undefined) return page;
    let text: Record<string, DataType> | undefined;
    let grew = false;
    for (const [name, type] of Object.entries(page.guesses)) {
      const before = this.known.get(name);
      if (before === undefined) {
        this.known.set(name, type);
        grew = true;
      } else if (type === "text" && before !== "text") {
        text ??= {};
        text[name] = type;
      }
    }
    if (grew) this.together = Object.fromEntries(this.known);
    const guesses = text === undefined ? this.together : { ...this.together, ...text };
    return page instanceof JsonlPage
      ? new JsonlPage(page.bytes, { origin: page.origin, guesses })
      : new TextsPage(page.buffer, page.keys, { origin: page.origin, guesses });
  }
}
