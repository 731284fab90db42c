/** The paginator that a configuration describes. */

import { autoPaginator } from "./auto-paginator.ts";
import type { PaginatorConfig } from "./config.ts";
import { offsetPaginator, pageNumberPaginator } from "./counted-paginators.ts";
import { headerCursor, headerLink, jsonCursor, jsonLink, singlePage } from "./link-paginators.ts";
import type { Paginator } from "./paginator.ts";

/** `warn` is for what a person should look at, `told` for what was recognised. */
export function makePaginator(
  config: PaginatorConfig,
  warn: (message: string) => void,
  told: (what: string) => void,
): Paginator {
  switch (config.type) {
    case "auto":
      return autoPaginator(warn, told);
    case "single_page":
      return singlePage();
    case "json_link":
      return jsonLink(config);
    case "header_link":
      return headerLink(config);
    case "header_cursor":
      return headerCursor(config);
    case "cursor":
      return jsonCursor(config);
    case "offset":
      return offsetPaginator(config, warn);
    case "page_number":
      return pageNumberPaginator(config, warn);
  }
}
