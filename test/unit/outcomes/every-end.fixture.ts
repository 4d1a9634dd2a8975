/** Every end that a test can have; ../report.test.ts runs it. */
import { beforeAll, describe, expect, it } from 'vitest';

it('passes', () => undefined);

it('fails', () => {
  expect('one').toBe('other');
});

it('is skipped for a reason', (context) => context.skip('no device has memory'));

it('is skipped for the same', (context) => context.skip('no device has memory'));

// What this one is here for: of a skip without a reason the table says that it has none.
it.skip('is skipped for none', () => undefined);

it('leaves a promise behind', () => {
  void Promise.reject(new Error('nobody awaits this'));
});

describe('a hook that fails', () => {
  beforeAll(() => {
    throw new Error('no room\nfor anything');
  });

  it('never lets its test run', () => undefined);
});
