/**
 * Resources and sources: what a user writes. A resource is a name, hints for its table, and code that yields
 * rows; a source is a named set of them. Both are immutable: each method returns a changed copy.
 */

import { EngineError } from "../errors.ts";
import { checkContract } from "../schema/contract.ts";
import type { Contract, ContractMode, WriteDisposition } from "../schema/types.ts";
import type { DeclaredColumns } from "./column-hints.ts";
import type { Incremental } from "./incremental.ts";
import type { Row, Yielded } from "./page.ts";
import type { ResourceContext } from "./resource-context.ts";
import type { WriteDispositionHint } from "./write-disposition.ts";
import { type ColumnModel, columnsOfModel, descriptionOfModel, isColumnModel } from "./zod-columns.ts";

export type { ColumnHints, DeclaredColumns } from "./column-hints.ts";

/** Hints for a nested table. A primary or merge key makes it a root table of its own. */
export interface NestedHints {
  readonly writeDisposition?: WriteDisposition;
  readonly primaryKey?: string | readonly string[];
  readonly mergeKey?: string | readonly string[];
  readonly columns?: DeclaredColumns;
  readonly schemaContract?: Contract | ContractMode;
  readonly description?: string;
}

export interface ResourceHints {
  /** Table to load into; default the resource's name. A function chooses per row. */
  readonly tableName?: string | ((row: Row) => string);
  /**
   * `append` (default), `replace`, or `merge`, which needs a primaryKey or mergeKey. An object chooses how to
   * merge: `{ disposition: "merge", strategy: "upsert" }`; see `WriteDispositionHint`.
   */
  readonly writeDisposition?: WriteDispositionHint;
  readonly primaryKey?: string | readonly string[];
  readonly mergeKey?: string | readonly string[];
  /** By the name in the source; or a zod model, from which types, nullability and descriptions are taken. */
  readonly columns?: DeclaredColumns | ColumnModel;
  /** Hints for nested tables, by the path of keys that leads to them: `lines`, `lines.discounts`. */
  readonly nestedHints?: Readonly<Record<string, NestedHints>>;
  /** Levels of nesting that become tables and columns; below them values stay JSON. */
  readonly maxTableNesting?: number;
  readonly incremental?: Incremental;
  /**
   * True: its code yields `checkpoint` wherever what it has yielded may be committed by itself, so that a long
   * run is committed package by package. A cursor with rowOrder "asc" needs no checkpoints for that.
   */
  readonly checkpoints?: boolean;
  /**
   * What its rows may change in the schema: `evolve` (default), `freeze` (the run fails), `discard_row` or
   * `discard_value`, for all or for each of `tables`, `columns` and `data_type`.
   */
  readonly schemaContract?: Contract | ContractMode;
  /** Stored as the table's description. */
  readonly description?: string;
}

/** Hints with the model of the columns taken apart. */
export type ResolvedHints = Omit<ResourceHints, "columns"> & { readonly columns?: DeclaredColumns };

export interface ResourceOptions extends ResourceHints {
  readonly name: string;
  /** False: its rows feed transformers but are not loaded themselves. */
  readonly selected?: boolean;
}

type Many<T> = Iterable<T> | AsyncIterable<T> | readonly T[];
/** What a resource's code may return: pages or rows, now or later. */
export type ResourceData =
  | Many<Yielded>
  | ((context: ResourceContext) => Many<Yielded> | Promise<Many<Yielded> | Row>);

/** A transformer's code: gets a row of its parent, yields rows of its own. */
export type TransformRow = (
  row: Row,
  context: ResourceContext,
) => Many<Row | readonly Row[]> | Promise<Many<Row | readonly Row[]> | Row | undefined> | Row | undefined;

export type Step =
  | { readonly kind: "map"; readonly apply: (row: Row) => Row }
  | { readonly kind: "filter"; readonly apply: (row: Row) => boolean }
  | { readonly kind: "flat_map"; readonly apply: (row: Row) => Iterable<Row> };

/** Stops a resource early. */
export interface Limit {
  readonly pages?: number;
  readonly rows?: number;
  readonly seconds?: number;
}

interface ResourceParts {
  readonly options: ResourceOptions;
  readonly data?: ResourceData;
  readonly parent?: Resource;
  readonly transform?: TransformRow;
  readonly steps: readonly Step[];
  readonly limit?: Limit;
}

export class Resource {
  private readonly parts: ResourceParts;
  private readonly resolved: ResolvedHints;

  constructor(parts: ResourceParts) {
    if (!parts.options.name) throw new EngineError("SOURCE_INVALID", "A resource needs a name.");
    this.parts = parts;
    this.resolved = resolveHints(parts.options);
  }

  get name(): string {
    return this.parts.options.name;
  }
  get hints(): ResolvedHints {
    return this.resolved;
  }
  get selected(): boolean {
    return this.parts.options.selected !== false;
  }
  get data(): ResourceData | undefined {
    return this.parts.data;
  }
  /** The resource whose rows a transformer gets. */
  get parent(): Resource | undefined {
    return this.parts.parent;
  }
  get transform(): TransformRow | undefined {
    return this.parts.transform;
  }
  get steps(): readonly Step[] {
    return this.parts.steps;
  }
  get limit(): Limit | undefined {
    return this.parts.limit;
  }

  private with(change: Partial<ResourceParts>): Resource {
    return new Resource({ ...this.parts, ...change });
  }

  /** Changes each row. */
  map(apply: (row: Row) => Row): Resource {
    return this.with({ steps: [...this.steps, { kind: "map", apply }] });
  }

  /** Keeps the rows for which `apply` is true. */
  filter(apply: (row: Row) => boolean): Resource {
    return this.with({ steps: [...this.steps, { kind: "filter", apply }] });
  }

  /** Replaces each row by any number of rows. */
  flatMap(apply: (row: Row) => Iterable<Row>): Resource {
    return this.with({ steps: [...this.steps, { kind: "flat_map", apply }] });
  }

  /** Stops after so many pages (a number), or rows or seconds. */
  addLimit(limit: number | Limit): Resource {
    return this.with({ limit: typeof limit === "number" ? { pages: limit } : limit });
  }

  /** Changes hints; what is not named stays. */
  applyHints(hints: ResourceHints): Resource {
    return this.with({ options: { ...this.parts.options, ...hints } });
  }

  withName(name: string): Resource {
    return this.with({ options: { ...this.parts.options, name } });
  }

  /** Feeds this resource's rows to a transformer made without `from`. */
  pipe(transformer: Resource): Resource {
    if (!transformer.transform) {
      throw new EngineError(
        "SOURCE_INVALID",
        `${transformer.name} is not a transformer: rows cannot be piped into it.`,
      );
    }
    return transformer.with({ parent: this });
  }
}

function resolveHints(hints: ResourceHints): ResolvedHints {
  const { columns } = hints;
  if (columns === undefined || !isColumnModel(columns)) return hints as ResolvedHints;
  const description = hints.description ?? descriptionOfModel(columns);
  return { ...hints, columns: columnsOfModel(columns), ...(description ? { description } : {}) };
}

/**
 * Declares a resource.
 *
 *     resource({ name: "orders", writeDisposition: "merge", primaryKey: "id" },
 *       async function* ({ signal }) { yield await fetchOrders(signal); })
 */
export function resource(options: ResourceOptions, data: ResourceData): Resource {
  return new Resource({ options, data, steps: [] });
}

/** Declares a resource that is fed by another one's rows: `transformer({ name: "details", from: users }, …)`. */
export function transformer(
  options: ResourceOptions & { readonly from?: Resource },
  transform: TransformRow,
): Resource {
  const { from, ...own } = options;
  return new Resource({ options: own, transform, steps: [], parent: from });
}

/** Resources that are loaded together and share a schema, which has the source's name. */
export class Source {
  readonly name: string;
  readonly description: string | undefined;
  readonly resources: readonly Resource[];
  readonly maxTableNesting: number | undefined;
  readonly rootKey: boolean | undefined;
  readonly schemaContract: Contract | ContractMode | undefined;

  constructor(options: SourceOptions & { readonly resources: readonly Resource[] }) {
    this.name = options.name;
    this.description = options.description;
    this.maxTableNesting = options.maxTableNesting;
    this.rootKey = options.rootKey;
    this.schemaContract = options.schemaContract;
    checkContract(options.schemaContract, `Source ${options.name}`);
    this.resources = options.resources;
    const names = new Set<string>();
    for (const { name } of options.resources) {
      if (names.has(name)) {
        throw new EngineError("SOURCE_INVALID", `Source ${options.name} has two resources named ${name}.`, {
          details: { source: options.name, resource: name },
        });
      }
      names.add(name);
    }
  }

  /** The same source with only these resources; the parents of transformers still run. */
  withResources(names: readonly string[]): Source {
    const known = this.resources.map((candidate) => candidate.name);
    for (const name of names) {
      if (!known.includes(name)) {
        throw new EngineError(
          "RESOURCE_NOT_FOUND",
          `Source ${this.name} has no resource ${name}; it has ${known.join(", ")}.`,
          {
            details: { source: this.name, resource: name, resources: known },
          },
        );
      }
    }
    return this.withEach((candidate) => (names.includes(candidate.name) ? candidate : undefined));
  }

  /** The resources that run: the named ones, else all that are selected. Parents of transformers run as well. */
  chosen(names?: readonly string[]): readonly Resource[] {
    if (names) return this.withResources(names).resources;
    return this.resources.filter((resource) => resource.selected);
  }

  withName(name: string): Source {
    return name === this.name ? this : new Source({ ...this, name });
  }

  /** Each resource replaced, or left out when `change` returns undefined. */
  withEach(change: (resource: Resource) => Resource | undefined): Source {
    const resources = this.resources.map(change).filter((kept) => kept !== undefined);
    return new Source({ ...this, resources });
  }
}

export interface SourceOptions {
  /** Names the schema and the state: letters, digits, underscores. */
  readonly name: string;
  /** Stored as the schema's description. */
  readonly description?: string;
  readonly maxTableNesting?: number;
  /** True: every nested table gets `_dlt_root_id`, also when nothing merges; false: none does. */
  readonly rootKey?: boolean;
  /** The contract of all tables whose resource has none. */
  readonly schemaContract?: Contract | ContractMode;
}

/** What a source's factory is handed. */
export interface SourceContext {
  /** The pipeline's `config` table of loadwright.toml. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Secrets by name; a missing one is an error that says where to set it. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Relative paths of the configuration start here. */
  readonly workspaceDir: string;
}

/** What `source(...)` returns and a source file exports: call it for a Source. */
export interface SourceFactory {
  (context?: Partial<SourceContext>): Source | Promise<Source>;
  readonly sourceName: string;
  readonly description: string | undefined;
}

/** Declares a source; see `SourceFactory`. */
export function source(
  options: SourceOptions,
  factory: (context: SourceContext) => readonly Resource[] | Promise<readonly Resource[]>,
): SourceFactory {
  const make = (context: Partial<SourceContext> = {}): Source | Promise<Source> => {
    const made = factory({ config: {}, secrets: {}, workspaceDir: ".", ...context });
    const build = (resources: readonly Resource[]): Source => new Source({ ...options, resources });
    return made instanceof Promise ? made.then(build) : build(made);
  };
  return Object.assign(make, { sourceName: options.name, description: options.description });
}
