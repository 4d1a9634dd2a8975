/** Runs legs, two at a time, and says what they do meanwhile. */
import { availableParallelism } from 'node:os';
import { stripVTControlCharacters } from 'node:util';

import type { Extent, Leg, LegContext } from './leg.js';
import { duration, single, type LegResult } from './report.js';

/**
 * Legs at the same time. A guest keeps one processor busy most of the time. Each has 4 GiB at most, of which it touches one.
 */
const AT_ONCE = 2;

/** Milliseconds of silence after which a running leg is reported. */
const HEARTBEAT = 15_000;
/** Characters of a leg's last line that a report of it shows. */
const SHOWN = 100;

/** Where the lines go. Tests give their own. */
export interface Console {
  write(text: string | Buffer): void;
  /** @returns a function that stops it */
  every(milliseconds: number, tell: () => void): () => void;
}

const terminal: Console = {
  write: (text) => void process.stdout.write(text),
  every(milliseconds, tell) {
    const timer = setInterval(tell, milliseconds);
    return () => clearInterval(timer);
  },
};

/** A leg under way: what it has printed, and what it said last. */
class Running {
  readonly #start = performance.now();
  readonly #kept: Buffer[] = [];
  #line = '';
  #last = '';
  #printed = false;

  constructor(
    readonly leg: Leg,
    readonly live: boolean,
    readonly console: Console,
  ) {}

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  take(text: string | Buffer): void {
    if (this.live) this.console.write(text);
    else this.#kept.push(Buffer.from(text as string));
    this.#printed = this.live;
    // The last line that is not empty, whole or not: what the leg does now.
    const lines = (this.#line + text.toString()).split(/[\r\n]+/);
    this.#line = lines.at(-1)!.slice(-4 * SHOWN);
    this.#last =
      lines.map((line) => stripVTControlCharacters(line).trim()).findLast((line) => line !== '') ?? this.#last;
  }

  /** Called at every heartbeat: a line, unless the leg has printed one itself since the last. */
  tell(): void {
    if (!this.#printed) {
      const now = this.#last === '' ? 'starting' : this.#last.slice(0, SHOWN);
      this.console.write(`… ${this.leg.name}, ${duration(this.seconds)}: ${now}\n`);
    }
    this.#printed = false;
  }

  kept(): Buffer {
    return Buffer.concat(this.#kept);
  }
}

function ending(result: LegResult, seconds: number): string {
  const failed = result.failures.length;
  const outcome = failed > 0 ? `${failed} failed` : `${result.passed} passed`;
  return `=== ${result.leg}: ${outcome}, in ${duration(seconds)}\n`;
}

/** What a leg throws is a failure of that leg; the others go on. */
async function resultOf(leg: Leg, context: LegContext): Promise<LegResult> {
  try {
    return await leg.run(context);
  } catch (error) {
    return single(leg.name, false, error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

/**
 * Runs legs in their order, up to two at a time. Each says when it starts, what it does now after 15 s without a line, and
 * what it took. Its own output comes whole when it has ended, or at once if it is the only one.
 * @returns the results in the order of the legs
 */
export async function runLegs(
  legs: readonly Leg[],
  extent: Extent,
  console: Console = terminal,
  atOnce = Math.min(AT_ONCE, availableParallelism()),
): Promise<LegResult[]> {
  const results = new Map<Leg, LegResult>();
  const running = new Set<Running>();
  const waiting = [...legs];
  const live = legs.length === 1 || atOnce === 1;
  const worker = async (): Promise<void> => {
    for (let leg = waiting.shift(); leg !== undefined; leg = waiting.shift()) {
      const run = new Running(leg, live, console);
      running.add(run);
      console.write(`\n=== ${leg.name}: begins\n`);
      let kernelRelease: string | undefined;
      const result = await resultOf(leg, {
        output: (text) => run.take(text),
        extent,
        booted: (release) => (kernelRelease = release),
      });
      running.delete(run);
      const { seconds } = run;
      if (!live) console.write(Buffer.concat([Buffer.from(`\n=== ${leg.name}: what it printed\n`), run.kept()]));
      console.write(ending(result, seconds));
      results.set(leg, { ...result, seconds, ...(kernelRelease === undefined ? {} : { kernelRelease }) });
    }
  };
  const stop = console.every(HEARTBEAT, () => {
    for (const run of running) run.tell();
  });
  try {
    await Promise.all(Array.from({ length: atOnce }, worker));
  } finally {
    stop();
  }
  return legs.flatMap((leg) => results.get(leg) ?? []);
}
