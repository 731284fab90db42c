/** What the words of a command line are, where the parser alone would take them for something else. */

import { readFileSync } from "node:fs";

/**
 * No option has a blank in its name: a word that begins like an option and has one is a value, as a statement is that
 * begins with a comment. A blank in front keeps the parser from reading it as options, and changes no statement.
 */
export function valuesAsValues(words: readonly string[]): string[] {
  const end = words.indexOf("--");
  return words.map((word, i) => ((end < 0 || i < end) && /^-[^=\s]*\s/.test(word) ? ` ${word}` : word));
}

/** The text that a word stands for: `-` is what comes on standard input. */
export function textOf(word: string): string {
  return word === "-" ? readFileSync(0, "utf8") : word;
}
