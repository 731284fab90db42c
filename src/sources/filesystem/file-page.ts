/** What the readers of files yield. */

import type { JsonlPage, TextsPage } from "../../engine/extract/page.ts";

export type FilePage = JsonlPage | TextsPage;
