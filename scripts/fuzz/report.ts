/** What a campaign, or a part of one, has found. */
import { ROWS, type Coverage } from '../../test/fuzz/coverage.js';
import type { Divergence } from '../../test/fuzz/compare.js';
import type { Log, Program } from '../../test/fuzz/program.js';
import { readAs } from '../files.js';
import { DataError, UsageError } from '../usage-error.js';

export interface Failure {
  readonly index: number;
  readonly kind: string;
  readonly program: Program;
  readonly log: Log;
  readonly divergence: Divergence;
}

export interface Report {
  readonly version: 1;
  readonly kernel: string;
  readonly release: string;
  readonly seed: number;
  /** Steps of a program. */
  readonly length: number;
  /** Programs run in all, by their indices: every one from `first` that is in this shard. */
  readonly programs: number;
  readonly steps: number;
  readonly diverged: number;
  /** By reason, the programs that the simulation could not finish. */
  readonly notModelled: Readonly<Record<string, number>>;
  /** Programs that ended with an operation that ran into its deadline; reports from before there was such an end have no count. */
  readonly endedEarly?: number;
  /** Seconds: of the machine with its boot; of programs alone in it, and in the simulation; of making them. */
  readonly seconds: {
    readonly wall: number;
    readonly guest: number;
    readonly simulation: number;
    readonly generation: number;
  };
  /**
   * Seconds of processors, of what `seconds` has by the clock: fairer where other programs run beside. Of the machine all that QEMU takes once it has booted,
   * of the simulation the compiler's and the collector's threads too. Reports from before there was such a count have none.
   */
  readonly cpuSeconds?: { readonly guest: number; readonly simulation: number };
  readonly coverage: Coverage;
  readonly failures: readonly Failure[];
}

export function readReport(file: string): Report {
  const report = readAs(file, (text) => JSON.parse(text) as Partial<Report> | null);
  if (report?.version !== 1) throw new DataError(`${file} is not a report of this version`);
  return report as Report;
}

function sum(...all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const each of all) for (const [name, count] of Object.entries(each)) total[name] = (total[name] ?? 0) + count;
  return total;
}

/** @throws UsageError for reports of different campaigns */
export function mergeReports(reports: readonly Report[]): Report {
  const [first] = reports;
  if (first === undefined) throw new UsageError('there is no report to merge');
  for (const { kernel, seed, length } of reports) {
    if (kernel !== first.kernel || seed !== first.seed || length !== first.length) {
      throw new UsageError('the reports are of different campaigns: kernel, seed and length must be the same');
    }
  }
  const total = (field: 'programs' | 'steps' | 'diverged') => reports.reduce((all, report) => all + report[field], 0);
  const cpu = (field: 'guest' | 'simulation') =>
    reports.reduce((all, { cpuSeconds }) => all + (cpuSeconds?.[field] ?? NaN), 0);
  const cpuSeconds = { guest: cpu('guest'), simulation: cpu('simulation') };
  const { cpuSeconds: _, ...others } = first;
  const time = (field: keyof Report['seconds']) => reports.reduce((all, report) => all + report.seconds[field], 0);
  return {
    ...others,
    ...(Number.isNaN(cpuSeconds.guest) ? {} : { cpuSeconds }),
    programs: total('programs'),
    steps: total('steps'),
    diverged: total('diverged'),
    endedEarly: reports.reduce((all, report) => all + (report.endedEarly ?? 0), 0),
    notModelled: sum(...reports.map((report) => report.notModelled)),
    seconds: {
      wall: time('wall'),
      guest: time('guest'),
      simulation: time('simulation'),
      generation: time('generation'),
    },
    coverage: sum(...reports.map((report) => report.coverage)),
    failures: reports.flatMap((report) => report.failures),
  };
}

export function rates({ programs, seconds, cpuSeconds }: Report): string {
  const perSecond = (time: number) => (time === 0 ? '-' : (programs / time).toFixed(1));
  const times = (guest: number, simulation: number) =>
    simulation === 0 ? '-' : `${(guest / simulation).toFixed(0)} times as many`;
  const perProgram = (cpu: number) => (programs === 0 ? '-' : `${((1000 * cpu) / programs).toFixed(1)} ms`);
  const byCpu =
    cpuSeconds === undefined
      ? ''
      : `; of a processor a program takes ${perProgram(cpuSeconds.guest)} in the machine and ${perProgram(cpuSeconds.simulation)} ` +
        `in the simulation (${times(cpuSeconds.guest, cpuSeconds.simulation)})`;
  return (
    `${perSecond(seconds.wall)} programs/s in all; in the guest ${perSecond(seconds.guest)}, ` +
    `in the simulation ${perSecond(seconds.simulation)} by the clock (${times(seconds.guest, seconds.simulation)}), made ${perSecond(seconds.generation)}${byCpu}`
  );
}

export function summary(report: Report): string {
  const { kernel, release, seed, programs, steps, diverged, notModelled, endedEarly = 0, coverage } = report;
  const width = Math.max(...ROWS.map(({ name }) => name.length));
  const reasons = Object.entries(notModelled).map(([reason, count]) => `  ${count} x ${reason}`);
  return [
    ...ROWS.map(({ name }) => `${name.padEnd(width)}  ${String(coverage[name] ?? 0).padStart(7)}`),
    '',
    `${kernel} (${release}), seed ${seed}: ${programs} programs, ${steps} steps, ${diverged} diverged`,
    ...(reasons.length === 0 ? [] : ['not finished, because not modelled:', ...reasons]),
    ...(endedEarly === 0 ? [] : [`ended early, by an operation that began again for ten seconds: ${endedEarly}`]),
    rates(report),
  ].join('\n');
}
