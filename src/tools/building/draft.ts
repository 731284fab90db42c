/** What a builder proposes: settings or files, and what speaks for them. Nothing is written yet. */

export interface Evidence {
  /** `orders.primary_key`, `client.auth`. */
  readonly about: string;
  readonly finding: string;
}

export interface SecretNeed {
  readonly key: string;
  readonly why: string;
}

export interface Draft {
  /** A built-in source, or the name of the workspace source that the files are. */
  readonly source: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly description?: string;
  readonly secrets: readonly SecretNeed[];
  readonly evidence: readonly Evidence[];
  readonly warnings: readonly string[];
}

/** `Order Lines`, `orderLines`, `/order-lines` -> `order_lines`. */
export function snakeName(text: string): string {
  const name = text
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .toLowerCase();
  return /^\d/.test(name) ? `r_${name}` : name;
}

export function singular(name: string): string {
  if (/ies$/.test(name)) return name.replace(/ies$/, "y");
  if (/(ses|xes|ches|shes)$/.test(name)) return name.replace(/es$/, "");
  return name.replace(/([^s])s$/, "$1");
}
