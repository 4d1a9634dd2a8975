/** A share of an exploration that several machines do together. */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** '2/5': the second of five. */
export function parseShard(text: string): Shard {
  const match = /^([1-9]\d{0,5})\/([1-9]\d{0,5})$/.exec(text);
  const index = Number(match?.[1]);
  const count = Number(match?.[2]);
  if (match === null || index > count) throw new RangeError(`a shard is 'i/n' with i from 1 to n, not '${text}'`);
  return { index, count };
}
