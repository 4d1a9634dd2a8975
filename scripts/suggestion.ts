/** Edits of one letter (Damerau: a swap of two neighbours is one) that make `a` into `b`. */
function distance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  for (let j = 1; j <= b.length; j++) rows[0]![j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const substitution = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      rows[i]![j] = Math.min(
        substitution,
        rows[i - 1]![j]! + 1,
        rows[i]![j - 1]! + 1,
        swapped ? rows[i - 2]![j - 2]! + 1 : Infinity,
      );
    }
  }
  return rows[a.length]![b.length]!;
}

/**
 * The word that was probably meant: one that begins so, or is at most a third of its letters away.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length >= 2) {
    const begun = known.filter((name) => name.startsWith(word));
    if (begun.length === 1) return begun[0];
  }
  const ranked = known
    .map((name) => ({ name, edits: distance(word, name) }))
    .filter(({ name, edits }) => edits <= Math.max(1, Math.floor(Math.max(name.length, word.length) / 3)))
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.name;
}
