/**
 * The package as every package manager installs it: with and without install scripts, with and without a compiler. A table
 * of what was seen is printed at the end.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pathWithoutCompiler, provideManager, type ManagerName } from '../../scripts/testing/package-managers.js';
import { tarball } from './support.js';

interface Manager {
  readonly label: string;
  /** Undefined: npm, which comes with Node. */
  readonly name?: ManagerName;
  readonly install: (file: string) => readonly string[];
  readonly noScripts: readonly string[] | Readonly<Record<string, string>>;
  /** Runs a program of the package, and Node as the manager sets it up. */
  readonly exec: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  /** The package is a folder on the disk, which can be changed. */
  readonly unpacked: boolean;
}

const YARN = {
  name: 'yarn',
  install: (file: string) => ['add', `node-hmm@file:${file}`],
  noScripts: { YARN_ENABLE_SCRIPTS: 'false' },
  exec: ['exec'],
} as const;

const MANAGERS: readonly Manager[] = [
  {
    label: 'npm',
    install: (file) => ['install', file],
    noScripts: ['--ignore-scripts'],
    exec: ['exec', '--no', '--'],
    unpacked: true,
  },
  {
    label: 'pnpm',
    name: 'pnpm',
    install: (file) => ['add', file],
    noScripts: ['--ignore-scripts'],
    exec: ['exec'],
    unpacked: true,
  },
  { ...YARN, label: 'yarn', files: { '.yarnrc.yml': 'nodeLinker: node-modules\n', 'yarn.lock': '' }, unpacked: true },
  { ...YARN, label: 'yarn, pnp', files: { '.yarnrc.yml': 'nodeLinker: pnp\n', 'yarn.lock': '' }, unpacked: false },
  {
    label: 'yarn 1',
    name: 'yarn-classic',
    install: (file) => ['add', `file:${file}`],
    noScripts: ['--ignore-scripts'],
    exec: ['--silent', 'exec', '--'],
    unpacked: true,
  },
];

const INSTALL_LIMIT = 300_000;
const BOOT_LIMIT = 1_200_000;
const boots = process.env['HMM_TEST_BOOT'] === '1';

const SIMULATION = `require('node-hmm').openHmm({ backend: 'simulation' }).then((hmm) => console.log(hmm.backend))`;
/** The addon answers for the device file: there is no such file, whatever the machine. */
const ADDON = `require('node-hmm').openHmm({ backend: 'kernel', device: '/dev/hmm_mirror_of_nobody' }).catch((e) => console.log(e.message))`;
const NO_DEVICE = '/dev/hmm_mirror_of_nobody';
const KERNEL = `import { openHmm } from 'node-hmm';
const hmm = await openHmm({ backend: 'kernel' });
console.log(hmm.backend, hmm.kernelRelease);
await hmm.close();
`;

const temporary = realpathSync(mkdtempSync(path.join(tmpdir(), 'node-hmm-managers-')));
let bare = '';
const table: string[][] = [];

/** The environment of a user's shell: without what npm and the test runner tell their programs. */
function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:VITEST|NODE_OPTIONS$|NODE_ENV$|INIT_CWD$|npm_(?!config_(?:registry|cache)$))/i.test(name),
  );
  const registry = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim();
  return {
    ...Object.fromEntries(kept),
    YARN_NPM_REGISTRY_SERVER: registry,
    YARN_ENABLE_TELEMETRY: 'false',
    YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
    COREPACK_ENABLE_DOWNLOAD_PROMPT: '0',
    ...more,
  };
}

interface Installed {
  readonly folder: string;
  readonly installed: { readonly status: number | string; readonly output: string };
  /** Runs a command as the manager does. */
  readonly exec: (...command: string[]) => { readonly status: number | string; readonly output: string };
  readonly env: NodeJS.ProcessEnv;
}

async function install(manager: Manager, { scripts, compiler }: { scripts: boolean; compiler: boolean }) {
  const folder = mkdtempSync(path.join(temporary, 'project-'));
  for (const [name, text] of Object.entries({
    'package.json': '{ "name": "project", "version": "1.0.0", "private": true, "type": "commonjs" }\n',
    'test.mjs': KERNEL,
    ...manager.files,
  })) {
    writeFileSync(path.join(folder, name), text);
  }
  const start =
    manager.name === undefined
      ? ['npm']
      : await provideManager(manager.name, (line) => process.stderr.write(`${line}\n`));
  const off = scripts ? [] : manager.noScripts;
  const env = environment({
    ...(compiler ? {} : { PATH: bare }),
    ...(Array.isArray(off) ? {} : (off as Record<string, string>)),
  });
  const call = (args: readonly string[]) => {
    const [program, ...before] = start;
    const { status, signal, stdout, stderr, error } = spawnSync(program!, [...before, ...args], {
      cwd: folder,
      env,
      encoding: 'utf8',
    });
    if (error !== undefined) throw error;
    return { status: status ?? signal!, output: `${stdout}${stderr}` };
  };
  const installed = call([...manager.install(tarball.file), ...(Array.isArray(off) ? (off as string[]) : [])]);
  return { folder, env, installed, exec: (...command: string[]) => call([...manager.exec, ...command]) } as Installed;
}

beforeAll(() => {
  bare = pathWithoutCompiler(path.join(temporary, 'bin'));
});

afterAll(() => {
  rmSync(temporary, { recursive: true });
  const head = ['manager', 'scripts', 'compiler', 'install', '--version', 'simulation', 'addon', 'vm'];
  const lines = [head, head.map(() => '---'), ...table].map((row) => `| ${row.join(' | ')} |`);
  console.log(`node-hmm ${process.version}\n${lines.join('\n')}`);
});

const WAYS = [true, false].flatMap((scripts) => [true, false].map((compiler) => ({ scripts, compiler })));

describe.each(MANAGERS)('$label', (manager) => {
  it.each(WAYS)('scripts: $scripts, compiler: $compiler', { timeout: INSTALL_LIMIT + BOOT_LIMIT }, async (way) => {
    const row = [manager.label, way.scripts ? 'yes' : 'no', way.compiler ? 'yes' : 'no'];
    table.push(row);
    const { installed, exec } = await install(manager, way);
    expect(installed.status, installed.output).toBe(0);
    row.push('ok');

    const version = exec('node-hmm', '--version');
    expect(version).toEqual({ status: 0, output: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string });
    row.push(version.output.trim());

    expect(exec('node', '-e', SIMULATION)).toEqual({ status: 0, output: 'simulation\n' });
    row.push('ok');

    const { status, output } = exec('node', '-e', ADDON);
    expect([status, output]).toEqual([0, expect.stringContaining(`there is no ${NO_DEVICE}`)]);
    row.push('loads');

    if (way.compiler) return void row.push('');
    // A machine's module and first program are compiled for it, whatever the package brings.
    const machine = exec('node-hmm', 'vm', '--', 'node', 'test.mjs');
    expect([machine.status, machine.output]).toEqual([69, expect.stringContaining('gcc is missing')]);
    row.push('status 69: gcc is missing');
  });

  it('in a machine it reaches the kernel', { timeout: INSTALL_LIMIT + BOOT_LIMIT }, async ({ skip }) => {
    if (!boots) skip('it boots a kernel: HMM_TEST_BOOT=1 runs it');
    const row = [manager.label, 'no', 'yes'];
    table.push(row);
    const { installed, exec } = await install(manager, { scripts: false, compiler: true });
    expect(installed.status, installed.output).toBe(0);
    row.push('ok', '', '', '');
    const machine = exec('node-hmm', 'vm', '--', 'node', 'test.mjs');
    expect([machine.status, machine.output]).toEqual([0, expect.stringMatching(/^kernel \d+\.\d+/m)]);
    row.push(/^(kernel .*)$/m.exec(machine.output)![1]!);
  });
});

describe('without a binary that fits', () => {
  it('vm and openHmm() say why not, and build-addon makes them work', { timeout: INSTALL_LIMIT * 2 }, async () => {
    const row = ['npm, no prebuilds', 'yes', 'yes', 'ok'];
    table.push(row);
    const { folder, installed, exec } = await install(MANAGERS[0]!, { scripts: true, compiler: true });
    expect(installed.status, installed.output).toBe(0);
    const own = path.join(folder, 'node_modules', 'node-hmm');
    rmSync(path.join(own, 'prebuilds'), { recursive: true });
    expect(exec('node-hmm', '--version').status).toBe(0);
    row.push('ok');
    expect(exec('node', '-e', SIMULATION)).toEqual({ status: 0, output: 'simulation\n' });
    row.push('ok');

    const why = 'there is no binary of it for';
    expect(exec('node', '-e', ADDON)).toEqual({ status: 0, output: expect.stringContaining(why) as string });
    const refused = exec('node-hmm', 'vm', '--', 'node', 'test.mjs');
    expect([refused.status, refused.output]).toEqual([69, expect.stringContaining(why)]);
    expect(refused.output).toContain('npx node-hmm build-addon');

    const built = exec('node-hmm', 'build-addon');
    expect(built.status, built.output).toBe(0);
    expect(readdirSync(path.join(own, 'build', 'Release'))).toEqual(
      expect.arrayContaining(['hmm_mirror.node', 'hmm_workload']),
    );
    expect(exec('node', '-e', ADDON).output).toContain(`there is no ${NO_DEVICE}`);
    row.push('none; loads when built', 'status 69; see addon');
  });
});
