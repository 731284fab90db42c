/** Numbers with their noun, as a sentence has them. */

/** `1 row`, `2 rows`. */
export function counted(count: number, noun: string): string {
  return `${count} ${nounOf(count, noun)}`;
}

/** The noun alone, where the number is formatted in another way. The last word gets the plural. */
export function nounOf(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}
