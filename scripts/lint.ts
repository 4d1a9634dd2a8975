/**
 * npm run lint: TypeScript with the direction of its imports, formatting, the C++ of the addon and of the workload (each file by itself),
 * the C of the guest, of the benchmarks and of what strains the module, and the module with W=1 and sparse against the headers of every kernel. A
 * checker that this machine lacks is named; with --require-tools that is a failure.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { parseCommandLine, type CommandSpec, type OptionSpecs } from './command-line.js';
import { runProgram } from './program.js';
import { buildModule } from './provision/module.js';
import { provideKernel } from './provision/kernel.js';
import { findOnPath } from './provision/tools.js';
import { closingTable, single, skipped, type LegResult } from './testing/report.js';
import { KERNELS } from './vm/kernels.js';

const require = createRequire(import.meta.url);
let requireTools = false;
const WARNINGS = ['-Wall', '-Wextra', '-Wshadow', '-Werror', '-fsyntax-only'];

function sources(folder: string, ...endings: string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => path.join(folder, name));
}

function run(leg: string, program: string, args: readonly string[]): LegResult {
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  return single(leg, status === 0, status === 0 ? undefined : (error?.message ?? `status ${status}`));
}

/** A script of a package of this project's. */
function script(leg: string, name: string, file: string, args: readonly string[]): LegResult {
  return run(leg, process.execPath, [path.join(path.dirname(require.resolve(`${name}/package.json`)), file), ...args]);
}

function withTool(leg: string, tool: string, check: (program: string) => LegResult): LegResult {
  const program = findOnPath(tool);
  if (program !== undefined) return check(program);
  const note = `${tool} is not installed`;
  return requireTools ? single(leg, false, note) : skipped(leg, note);
}

function cxx(program: string): LegResult {
  const include = [
    '-Inative',
    '-Inative/workload',
    '-Ikernel-module/uapi',
    '-isystem',
    addonApi(),
    '-isystem',
    nodeHeaders(),
  ];
  const files = sources('native', '.cc');
  return run('C++', program, ['-std=gnu++17', ...WARNINGS, '-DNAPI_VERSION=8', ...include, ...files]);
}

function addonApi(): string {
  return path.resolve((require('node-addon-api') as { include_dir: string }).include_dir);
}

/** Where node.h and node_api.h are: beside Node, or where node-gyp put them. */
function nodeHeaders(): string {
  const beside = path.join(path.dirname(path.dirname(process.execPath)), 'include', 'node');
  return process.env['npm_config_nodedir'] === undefined
    ? beside
    : path.join(process.env['npm_config_nodedir'], 'include', 'node');
}

/** Imports that are left when the types are gone must not run in circles: who is loaded first would then decide what works. */
function cycles(): LegResult {
  const imports = new Map<string, string[]>();
  for (const file of [...sources('dist/lib', '.js'), ...sources('dist/scripts', '.js')]) {
    const code = readFileSync(file, 'utf8');
    const specifiers = [...code.matchAll(/^(?:import|export) [^;]*?from '(\.[^']+)';|\bimport\('(\.[^']+)'\)/gm)];
    imports.set(
      path.resolve(file),
      specifiers.map((match) => path.resolve(path.dirname(file), (match[1] ?? match[2])!)),
    );
  }
  const done = new Set<string>();
  const visit = (file: string, above: readonly string[]): string | undefined => {
    const start = above.indexOf(file);
    if (start >= 0) return [...above.slice(start), file].map((each) => path.relative('dist', each)).join(' → ');
    if (done.has(file)) return undefined;
    for (const next of imports.get(file) ?? []) {
      const found = visit(next, [...above, file]);
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  const found = [...imports.keys()].map((file) => visit(file, [])).find((cycle) => cycle !== undefined);
  return single('import cycles', found === undefined, found);
}

/** Builds with all warnings; whatever the compiler or sparse says is an error. */
async function moduleFor(name: string): Promise<LegResult> {
  const leg = `module, ${name}`;
  const kernel = KERNELS.find((each) => each.name === name)!;
  const provided = await provideKernel(kernel, (line) => console.error(line), { refresh: false, signal: undefined });
  const work = mkdtempSync(path.join(tmpdir(), 'node-hmm-lint-'));
  const sparse = findOnPath('sparse');
  const options = ['W=1', 'KCFLAGS=-Werror', ...(sparse === undefined ? [] : ['C=2', `CHECK=${sparse}`])];
  try {
    const output = await buildModule(provided, work, options);
    const complaints = output.split('\n').filter((line) => /\b(?:warning|error):/.test(line));
    return single(leg, complaints.length === 0, complaints.join('\n') || undefined);
  } catch (error) {
    return single(leg, false, error instanceof Error ? error.message : String(error));
  } finally {
    rmSync(work, { recursive: true });
  }
}

const OPTIONS = {
  'require-tools': { type: 'boolean', help: 'a checker that this machine lacks is a failure' },
} as const satisfies OptionSpecs;

const LINT: CommandSpec<typeof OPTIONS> = {
  name: 'lint',
  summary: 'TypeScript, C++ and C, and the module against the headers of every kernel',
  usage: ['npm run lint -- [OPTIONS]'],
  about:
    'TypeScript with the direction of its imports, formatting, C++ and C with all warnings, and the module with W=1 and sparse ' +
    'against the headers of every kernel. A checker that this machine lacks is named.',
  options: OPTIONS,
  operands: 'none',
};

async function main(args: readonly string[]): Promise<number> {
  requireTools = parseCommandLine(LINT, args).values['require-tools'];
  const results: LegResult[] = [
    script('ESLint', 'eslint', 'bin/eslint.js', ['.']),
    cycles(),
    script('types of the tests', 'typescript', 'bin/tsc', ['-p', 'tsconfig.test.json']),
    script('Prettier', 'prettier', 'bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']),
    withTool('C++', 'g++', cxx),
    // Without bench/interval-tree.c: it is the kernel's headers that it is made of, which its
    // benchmark fetches.
    withTool('C', 'gcc', (gcc) =>
      run('C', gcc, [
        '-std=gnu11',
        '-D_GNU_SOURCE',
        '-Wstrict-prototypes',
        ...WARNINGS,
        ...sources('scripts/vm/guest', '.c'),
        ...sources('test/stress', '.c'),
        ...sources('bench', '.c').filter((file) => !file.endsWith('interval-tree.c')),
      ]),
    ),
    withTool('C++ format', 'clang-format', (format) =>
      run('C++ format', format, ['--dry-run', '--Werror', ...sources('native', '.cc', '.h')]),
    ),
  ];
  for (const { name } of KERNELS) results.push(await moduleFor(name));
  results.push(withTool('sparse', 'sparse', () => single('sparse', true)));
  console.log(`\n${closingTable(results)}`);
  return results.some(({ failures }) => failures.length > 0) ? 1 : 0;
}

await runProgram(LINT, main);
