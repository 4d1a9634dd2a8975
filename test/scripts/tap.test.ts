import { describe, expect, it } from 'vitest';

import { incompleteness, parseTap } from '../../scripts/selftests/tap.js';

const complete = `TAP version 13
1..4
# Starting 4 tests from 2 test cases.
#  RUN           hmm.private.read ...
#            OK  hmm.private.read
ok 1 hmm.private.read
#  RUN           hmm.private.write ...
# hmm-tests.c:10:write:Expected 1 (1) == 2 (2)
# write: Test terminated by assertion
#          FAIL  hmm.private.write
not ok 2 hmm.private.write
#      SKIP      Huge page could not be allocated
ok 3 hmm.private.huge # SKIP Huge page could not be allocated
ok 4 hmm2.coherent.map # XFAIL unknown
# FAILED: 3 / 4 tests passed.
# Totals: pass:1 fail:1 xfail:1 xpass:0 skip:1 error:0
`;

describe('parseTap', () => {
  it('reads results, reasons, and what a test said before its result', () => {
    const run = parseTap(complete);
    expect(run).toMatchObject({ planned: 4, bailOut: undefined });
    expect(run.tests.map(({ name, outcome, reason }) => [name, outcome, reason])).toEqual([
      ['hmm.private.read', 'pass', undefined],
      ['hmm.private.write', 'fail', undefined],
      ['hmm.private.huge', 'skip', 'Huge page could not be allocated'],
      ['hmm2.coherent.map', 'xfail', 'unknown'],
    ]);
    expect(run.tests[1]?.diagnostics).toContain('hmm-tests.c:10:write:Expected 1 (1) == 2 (2)');
    expect(run.tests[2]?.diagnostics).toEqual(['SKIP      Huge page could not be allocated']);
  });

  it.each([
    ['ok 7 a.b', { name: 'a.b', outcome: 'pass', reason: undefined }],
    ['ok 7 a.b # SKIP', { name: 'a.b', outcome: 'skip', reason: undefined }],
    ['ok 7 a.b # skip later', { name: 'a.b', outcome: 'skip', reason: 'later' }],
    ['ok 7 # SKIP a.b', { name: 'a.b', outcome: 'skip', reason: undefined }],
    ['ok 7 a.b # XPASS unknown', { name: 'a.b', outcome: 'xpass', reason: 'unknown' }],
    ['not ok 7 a.b #  why', { name: 'a.b', outcome: 'fail', reason: 'why' }],
    ['not ok 7 # error a.b', { name: 'a.b', outcome: 'fail', reason: undefined }],
    ['not ok 7 a.b', { name: 'a.b', outcome: 'fail', reason: undefined }],
  ])('reads %s', (line, expected) => {
    expect(parseTap(line).tests).toMatchObject([expected]);
  });

  it('takes carriage returns, and leaves alone what is not TAP', () => {
    const run = parseTap('1..1\r\n[  1.0] hmm_mirror: hello\r\nokay then\r\nok 1 a\r\nok\r\n');
    expect(run.planned).toBe(1);
    expect(run.tests.map(({ name }) => name)).toEqual(['a']);
  });

  it('knows a program that gave up', () => {
    expect(parseTap('TAP version 13\nBail out! no device\n').bailOut).toBe('no device');
  });
});

describe('incompleteness', () => {
  it('has nothing to say of a complete run, whatever its tests say', () => {
    expect(incompleteness(parseTap(complete))).toEqual([]);
  });

  it('names what is missing', () => {
    expect(incompleteness(parseTap('1..3\nok 1 a\n'))).toEqual(['planned 3 tests and ran 1']);
    expect(incompleteness(parseTap('ok 1 a\n'))).toEqual(['printed no plan']);
    expect(incompleteness(parseTap('1..2\nok 1 a\nok 2 a\n'))).toEqual(['reported a twice']);
    expect(incompleteness(parseTap(''))).toEqual(['printed no plan', 'ran no test']);
    expect(incompleteness(parseTap('1..0\nBail out! no device\n'))).toEqual(['gave up: no device', 'ran no test']);
  });
});
