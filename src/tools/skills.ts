/** The skills that come with the package: a folder each, with SKILL.md and what it refers to (Agent Skills). */

import { existsSync, readdirSync, readFileSync } from "node:fs";

const DIR = new URL("../../skills/", import.meta.url);

/** Paths below skills/, with forward slashes: `operate/SKILL.md`, `debug-load/references/errors.md`. */
export function skillFiles(): string[] {
  // a checkout that ships no skills has none to list
  if (!existsSync(DIR)) return [];
  return readdirSync(DIR, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".md"))
    .sort();
}

/** The text of a file, or of a skill's SKILL.md by the skill's name. Only paths of the list lead to a file. */
export function readSkillFile(path: string): string | undefined {
  const file = skillFiles().find((each) => each === path || each === `${path}/SKILL.md`);
  return file === undefined ? undefined : readFileSync(new URL(file, DIR), "utf8");
}
