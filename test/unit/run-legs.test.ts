import { expect, it } from 'vitest';

import type { Leg } from '../../scripts/testing/leg.js';
import { single, type LegResult } from '../../scripts/testing/report.js';
import { runLegs, type Console } from '../../scripts/testing/run-legs.js';

/** A console whose heartbeat the test makes. */
function console(): Console & { readonly lines: () => string[]; beat: () => void } {
  const written: string[] = [];
  let tell = (): void => undefined;
  return {
    write: (text) => void written.push(text.toString()),
    every: (_, callback) => {
      tell = callback;
      return () => (tell = () => undefined);
    },
    lines: () =>
      written
        .splice(0)
        .join('')
        .split('\n')
        .filter((line) => line !== ''),
    beat: () => tell(),
  };
}

/** A leg that ends when the test says so. */
function leg(name: string): { leg: Leg; says: (text: string) => void; ends: (result: LegResult) => Promise<void> } {
  let resolve: (result: LegResult) => void = () => undefined;
  const promise = new Promise<LegResult>((settle) => (resolve = settle));
  let output: (text: string) => void = () => undefined;
  return {
    leg: {
      name,
      main: true,
      run: (context) => {
        output = context.output;
        context.booted(`6.1.0-of-${name}`);
        return promise;
      },
    },
    says: (text) => output(text),
    ends: async (result) => {
      resolve(result);
      await new Promise((done) => setImmediate(done));
    },
  };
}

it('each leg says that it begins, what it does now, what it printed, and what it took', async () => {
  const out = console();
  const [first, second] = [leg('first'), leg('second')];
  const run = runLegs([first.leg, second.leg], 'main', out, 2);
  expect(out.lines()).toEqual(['=== first: begins', '=== second: begins']);

  first.says('building\n\u001b[32mthe kernel\u001b[0m\n');
  out.beat();
  expect(out.lines()).toEqual(['… first, 0 s: the kernel', '… second, 0 s: starting']);

  await first.ends(single('first', true));
  expect(out.lines()).toEqual([
    '=== first: what it printed',
    'building',
    '\u001b[32mthe kernel\u001b[0m',
    '=== first: 1 passed, in 0 s',
  ]);
  out.beat();
  expect(out.lines()).toEqual(['… second, 0 s: starting']);
  await second.ends(single('second', false));
  expect(await run).toMatchObject([
    { leg: 'first', passed: 1, kernelRelease: '6.1.0-of-first' },
    { leg: 'second', failures: [{ name: 'second' }], kernelRelease: '6.1.0-of-second' },
  ]);
  out.beat();
  expect(out.lines().at(-1)).toBe('=== second: 1 failed, in 0 s');
});

it('a leg alone prints at once, and is reported only when it is silent', async () => {
  const out = console();
  const only = leg('only');
  const run = runLegs([only.leg], 'main', out, 2);
  only.says('a line\n');
  expect(out.lines()).toEqual(['=== only: begins', 'a line']);
  out.beat();
  expect(out.lines()).toEqual([]);
  out.beat();
  expect(out.lines()).toEqual(['… only, 0 s: a line']);
  await only.ends(single('only', true));
  await run;
});

it('a leg that throws has failed, and the next one runs', async () => {
  const thrown: Leg = { name: 'thrown', main: true, run: () => Promise.reject(new Error('no disk')) };
  const next: Leg = { name: 'next', main: true, run: () => Promise.resolve(single('next', true)) };
  const [failed, passed] = await runLegs([thrown, next], 'main', console(), 1);
  expect(failed!.failures[0]!.detail).toMatch(/^Error: no disk\n/);
  expect(passed!.passed).toBe(1);
});
