import { describe, expect, it } from 'vitest';

import { compare } from '../../scripts/selftests/compare.js';
import { parseTap } from '../../scripts/selftests/tap.js';

function run(tap: string, problems: string[] = [], faults: string[] = []) {
  return { tap: parseTap(tap), problems, faults };
}

const reference = run('1..3\nok 1 a\nok 2 b\nok 3 c # SKIP no huge page\n');
const none = { reason: 'not asked for' };

describe('comparing hmm-tests on two modules', () => {
  it('is content if ours passes what the reference passes, and skips no more', () => {
    const { lines, complaints, passed, skipped } = compare(reference, reference);
    expect(complaints).toEqual([]);
    expect(passed).toBe(2);
    expect(skipped).toMatchObject([{ name: 'c', reason: 'no huge page' }]);
    expect(lines).toEqual([
      'test  ours     reference',
      'a     pass     pass',
      'b     pass     pass',
      'c     SKIP     SKIP      no huge page',
      '',
      'ours: 2 passed, 0 failed, 1 skipped',
      'reference: 2 passed, 0 failed, 1 skipped',
    ]);
  });

  it('takes more than the reference does', () => {
    expect(compare(run('1..3\nok 1 a\nok 2 b\nok 3 c\n'), reference).complaints).toEqual([]);
  });

  it('counts a failure of ours, with what the test said, even if the reference fails too', () => {
    const failing = run('1..3\nok 1 a\n# b: Expected 1 == 2\nnot ok 2 b\nok 3 c # SKIP no huge page\n');
    expect(compare(failing, reference).complaints).toEqual(['b: b: Expected 1 == 2']);
    expect(compare(failing, failing).complaints).toHaveLength(1);
    expect(compare(reference, failing).complaints).toEqual([]);
  });

  it('counts a skip and an omission that the reference does not share', () => {
    const lazy = run('1..2\nok 1 a # SKIP not yet\nok 2 c\n');
    expect(compare(lazy, reference).complaints).toEqual([
      'a: skipped (not yet), but the reference ran it',
      'b: not run, but the reference ran it',
    ]);
  });

  it.each([
    ['ours', run('1..2\nok 1 a\n'), reference, 'ours: planned 2 tests and ran 1'],
    ['the reference', reference, run('1..4\nok 1 a\n'), 'reference: planned 4 tests and ran 1'],
    ['the machine', run('1..1\nok 1 a\n', ['died: no end']), reference, 'ours: died: no end'],
    ["the reference's machine", reference, run('1..1\nok 1 a\n', ['boot: none']), 'reference: boot: none'],
  ])('does not take an incomplete run of %s for a good one', (_, ours, other, expected) => {
    expect(compare(ours, other).complaints).toContain(expected);
  });

  it('counts what the kernel holds against ours, and only shows what it holds against the reference', () => {
    const leaking = run('1..1\nok 1 a\n', [], ['kernel splat:\nunreferenced object 0x1 (size 16):\n  comm "init"']);
    const good = run('1..1\nok 1 a\n');
    expect(compare(leaking, good).complaints).toHaveLength(1);
    const { complaints, lines } = compare(good, leaking);
    expect(complaints).toEqual([]);
    expect(lines.slice(-2)).toEqual([
      'reference: 1 fault of its own, not counted:',
      'kernel splat: unreferenced object 0x1 (size 16):',
    ]);
  });

  it('says why one side is missing, and judges the other alone', () => {
    const alone = compare(none, run('1..2\nok 1 a\nnot ok 2 b\n'));
    expect(alone.lines).toContain('ours: not run: not asked for');
    expect(alone.complaints).toEqual(['b: failed']);
    expect(compare(reference, none).complaints).toEqual([]);
  });
});
