/**
 * What a kernel showed, kept in a file: a first line that tells of the machine, then a program and its log a line. It takes a machine to record, and none to
 * hold the simulation to it again.
 */
import { appendFileSync, createReadStream, writeFileSync } from 'node:fs';

import { checkProgram, type Log, type Program } from '../../test/fuzz/program.js';
import type { Machine } from '../../test/fuzz/protocol.js';

/** Bytes that are read at a time. */
const CHUNK = 2 ** 20;
const NEWLINE = 0x0a;

export class Recording {
  readonly #file: string;

  /** Begins it anew. */
  constructor(file: string, machine: Machine) {
    this.#file = file;
    writeFileSync(file, `${JSON.stringify({ machine })}\n`);
  }

  add(index: number, program: Program, log: Log): void {
    appendFileSync(this.#file, `${JSON.stringify({ index, program, log })}\n`);
  }
}

export interface Recorded {
  readonly index: number;
  readonly program: Program;
  readonly log: Log;
}

/** Of which machine a recording is. Null: the file is something else. */
export async function recordedMachine(file: string): Promise<Machine | null> {
  for await (const [, bytes] of lines(file)) {
    try {
      return (JSON.parse(bytes.toString()) as { machine?: Machine }).machine ?? null;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // Not one object a line, but perhaps one on several.
      return null;
    }
  }
  return null;
}

/** Which lines: each count-th, from the index-th on. */
export interface Share {
  readonly file: string;
  readonly machine: Machine;
  readonly index: number;
  readonly count: number;
}

/** A line that is none of a recording. */
export class LineError extends Error {
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(message);
  }
}

function recordedOf(text: string, line: number): Recorded {
  try {
    const { index, program, log } = JSON.parse(text) as Partial<Recorded>;
    if (typeof index !== 'number' || !Array.isArray(log)) throw new Error('an index, a program and a log are wanted');
    return { index, program: checkProgram(program), log };
  } catch (error) {
    throw new LineError(line, error instanceof Error ? error.message : String(error));
  }
}

/** The programs of a share. @throws LineError */
export async function* recorded({ file, index, count }: Share): AsyncGenerator<Recorded> {
  for await (const [line, bytes] of lines(file))
    if (line > 1 && (line - 2) % count === index) yield recordedOf(bytes.toString(), line);
}

/** Lines with their numbers, from 1, as bytes: most are another share's. One by one, because there may be more in a file than a string can hold. */
async function* lines(file: string): AsyncGenerator<readonly [line: number, bytes: Buffer]> {
  let rest: Buffer = Buffer.alloc(0);
  let line = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK })) {
    let bytes = chunk as Buffer;
    if (rest.length > 0) bytes = Buffer.concat([rest, bytes]);
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      yield [++line, bytes.subarray(from, end)];
      from = end + 1;
    }
    rest = bytes.subarray(from);
  }
  if (rest.length > 0) yield [++line, rest];
}
