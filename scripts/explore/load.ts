/**
 * Loads the module with the scenario, TypeScript too, and says in a line or two what is wrong with
 * it.
 */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { DataError, UsageError } from '../usage-error.js';

const TYPESCRIPT = /\.[cm]?ts$/;

export function urlOf(file: string): string {
  return pathToFileURL(path.resolve(file)).href;
}

function requireFile(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new DataError(`cannot load ${file}: there is no such file`);
  if (!found.isFile()) throw new DataError(`cannot load ${file}: it is no file`);
}

/** Where Node itself takes the types away: by default from 22.18 and 23.6 on. */
function nodeTakesTypeScript(): boolean {
  return Boolean((process.features as { readonly typescript?: unknown }).typescript);
}

/** Resolves a package as the scenario's own project does. */
function packageOf(file: string, name: string): string | undefined {
  try {
    return createRequire(path.resolve(file)).resolve(name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return undefined;
    throw error;
  }
}

/**
 * Makes imports of TypeScript work on a Node that does not: through tsx, or the compiler, of the
 * scenario's project.
 * @param threads whether other threads will import the scenario too: what is registered here is not
 *   for them
 */
async function prepareTypeScript(file: string, threads: boolean): Promise<void> {
  if (!TYPESCRIPT.test(file) || nodeTakesTypeScript()) return;
  const options = `compile it, or use Node 22.18 or newer, which takes the types away by itself (this is ${process.version})`;
  if (threads) throw new UsageError(`--workers cannot load ${file}: ${options}`);
  const tsx = packageOf(file, 'tsx/esm/api');
  if (tsx !== undefined) {
    ((await import(pathToFileURL(tsx).href)) as { register: () => void }).register();
    return;
  }
  const compiler = packageOf(file, 'typescript');
  if (compiler === undefined) {
    throw new DataError(
      `cannot load ${file}, which is TypeScript: install tsx or typescript in its project; or ${options}`,
    );
  }
  // What is compiled has lines of its own.
  process.setSourceMapsEnabled(true);
  register('./typescript-hooks.js', import.meta.url, { data: { compiler: pathToFileURL(compiler).href } });
}

/**
 * @param threads whether worker threads will load it as well
 * @throws DataError if it cannot be loaded, with the line of its own that is to blame
 */
export async function loadScenario(
  file: string,
  name: string,
  threads: boolean,
): Promise<(...args: never[]) => unknown> {
  requireFile(file);
  await prepareTypeScript(file, threads);
  let module: Record<string, unknown>;
  try {
    module = (await import(urlOf(file))) as Record<string, unknown>;
  } catch (error) {
    throw new DataError(`cannot load ${file}: ${loadProblem(error, file)}`);
  }
  const exported = module[name];
  if (typeof exported !== 'function') throw new UsageError(`${file} exports no function "${name}"`);
  return exported as (...args: never[]) => unknown;
}

/** The error, and of its stack the frames that are the user's: not Node's, and not ours. */
function loadProblem(error: unknown, file: string): string {
  if (error instanceof SyntaxError) return syntaxProblem(error, file);
  return describeError(error);
}

/** Frames of Node, and of this package. */
const NODE_FRAME = /\((?:node:|internal\/)|at (?:async )?node:/;
const OWN_FOLDER = new URL('../../', import.meta.url).href;

export function userFrames(error: Error, most = 4): string[] {
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return frames
    .filter((line) => !NODE_FRAME.test(line) && !line.includes(OWN_FOLDER) && !line.includes(fileURLToPath(OWN_FOLDER)))
    .slice(0, most)
    .map((line) => `    ${line.trim()}`);
}

/** Its name and message, the user's frames, and the same of its causes. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  // Of what Node says of a missing module the second line is a list of what required it.
  const message = code === undefined ? error.message : (error.message.split('\n')[0] ?? '');
  const name = error.name === 'Error' && code !== undefined ? code : error.name;
  const cause = error.cause === undefined ? [] : [`  cause: ${describeError(error.cause)}`];
  return [`${name}: ${message}`, ...userFrames(error), ...cause].join('\n');
}

/**
 * Where a module is no JavaScript Node tells on standard error alone, when it is asked to check the
 * file.
 */
function syntaxProblem(error: SyntaxError, file: string): string {
  // An import of what the other module does not export says where in its stack.
  const shown = /^file:.+:\d+$/m.exec(error.stack ?? '');
  if (shown !== null) return `SyntaxError: ${error.message}\n    at ${shown[0]}`;
  if (TYPESCRIPT.test(file)) return `SyntaxError: ${error.message}`;
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' });
  const place = stderr.split('\n')[0] ?? '';
  return /:\d+$/.test(place) ? `SyntaxError: ${error.message}\n    at ${place}` : `SyntaxError: ${error.message}`;
}
