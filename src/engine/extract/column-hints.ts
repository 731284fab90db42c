import type { Column } from "../schema/types.ts";

/** Hints for one column, stored keys: `{ data_type: "decimal", precision: 18, scale: 4 }`. */
export type ColumnHints = Partial<Omit<Column, "name">>;

export type DeclaredColumns = Readonly<Record<string, ColumnHints>>;
