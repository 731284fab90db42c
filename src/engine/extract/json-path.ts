/**
 * The part of JSONPath that names one value of a document: `field`, `$.a.b`, `a[0].b`, `a[*].b`, `a[-1].b`, `$['a b']`.
 * Filters and scripts are left out on purpose: a cursor is a field.
 */

import { EngineError } from "../errors.ts";

export type CompiledPath = readonly (string | number | "*")[];

const STEP = /^(?:\.?([^.[\]'"$]+)|\[(-?\d+)\]|\[\*\]|\[(?:'([^']*)'|"([^"]*)")\])/;

export function compilePath(path: string): CompiledPath {
  const steps: (string | number | "*")[] = [];
  let rest = path.startsWith("$") ? path.slice(1) : path;
  while (rest !== "") {
    const match = STEP.exec(rest);
    if (!match) {
      throw new EngineError("CONFIG_INVALID", `"${path}" is not a path to a field.`, {
        hint: "Write a field's name, or a path such as $.meta.updated_at or $.items[0].date.",
      });
    }
    const [all, field, index, single, double] = match;
    if (index !== undefined) steps.push(Number(index));
    else if (all === "[*]" || field === "*") steps.push("*");
    else steps.push((field ?? single ?? double)!);
    rest = rest.slice(all.length);
  }
  return steps;
}

/** The name of the field when the path is just that; such a cursor marks its column. */
export function simpleField(path: string): string | undefined {
  const steps = compilePath(path);
  return steps.length === 1 && typeof steps[0] === "string" && steps[0] !== "*" ? steps[0] : undefined;
}

/** The first value at the path, in document order; undefined when there is none. */
export function findFirst(path: CompiledPath, value: unknown, from = 0): unknown {
  let current = value;
  for (let i = from; i < path.length; i++) {
    const step = path[i]!;
    if (current === null || typeof current !== "object") return undefined;
    if (step === "*") {
      for (const member of Object.values(current)) {
        const found = findFirst(path, member, i + 1);
        if (found !== undefined) return found;
      }
      return undefined;
    }
    current = memberOf(current, step);
  }
  return current;
}

/** A negative index counts from the end of a list. */
function memberOf(value: object, step: string | number): unknown {
  if (typeof step === "number" && Array.isArray(value)) return value.at(step);
  return Object.hasOwn(value, step) ? (value as Record<string | number, unknown>)[step] : undefined;
}

/** All values at the path, in document order. */
export function findAll(path: CompiledPath, value: unknown): unknown[] {
  let found: unknown[] = [value];
  for (const step of path) {
    const next: unknown[] = [];
    for (const current of found) {
      if (current === null || typeof current !== "object") continue;
      if (step === "*") next.push(...Object.values(current));
      else {
        const member = memberOf(current, step);
        if (member !== undefined) next.push(member);
      }
    }
    found = next;
  }
  return found;
}
