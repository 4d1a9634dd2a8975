import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cacheRoot } from './cache.js';
import { parseArchive, parseCandidate, parseDepends, parseSearch, parseSimulation } from './packages.js';
import { requireTool, runTool, type Progress, type ToolOptions } from './tools.js';

/** Of a Debian machine; where it is missing, apt's own trusted keys decide. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const INSTALL_HINT = 'node-hmm fetches kernels from the archive of a Debian machine';

/**
 * The distribution's archive, used without root and without installing anything: packages are downloaded and
 * unpacked. The machine's own package lists are read; when they are missing or name versions that are gone, newer
 * ones are fetched into the cache, and the machine's stay as they are.
 */
export class Apt {
  readonly #progress: Progress;
  readonly #tool: ToolOptions;
  #options: string[] = [];

  constructor(progress: Progress, signal?: AbortSignal) {
    this.#progress = progress;
    this.#tool = { signal, env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' } };
    for (const tool of ['apt-get', 'apt-cache', 'dpkg-deb']) requireTool(tool, 'fetching packages', INSTALL_HINT);
  }

  /** Fetches package lists into the cache; later calls use them. */
  async update(): Promise<void> {
    if (this.#options.length === 0) this.#options = ownState('apt');
    this.#progress('updating package lists');
    await this.#get(['update']);
  }

  /**
   * From now on this release's backports come first, whether the machine uses them or not: their
   * lists are fetched into the cache, from the mirror that the machine has for the release itself.
   * @returns false if the distribution has no such suite
   */
  async useBackports(): Promise<boolean> {
    const format = '$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)|$(LABEL)';
    const targets = ['indextargets', '--format', format, 'Created-By: Packages'];
    let archive = parseArchive(await this.#get(targets));
    if (archive === undefined) {
      // Without lists apt does not know what its sources are.
      await this.update();
      archive = parseArchive(await this.#get(targets));
    }
    if (archive === undefined) return false;
    const { uri, codename } = archive;
    const suite = `${codename}-backports`;
    const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
    const sources = join(cacheRoot(), 'apt-backports', 'sources.list');
    const own = ownState('apt-backports');
    writeFileSync(sources, [codename, suite].map((name) => `deb ${signed}${uri} ${name} main\n`).join(''));
    this.#options = [
      ...own,
      ...['-o', `Dir::Etc::sourcelist=${sources}`, '-o', 'Dir::Etc::sourceparts=-', '-t', suite],
    ];
    this.#progress(`fetching the package lists of ${suite}`);
    await this.#get(['update']);
    return true;
  }

  /** Names of packages that match an extended regular expression. */
  async search(pattern: string): Promise<string[]> {
    return parseSearch(await this.#cache(['search', '--names-only', pattern]));
  }

  async depends(name: string): Promise<string[]> {
    return parseDepends(await this.#cache(['depends', name]));
  }

  /** The version that would be installed; undefined if the archive has no such package. */
  async candidate(name: string): Promise<string | undefined> {
    return parseCandidate(await this.#cache(['policy', name]));
  }

  /**
   * The packages, and those that they need, that this machine does not have installed.
   * @param always matches those to name even so.
   */
  async missing(names: readonly string[], always?: RegExp): Promise<string[]> {
    const simulate = ['--simulate', '--no-install-recommends', '-o', 'Dir::State::status=/dev/null', 'install'];
    const simulation = await this.#get([...simulate, ...names]);
    const closure = parseSimulation(simulation);
    // Of a library that is installed another version may be needed; what the release itself has
    // fits everything of its own.
    const backported = new Set(parseSimulation(simulation, /~bpo/));
    const listing = await runTool('dpkg-query', ['-W', '-f', '${Package} ${Status}\\n'], this.#tool);
    const installed = new Set(
      [...listing.toString().matchAll(/^(\S+) \S+ ok installed$/gm)].map((match) => match[1] ?? ''),
    );
    const wanted = (name: string) => names.includes(name) || always?.test(name) === true || backported.has(name);
    return closure.filter((name) => wanted(name) || !installed.has(name));
  }

  /** Downloads packages and unpacks them below `root`, without running anything of theirs. */
  async unpack(names: readonly string[], root: string, downloads: string): Promise<void> {
    mkdirSync(downloads, { recursive: true });
    this.#progress(`downloading ${names.join(' ')}`);
    await this.#get(['download', ...names], downloads);
    for (const file of readdirSync(downloads).filter((name) => name.endsWith('.deb'))) {
      await runTool('dpkg-deb', ['-x', join(downloads, file), root], this.#tool);
    }
  }

  /** Does something with packages, and once more with new lists if that fails: lists may be missing or outdated. */
  async refreshing(attempt: () => Promise<void>): Promise<void> {
    try {
      await attempt();
    } catch (error) {
      if (this.#tool.signal?.aborted === true) throw error;
      this.#progress(`fetching new package lists: ${(error as Error).message}`);
      await this.update();
      await attempt();
    }
  }

  async #get(args: readonly string[], cwd?: string): Promise<string> {
    // Without the sandbox user: it could not read a cache below root's home folder, and would only warn about it.
    const options = [...this.#options, '-o', 'APT::Sandbox::User=root', '-q', '-y'];
    const tool = cwd === undefined ? this.#tool : { ...this.#tool, cwd };
    return (await runTool('apt-get', [...options, ...args], tool)).toString();
  }

  async #cache(args: readonly string[]): Promise<string> {
    return (await runTool('apt-cache', [...this.#options, ...args], this.#tool)).toString();
  }
}

/** Options that keep apt's lists and downloads in a folder of the cache. */
function ownState(folder: string): string[] {
  const state = join(cacheRoot(), folder);
  mkdirSync(join(state, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(state, 'archives', 'partial'), { recursive: true });
  return [
    ...['-o', `Dir::State=${state}`, '-o', `Dir::State::lists=${join(state, 'lists')}`],
    ...['-o', `Dir::Cache=${state}`, '-o', 'Dir::State::status=/var/lib/dpkg/status'],
  ];
}
