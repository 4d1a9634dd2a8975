/** Measuring side by side: the two take turns in one run, so that a machine that slows down slows both. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Comparison {
  readonly name: string;
  /** Nanoseconds per unit, medians. */
  readonly ours: number;
  readonly theirs: number;
  readonly unit: string;
  readonly against: string;
  /** ours / theirs, round by round. */
  readonly ratio: { readonly low: number; readonly median: number; readonly high: number };
  readonly goal?: string;
}

/** One round: runs and returns nanoseconds per unit. */
export type Round = () => Promise<number> | number;

export function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))]!;
}

/** Rounds of a batch, and batches, at most, in which code gets hot. */
const BATCH = 5;
const BATCHES = 8;

/** Rounds that are not counted: until a batch of them is no faster than the one before, since what compiles hot code has done its work by then. */
async function untilHot(round: Round): Promise<void> {
  let before = Infinity;
  for (let batch = 0; batch < BATCHES; batch++) {
    const times: number[] = [];
    for (let each = 0; each < BATCH; each++) times.push(await round());
    const now = quantile(times, 0.5);
    if (now > 0.97 * before) return;
    before = now;
  }
}

/** The rounds of what is compiled already, or is a whole process by itself. */
export async function once(round: Round): Promise<void> {
  await round();
}

/**
 * Rounds of both in turn.
 * @param warmUp runs those of each that are not counted
 */
export async function compare(
  labels: { name: string; unit: string; against: string; goal?: string },
  ours: Round,
  theirs: Round,
  rounds = 15,
  warmUp: (round: Round) => Promise<void> = untilHot,
): Promise<Comparison> {
  await warmUp(ours);
  await warmUp(theirs);
  const a: number[] = [];
  const b: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // Who goes first changes, so that neither always runs in the other's wake.
    if (round % 2 === 0) {
      a.push(await ours());
      b.push(await theirs());
    } else {
      b.push(await theirs());
      a.push(await ours());
    }
  }
  const ratios = a.map((value, round) => value / b[round]!);
  return {
    ...labels,
    ours: quantile(a, 0.5),
    theirs: quantile(b, 0.5),
    ratio: { low: quantile(ratios, 0.25), median: quantile(ratios, 0.5), high: quantile(ratios, 0.75) },
  };
}

let collectGarbage: (() => void) | null = null;

/** Of JavaScript's heap and its arrays, without what is garbage by now. */
export async function bytesInUse(): Promise<number> {
  if (collectGarbage === null) {
    setFlagsFromString('--expose-gc');
    collectGarbage = runInNewContext('gc') as () => void;
  }
  // Memory of arrays is given back beside the program, after a collection: the next one waits for it.
  for (let times = 0; times < 3; times++) {
    collectGarbage();
    await setImmediate();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Nanoseconds that `work` takes, divided by `units`. */
export async function timed(units: number, work: () => Promise<void> | void): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / units;
}

export function table(rows: readonly Comparison[]): string {
  const shown = rows.map(({ name, ours, theirs, unit, against, ratio, goal }) => [
    name,
    `${ours.toPrecision(3)} ${unit}`,
    `${theirs.toPrecision(3)} ${unit}`,
    against,
    `${ratio.median.toFixed(3)} [${ratio.low.toFixed(3)}..${ratio.high.toFixed(3)}]`,
    goal ?? '',
  ]);
  const all = [['what', 'ours', 'theirs', 'theirs is', 'ratio', 'goal'], ...shown];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
