/** The entity lists: offers, affiliates, advertisers. Each run loads them whole. */

import type { Row } from "../../engine/extract/page.ts";
import { type DeclaredColumns, type Resource, resource } from "../../engine/extract/resource.ts";
import { type JsonObject, wholeList } from "../daily-report/whole-list.ts";
import { type EverflowApi, notAsDocumented, PAGE_ROWS, pageOf } from "./api.ts";

export const ENTITIES = ["offers", "affiliates", "advertisers"] as const;
export type EntityList = (typeof ENTITIES)[number];

const COLUMNS: DeclaredColumns = {
  time_created: { data_type: "timestamp", description: "In UTC." },
  time_saved: { data_type: "timestamp", description: "When it was last changed, in UTC." },
  relationship: { data_type: "json" },
};

/** `network_offer_id` and so on: what the ids of `stats` and `conversions` refer to. */
export function entityKey(list: EntityList): string {
  return `network_${list.slice(0, -1)}_id`;
}

export function entityResource(api: EverflowApi, list: EntityList): Resource {
  const key = entityKey(list);
  const path = `/networks/${list}`;
  const idOf = (row: JsonObject): string => {
    const id = row[key];
    if (typeof id === "number") return String(id);
    throw notAsDocumented(path, `has an entry without ${key}`);
  };
  return resource(
    {
      name: list,
      description: `All ${list} of the network`,
      writeDisposition: "replace",
      primaryKey: key,
      columns: { [key]: { data_type: "bigint" }, ...COLUMNS },
      // what hangs on them stays JSON: the lists of an offer alone are dozens of tables
      maxTableNesting: 0,
    },
    async function* (context) {
      const rows: readonly Row[] = await wholeList({
        what: list,
        idOf,
        pageRows: PAGE_ROWS,
        fetch: async (page) =>
          pageOf(await api.get(path, context, { page, page_size: PAGE_ROWS }), list, path),
      });
      if (rows.length > 0) yield rows;
    },
  );
}
