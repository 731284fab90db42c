/**
 * Placeholders of a request: `{resources.users.id}`, `{incremental.start_value}`, and in a path `{name}` for a
 * parameter of type resolve. Doubled braces are literal ones. A string that is one placeholder and nothing
 * else keeps the value's type.
 */

import { EngineError } from "../../engine/errors.ts";
import { compilePath, findFirst } from "../../engine/extract/json-path.ts";
import type { Row } from "../../engine/extract/page.ts";

const PLACEHOLDER = /\{\{|\}\}|\{((?:resources|incremental)\.[^{}]+)\}/g;
const BOUND = /\{([A-Za-z_]\w*)\}/g;

export interface Scope {
  readonly resource: string;
  readonly parent?: { readonly name: string; readonly row: Row };
  readonly incremental?: Readonly<Record<string, unknown>>;
}

/** What a template refers to: `resources.users.id`. */
export function referencesIn(value: unknown): string[] {
  if (typeof value === "string") {
    return [...value.matchAll(PLACEHOLDER)].flatMap(([, reference]) =>
      reference === undefined ? [] : [reference],
    );
  }
  if (Array.isArray(value)) return value.flatMap(referencesIn);
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(referencesIn);
}

/** Names of `{name}` in a path. */
export function boundNames(path: string): string[] {
  return [...path.replaceAll(PLACEHOLDER, "").matchAll(BOUND)].map(([, name]) => name!);
}

/** The value with its placeholders filled in; undefined where a lone placeholder has no value. */
export function expand(value: unknown, scope: Scope): unknown {
  if (typeof value === "string") return expandText(value, scope, String);
  if (Array.isArray(value)) return value.map((one) => expand(one, scope));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      const filled = expand(inner, scope);
      return filled === undefined ? [] : [[key, filled]];
    }),
  );
}

/** A path; values are encoded, so that an id with a slash stays one segment. */
export function expandPath(path: string, scope: Scope, bound: Readonly<Record<string, unknown>>): string {
  const filled = path.replace(BOUND, (all, name: string) =>
    Object.hasOwn(bound, name) ? encodeURIComponent(String(bound[name])) : all,
  );
  return String(expandText(filled, scope, (value) => encodeURIComponent(String(value)), true));
}

function expandText(text: string, scope: Scope, write: (value: unknown) => string, whole = false): unknown {
  const lone = whole ? null : /^\{((?:resources|incremental)\.[^{}]+)\}$/.exec(text);
  if (lone !== null) return referredValue(lone[1]!, scope);
  return text.replace(PLACEHOLDER, (all, reference?: string) => {
    if (reference === undefined) return all[0]!;
    const value = referredValue(reference, scope);
    if (value === undefined || value === null) {
      throw new EngineError(
        "CONFIG_INVALID",
        `Resource ${scope.resource}: {${reference}} has no value in this run.`,
        {
          hint: "Give the incremental an initial_value or end_value, or pass the placeholder as a parameter of its own: it is then left out.",
          details: { resource: scope.resource, placeholder: reference },
        },
      );
    }
    return write(value);
  });
}

function referredValue(reference: string, scope: Scope): unknown {
  const [kind, first, ...rest] = reference.split(".");
  if (kind === "incremental") return scope.incremental?.[[first, ...rest].join(".")];
  return parentField(scope, rest.join("."));
}

/** A field of the parent's row. Errors: SELECTOR_EMPTY when the row has none there. */
export function parentField(scope: Scope, field: string): unknown {
  const { name, row } = scope.parent!;
  const value = findFirst(compilePath(field), row);
  if (value !== undefined && value !== null) return value;
  throw new EngineError(
    "SELECTOR_EMPTY",
    `Resource ${scope.resource} needs ${field} of ${name}, and a row of ${name} has no value there.`,
    {
      hint: `Correct the field's name, or filter such rows out in the processing_steps of ${name}.`,
      details: { resource: scope.resource, parent: name, field, keys: Object.keys(row).slice(0, 50) },
    },
  );
}
