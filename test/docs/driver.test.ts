/**
 * The driver that README.md shows, line by line as it stands there, against what can happen to its process, in every order.
 * And with a line of it taken away: what it is there for is found.
 */
import * as library from 'node-hmm';
import { assertPassed, explore, type Scenario, type World } from 'node-hmm/explore';
import { describe, expect, it } from 'vitest';
import { BLOCKS } from './markdown.js';

type Library = typeof library;

interface Driver {
  readonly table: library.DriverPageTable;
  readonly notifier: library.IntervalNotifier;
  populate(): Promise<void>;
}

type Attach = (
  library: Library,
  hmm: library.Hmm,
  space: library.AddressSpace,
  start: number,
  length: number,
) => Promise<Driver>;

/** The piece of README.md's first program that is the driver. */
const SOURCE = /^const table = [^]*?^async function populate\(\) {\n[^]*?^}\n/m.exec(
  BLOCKS.find(({ directives }) => directives.get('file') === 'driver.mjs')!.code,
)![0];

function driverOf(source: string): Attach {
  const names = 'DriverPageTable, HMM_PFN_REQ_FAULT, HmmError, HmmRange';
  const AsyncFunction = (async () => undefined).constructor as new (...parts: string[]) => Attach;
  const body = `const { ${names} } = library;\n${source}\nreturn { table, notifier, populate };`;
  return new AsyncFunction('library', 'hmm', 'space', 'start', 'length', body);
}

/** What happens to the process meanwhile. */
const RACES: Readonly<Record<string, (world: World, space: library.AddressSpace, start: number) => Promise<unknown>>> =
  {
    munmap: (_, space, start) => space.munmap(start, 4096),
    mprotect: (_, space, start) => space.mprotect(start, 4096, library.PROT_READ),
    fork: (_, space) => space.fork(),
    'madvise DONTNEED': (_, space, start) => space.madvise(start, 4096, library.MADV_DONTNEED),
    'the OOM reaper': (world, space) => world.oomReap(space),
  };

function scenario(source: string, race: keyof typeof RACES): Scenario {
  const attach = driverOf(source);
  return async (world) => {
    const hmm = await world.open();
    const space = await hmm.createAddressSpace();
    const start = await space.mmap(4096);
    await space.write(start, Uint8Array.of(1));
    const driver = await attach(library, hmm, space, start, 4096);
    world.watch(driver.table, driver.notifier);
    await world.parallel({
      cpu: () => RACES[race]!(world, space, start),
      // The process may have unmapped the page before: the driver says so.
      device: () =>
        driver.populate().catch((error: unknown) => {
          if (!(error instanceof library.HmmError && error.code === 'EFAULT')) throw error;
        }),
    });
  };
}

describe('passes against', () => {
  it.each(Object.keys(RACES))('%s', async (race) => {
    const result = await explore(scenario(SOURCE, race));
    assertPassed(result);
    expect(result.executions).toBeGreaterThan(50);
  });
});

describe('without', () => {
  it.each([
    ['readRetry', /^ *if \(notifier\.readRetry.*\n/m, 'munmap', 'stale-entry'],
    ['a look at range.blockable', /if \(range\.blockable\) (.*)\n.*\n/, 'the OOM reaper', 'blocking-callback'],
    ['table.invalidate', /^ *table\.invalidate.*\n/m, 'munmap', 'unfinished-invalidate'],
  ] as const)('%s it is found out', async (_, line, race, kind) => {
    const without = SOURCE.replace(line, (_whole, kept: unknown) => (typeof kept === 'string' ? `${kept}\n` : ''));
    expect(without).not.toBe(SOURCE);
    const result = await explore(scenario(without, race));
    expect(result).toMatchObject({ result: 'failed', failure: { violation: { kind } } });
  });
});
