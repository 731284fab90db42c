import { distance } from "fastest-levenshtein";

/** Known names that somebody may have meant, nearest first; at most three, none that is merely short. */
export function nearest(name: string, known: Iterable<string>): string[] {
  const wanted = name.toLowerCase();
  const far = Math.max(2, Math.floor(wanted.length / 3));
  const near: { name: string; distance: number }[] = [];
  for (const candidate of known) {
    const other = candidate.toLowerCase();
    const edits = distance(wanted, other);
    const contains =
      wanted.length >= 3 && other.length >= 3 && (other.includes(wanted) || wanted.includes(other));
    if (edits <= far || contains) near.push({ name: candidate, distance: edits });
  }
  near.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return near.slice(0, 3).map((found) => found.name);
}

/** `Did you mean "a" or "b"?`, or the empty string when nothing is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = nearest(name, known).map((candidate) => JSON.stringify(candidate));
  return names.length === 0 ? "" : `Did you mean ${names.join(" or ")}?`;
}
