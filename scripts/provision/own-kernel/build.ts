import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { VmError } from '../../vm/errors.js';
import type { KernelRecord } from '../kernel.js';
import { unpackSource, type KernelSource } from '../kernel-source.js';
import { requireTool, runTool, type Progress } from '../tools.js';
import { provideBuildTools, type BuildTools } from './build-tools.js';
import { renderConfiguration, unmetOptions, type Configuration } from './configuration.js';
import { CompileCounter } from './compile-counter.js';

export interface OwnKernelBuild {
  readonly name: string;
  readonly source: KernelSource;
  readonly configuration: Configuration;
}

/** The kernel's own module of hmm-tests, with which ours is compared. */
const REFERENCE_MODULE = 'test_hmm.ko';

/** Part of the compiled result: the same source and configuration give the same kernel, whenever and wherever. */
const IDENTITY = ['KBUILD_BUILD_USER=node-hmm', 'KBUILD_BUILD_HOST=node-hmm', 'KBUILD_BUILD_TIMESTAMP=1 January 2025'];

/** One kernel's build: a fresh tree in a folder of its own, of which `folder` keeps what boots and what modules need. */
class Build {
  readonly #build: OwnKernelBuild;
  readonly #tree: string;
  readonly #tools: BuildTools;
  readonly #signal: AbortSignal | undefined;

  constructor(build: OwnKernelBuild, tree: string, tools: BuildTools, signal: AbortSignal | undefined) {
    this.#build = build;
    this.#tree = tree;
    this.#tools = tools;
    this.#signal = signal;
  }

  /** @throws VmError 'provisioning', with their names, if options are not in the end as they were asked for. */
  async configure(): Promise<void> {
    const wanted = join(this.#tree, 'node-hmm.config');
    writeFileSync(wanted, renderConfiguration(this.#build.configuration));
    await this.#make(['-s', `KCONFIG_ALLCONFIG=${wanted}`, 'allnoconfig']);
    const unmet = unmetOptions(this.#build.configuration, readFileSync(join(this.#tree, '.config'), 'utf8'));
    if (unmet.length > 0) {
      const { name, version } = this.#build.source;
      throw new VmError('provisioning', `${name} ${version} cannot be configured with ${unmet.join(', ')}`);
    }
  }

  async compile(progress: Progress): Promise<void> {
    const counter = new CompileCounter(this.#build.name, progress);
    await this.#make(['vmlinux', 'modules'], (line) => counter.see(line));
    counter.end();
  }

  /** The kernel without its symbols: it carries those that it prints itself. */
  async keepImage(folder: string): Promise<void> {
    const objcopy = requireTool('objcopy', 'preparing the kernel', 'install binutils');
    await runTool(objcopy, ['--strip-all', join(this.#tree, 'vmlinux'), join(folder, 'vmlinux')]);
    copyFileSync(join(this.#tree, '.config'), join(folder, 'config'));
    mkdirSync(join(folder, 'reference'));
    copyFileSync(join(this.#tree, 'lib', REFERENCE_MODULE), join(folder, 'reference', REFERENCE_MODULE));
  }

  /** What modules are built with, as the kernel's own packaging picks it. */
  async keepHeaders(folder: string): Promise<void> {
    const headers = join(folder, 'headers');
    const packer = '$(srctree)/scripts/package/install-extmod-build';
    await this.#make(['-s', 'run-command', `KBUILD_RUN_COMMAND=${packer} ${headers}`]);
    // Kbuild asks for it; nothing in it is read that is not in auto.conf.
    copyFileSync(join(this.#tree, '.config'), join(headers, '.config'));
    // objtool runs at each module build, and may need a library that only the cache has.
    for (const library of this.#tools.libraries) {
      const target = join(headers, 'usr', 'lib', 'x86_64-linux-gnu');
      for (const file of readdirSync(library).filter((name) => /\.so\.\d+$|-[\d.]+\.so$/.test(name))) {
        cpSync(join(library, file), join(target, file), { dereference: true });
      }
    }
  }

  async release(): Promise<string> {
    return readFileSync(join(this.#tree, 'include', 'config', 'kernel.release'), 'utf8').trim();
  }

  async #make(args: readonly string[], onLine?: (line: string) => void): Promise<void> {
    const options = {
      cwd: this.#tree,
      env: this.#tools.env,
      signal: this.#signal,
      ...(onLine === undefined ? {} : { onLine }),
    };
    const all = ['-j', String(availableParallelism()), ...IDENTITY, ...this.#tools.makeArguments, ...args];
    // Minutes of all processors: whoever works on this machine meanwhile goes first.
    await runTool(requireTool('nice', 'building a kernel', 'install coreutils'), ['make', ...all], options);
  }
}

/** Builds a kernel and leaves in `folder` what a machine and a module build need. */
export async function buildOwnKernel(
  build: OwnKernelBuild,
  folder: string,
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  const { name, source } = build;
  const tools = await provideBuildTools(progress, signal);
  const work = join(folder, 'work');
  mkdirSync(work);
  progress(`${name}: unpacking ${source.name} ${source.version}`);
  const running = new Build(build, await unpackSource(source, work, { signal }), tools, signal);
  progress(`${name}: configuring`);
  await running.configure();
  progress(`${name}: compiling, which takes minutes; it is done once`);
  await running.compile(progress);
  progress(`${name}: keeping what machines and modules need`);
  await running.keepImage(folder);
  await running.keepHeaders(folder);
  const record: KernelRecord = {
    release: await running.release(),
    image: 'vmlinux',
    packages: [`${source.name}=${source.version}`],
    headers: 'headers',
    modules: [],
    reference: join('reference', REFERENCE_MODULE),
  };
  writeFileSync(join(folder, 'kernel.json'), JSON.stringify(record, null, 2));
  rmSync(work, { recursive: true });
  progress(`${name}: Linux ${record.release} is ready`);
}
