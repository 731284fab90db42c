/** Files and folders that may not be there. */

import { access, readdir, readFile } from "node:fs/promises";
import { isLoadId } from "./load-id.ts";

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

export async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

export async function loadIdsIn(dir: string): Promise<string[]> {
  return (await namesIn(dir)).filter(isLoadId).sort();
}
