import { describe, expect, it } from 'vitest';

import { parseTap } from '../../scripts/selftests/tap.js';
import { skipUnsupported } from '../../scripts/selftests/unsupported.js';

const WITHOUT = 'CONFIG_HMM_MIRROR=y\n# CONFIG_DEVICE_PRIVATE is not set\n';
const WITH = 'CONFIG_HMM_MIRROR=y\nCONFIG_DEVICE_PRIVATE=y\n';

const REFUSED = '# hmm-tests.c:1:x:Expected ret (-95) == 0 (0)';

function outcomes(config: string, ...lines: readonly string[]) {
  return skipUnsupported(parseTap(lines.join('\n')), config).tests.map(({ outcome, reason }) => [outcome, reason]);
}

describe('what a kernel without CONFIG_DEVICE_PRIVATE cannot do', () => {
  it.each([
    ['hmm.hmm_device_private.migrate', 'this kernel has no device-private memory (CONFIG_DEVICE_PRIVATE)'],
    ['hmm2.hmm2_device_private.snapshot', 'this kernel has no device-private memory (CONFIG_DEVICE_PRIVATE)'],
    ['hmm.hmm_device_private.exclusive', 'this kernel has no device-exclusive entries (CONFIG_DEVICE_PRIVATE)'],
    ['hmm.hmm_device_coherent.exclusive_cow', 'this kernel has no device-exclusive entries (CONFIG_DEVICE_PRIVATE)'],
  ])('%s is skipped there, and fails elsewhere', (name, reason) => {
    expect(outcomes(WITHOUT, REFUSED, `not ok 1 ${name}`)).toEqual([['skip', reason]]);
    expect(outcomes(WITH, REFUSED, `not ok 1 ${name}`)).toEqual([['fail', undefined]]);
  });

  it.each([
    ['refused in another way', 'hmm.hmm_device_private.migrate', '# hmm-tests.c:1:x:Expected ret (-14) == 0 (0)'],
    ['of coherent memory', 'hmm.hmm_device_coherent.migrate', REFUSED],
    ['of what needs no device memory', 'hmm.hmm_device_private.anon_read', REFUSED],
    ['of a test whose name only begins so', 'hmm.hmm_device_private.migrate_more', REFUSED],
  ])('a failure %s stays one', (_, name, said) => {
    expect(outcomes(WITHOUT, said, `not ok 1 ${name}`)).toEqual([['fail', undefined]]);
  });

  it('what passes has passed', () => {
    expect(outcomes(WITHOUT, REFUSED, 'ok 1 hmm.hmm_device_private.migrate')).toEqual([['pass', undefined]]);
  });
});
