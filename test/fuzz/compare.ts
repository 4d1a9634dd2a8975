import type { Execution } from './execute.js';
import type { Log } from './program.js';

export interface Divergence {
  /** Of the step after which the two differ; the number of steps for what is looked at when all is over. */
  readonly step: number;
  readonly kernel: readonly string[];
  readonly simulation: readonly string[];
}

/** The first step at which the two show different things; null if there is none up to where the simulation could go on. */
export function difference(kernel: Log, simulation: Execution): Divergence | null {
  const steps = simulation.notModelled === undefined ? kernel.length : Math.min(kernel.length, simulation.log.length);
  for (let step = 0; step < steps; step++) {
    const [ours, theirs] = [simulation.log[step] ?? [], kernel[step]!];
    if (ours.length !== theirs.length || ours.some((line, at) => line !== theirs[at])) {
      return { step, kernel: theirs, simulation: ours };
    }
  }
  return null;
}

/** The kind of a difference, for which two are taken to be one: the first lines that differ, without their numbers. */
export function kindOf({ kernel, simulation }: Divergence, op: string): string {
  const at = kernel.findIndex((line, index) => line !== simulation[index]);
  const index = at < 0 ? kernel.length : at;
  const shape = (line: string | undefined) => (line ?? 'nothing').replaceAll(/0x[0-9a-f]+|\d+/g, 'N').slice(0, 60);
  return `${op}: ${shape(kernel[index])} | ${shape(simulation[index])}`;
}

const WIDTH = 76;

/** The two logs in columns, '|' where they differ; long lines are broken. */
export function sideBySide(kernel: readonly string[], simulation: readonly string[]): string {
  const rows = [['kernel', 'simulation'] as const, ...pairs(kernel, simulation)];
  return rows
    .flatMap(([left, right], row) => {
      const mark = left === right || row === 0 ? ' ' : '|';
      const [lefts, rights] = [pieces(left), pieces(right)];
      return Array.from({ length: Math.max(lefts.length, rights.length) }, (_, at) =>
        `  ${(lefts[at] ?? '').padEnd(WIDTH)} ${mark} ${rights[at] ?? ''}`.trimEnd(),
      );
    })
    .join('\n');
}

function pairs(kernel: readonly string[], simulation: readonly string[]): (readonly [string, string])[] {
  const count = Math.max(kernel.length, simulation.length);
  return Array.from({ length: count }, (_, at) => [kernel[at] ?? '', simulation[at] ?? ''] as const);
}

function pieces(line: string): string[] {
  return line.match(new RegExp(`.{1,${WIDTH}}`, 'g')) ?? [''];
}
