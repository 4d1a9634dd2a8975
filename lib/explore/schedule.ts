/**
 * The text of a schedule, version 1: `hmm1:` and what departs from the default choice (choice.ts), in order, as `gap.index`. `gap` is how many decisions
 * between two or more tasks were the default before it, `index` which task was taken instead, by ascending id; then, if the scenario drew
 * random numbers, `;` and those. Numbers are base 36. `hmm1:` alone is the execution that is never preempted. What takes several executions to be seen,
 * two locks taken in both orders, has theirs one after the other, with `|` between.
 */

export interface Departure {
  /** Decisions, of those with a choice, that took the default since the last departure. */
  readonly gap: number;
  /** Which of the runnable tasks was taken. */
  readonly index: number;
}

export interface Schedule {
  readonly departures: readonly Departure[];
  /** What nextU64() answered, in order. */
  readonly random: readonly bigint[];
}

const VERSION = 'hmm1:';
const RADIX = 36;
const NUMBER = /^[0-9a-z]{1,13}$/;

export function formatSchedule(schedule: Schedule): string {
  return formatSchedules([schedule]);
}

export function formatSchedules(schedules: readonly Schedule[]): string {
  return `${VERSION}${schedules.map(body).join('|')}`;
}

function body({ departures, random }: Schedule): string {
  const departed = departures.map(({ gap, index }) => `${gap.toString(RADIX)}.${index.toString(RADIX)}`).join(',');
  const drawn = random.length === 0 ? '' : `;${random.map((value) => value.toString(RADIX)).join(',')}`;
  return `${departed}${drawn}`;
}

/** @throws SyntaxError that says what is wrong, for a text that formatSchedule() does not make */
export function parseSchedule(text: string): Schedule {
  const [schedule, ...more] = parseSchedules(text);
  if (schedule === undefined || more.length > 0) throw new SyntaxError("one schedule has no '|'");
  return schedule;
}

/** @throws SyntaxError that says what is wrong, for a text that formatSchedules() does not make */
export function parseSchedules(text: string): Schedule[] {
  if (typeof text !== 'string') throw new TypeError('a schedule must be a string');
  if (!text.startsWith(VERSION)) {
    const version = /^hmm\d+:/.exec(text)?.[0];
    throw new SyntaxError(
      version === undefined
        ? `a schedule begins with '${VERSION}', not '${text.slice(0, 8)}'`
        : `a schedule of version '${version}' was written by another version of this library; this one reads '${VERSION}'`,
    );
  }
  return text.slice(VERSION.length).split('|').map(parseBody);
}

function parseBody(text: string): Schedule {
  const [departed = '', drawn, ...rest] = text.split(';');
  if (rest.length > 0) throw new SyntaxError("a schedule has one ';' at most");
  const departures = list(departed).map((entry) => {
    const [gap, index, more] = entry.split('.');
    if (gap === undefined || index === undefined || more !== undefined) {
      throw new SyntaxError(`in a schedule '${entry}' is no 'gap.index'`);
    }
    return { gap: number(gap), index: number(index) };
  });
  return { departures, random: drawn === undefined ? [] : list(drawn).map(bigNumber) };
}

function list(text: string): string[] {
  return text === '' ? [] : text.split(',');
}

function number(text: string): number {
  const value = NUMBER.test(text) ? parseInt(text, RADIX) : NaN;
  if (!Number.isSafeInteger(value)) throw new SyntaxError(`in a schedule '${text}' is no number`);
  return value;
}

function bigNumber(text: string): bigint {
  if (!NUMBER.test(text)) throw new SyntaxError(`in a schedule '${text}' is no number`);
  return [...text].reduce((value, digit) => value * BigInt(RADIX) + BigInt(parseInt(digit, RADIX)), 0n);
}
