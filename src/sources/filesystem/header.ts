/** Names of columns from a header row, and without one. */

export function numberedNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `column_${i}`);
}

/** The header's names, made unique: an empty one becomes `column_<n>`, a repeated one gets `_1`, `_2`, … */
export function uniqueNames(
  found: readonly string[],
  file: string,
  warn: (message: string) => void = () => {},
): string[] {
  const taken = new Set(found);
  const used = new Set<string>();
  return found.map((name, i) => {
    let unique = name === "" ? `column_${i}` : name;
    if (used.has(unique) || (name === "" && taken.has(unique))) {
      const base = unique;
      let n = 1;
      do unique = `${base}_${n++}`;
      while (taken.has(unique) || used.has(unique));
      warn(
        `${file} has more than one column ${JSON.stringify(base)}; column ${i + 1} is read as ${JSON.stringify(unique)}.`,
      );
    }
    used.add(unique);
    return unique;
  });
}
