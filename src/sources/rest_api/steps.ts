/** Processing steps as steps of a resource. */

import type { Row } from "../../engine/extract/page.ts";
import type { Resource } from "../../engine/extract/resource.ts";
import type { FilterRule, ProcessingStepConfig } from "./config.ts";

export function withSteps(resource: Resource, steps: readonly ProcessingStepConfig[]): Resource {
  return steps.reduce(withStep, resource);
}

function withStep(resource: Resource, step: ProcessingStepConfig): Resource {
  if ("filter" in step) {
    const { filter } = step;
    return resource.filter(typeof filter === "function" ? filter : (row) => fits(filter, row));
  }
  if ("map" in step) return resource.map(step.map);
  if ("yield_map" in step) return resource.flatMap(step.yield_map);
  if ("include" in step) {
    const wanted = new Set(step.include);
    return resource.map((row) => pick(row, (name) => wanted.has(name)));
  }
  if ("exclude" in step) {
    const unwanted = new Set(step.exclude);
    return resource.map((row) => pick(row, (name) => !unwanted.has(name)));
  }
  const names = new Map(Object.entries(step.rename));
  return resource.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [names.get(name) ?? name, value])),
  );
}

function pick(row: Row, keep: (name: string) => boolean): Row {
  return Object.fromEntries(Object.entries(row).filter(([name]) => keep(name)));
}

function fits(rule: FilterRule, row: Row): boolean {
  const value = row[rule.field];
  if (rule.exists !== undefined) return (value !== undefined && value !== null) === rule.exists;
  if (rule.equals !== undefined) return same(value, rule.equals);
  if (rule.not_equals !== undefined) return !same(value, rule.not_equals);
  return (rule.in ?? []).some((one) => same(value, one));
}

/** 1, 1n and 1.0 are one number; text is never a number. */
function same(value: unknown, wanted: unknown): boolean {
  if (typeof value === "string" || typeof wanted === "string") return value === wanted;
  if (value === null || value === undefined || typeof value === "boolean") return value === wanted;
  return typeof wanted !== "boolean" && Number(value) === Number(wanted);
}
