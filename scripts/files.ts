/** Files that the user named: what is wrong with them is said in a line. */
import { accessSync, constants, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { DataError, UsageError } from './usage-error.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
};

export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code === undefined ? undefined : REASONS[code]) ?? message;
}

/** @throws DataError */
export function readInput(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new DataError(`cannot read ${file}: ${reasonOf(error)}`);
  }
}

/**
 * What a reader of a format makes of a file. @throws DataError with the file's name for what it
 * throws
 */
export function readAs<T>(file: string, read: (text: string) => T): T {
  const text = readInput(file);
  try {
    return read(text);
  } catch (error) {
    if (error instanceof UsageError || error instanceof DataError) throw error;
    throw new DataError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Before hours of work: what comes of them must have a place. @throws UsageError */
export function checkOutput(option: string, file: string | undefined): void {
  if (file === undefined) return;
  const folder = path.dirname(path.resolve(file));
  try {
    const existing = statSync(file, { throwIfNoEntry: false });
    if (existing?.isDirectory() === true) throw new UsageError(`${option}: ${file} is a folder`);
    if (existing === undefined && !statSync(folder).isDirectory())
      throw new UsageError(`${option}: ${folder} is no folder`);
    accessSync(existing === undefined ? folder : file, constants.W_OK);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${option}: ${file} cannot be written: ${reasonOf(error)}`);
  }
}

/** @throws DataError */
export function writeOutput(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new DataError(`cannot write ${file}: ${reasonOf(error)}`);
  }
}
