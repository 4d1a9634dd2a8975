import { describe, expect, it } from 'vitest';

import { CompileCounter } from '../../scripts/provision/own-kernel/compile-counter.js';
import { OWN, OWN_DEBUG, renderConfiguration, unmetOptions } from '../../scripts/provision/own-kernel/configuration.js';

describe('the configuration of own kernels', () => {
  it('is written as Kconfig reads it', () => {
    expect(renderConfiguration({ SMP: 'y', TEST_HMM: 'm', VT: 'n', NR_CPUS: '8', LOCALVERSION: '"-own"' })).toBe(
      'CONFIG_SMP=y\nCONFIG_TEST_HMM=m\n# CONFIG_VT is not set\nCONFIG_NR_CPUS=8\nCONFIG_LOCALVERSION="-own"\n',
    );
  });

  it('is found again in the result, or missed there by name', () => {
    for (const configuration of [OWN, OWN_DEBUG]) {
      expect(unmetOptions(configuration, renderConfiguration(configuration))).toEqual([]);
    }
    const config = '# CONFIG_KASAN is not set\nCONFIG_TEST_HMM=y\nCONFIG_JUMP_LABEL=y\nCONFIG_SMP=y\n';
    expect(unmetOptions({ KASAN: 'y', TEST_HMM: 'm', JUMP_LABEL: 'n', SMP: 'y', GONE: 'y' }, config)).toEqual([
      'KASAN=y',
      'TEST_HMM=m',
      'JUMP_LABEL=n',
      'GONE=y',
    ]);
    expect(unmetOptions({ VT: 'n' }, '')).toEqual([]);
  });

  it('of the debug kernel is more, and otherwise the same', () => {
    const changed = Object.entries(OWN).filter(([name, value]) => OWN_DEBUG[name] !== value);
    expect(changed.map(([name]) => name)).toEqual(['LOCALVERSION', 'PREEMPT_VOLUNTARY']);
  });
});

describe('CompileCounter', () => {
  it('says how far a build is every half minute, and at its end', () => {
    const said: string[] = [];
    let now = 0;
    const counter = new CompileCounter(
      'own',
      (line) => said.push(line),
      () => now,
    );
    for (const line of [
      '  CC      mm/hmm.o',
      '  AS      a.o',
      '  CC [M]  lib/test_hmm.o',
      '  LD      vmlinux',
      'make: x',
    ]) {
      now += 20_000;
      counter.see(line);
    }
    counter.end();
    expect(said).toEqual(['own: 2 files compiled so far, 0 min 40 s', 'own: 3 files compiled in all, 1 min 40 s']);
  });
});
