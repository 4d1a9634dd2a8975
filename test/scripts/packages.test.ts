import { describe, expect, it } from 'vitest';

import {
  compareReleases,
  parseCandidate,
  parseDepends,
  parseSearch,
  parseSimulation,
  pickKernel,
} from '../../scripts/provision/packages.js';
import { KERNELS, type KernelDescription } from '../../scripts/vm/kernels.js';

function pattern(name: string): RegExp {
  const found = KERNELS.find((kernel: KernelDescription) => kernel.name === name);
  if (found?.source.kind !== 'debian') throw new Error(`${name} is no stock kernel`);
  return found.source.imagePattern;
}

describe('reading apt', () => {
  it('finds names in search results', () => {
    const output = 'linux-image-6.1.0-9-amd64 - Linux 6.1 for 64-bit PCs (signed)\nlinux-kbuild-6.1 - Kbuild - tools\n';
    expect(parseSearch(output)).toEqual(['linux-image-6.1.0-9-amd64', 'linux-kbuild-6.1']);
    expect(parseSearch('')).toEqual([]);
  });

  it('finds the version that would be installed', () => {
    expect(parseCandidate('linux-source-6.12:\n  Installed: (none)\n  Candidate: 6.12.9-1~deb12u1\n')).toBe(
      '6.12.9-1~deb12u1',
    );
    expect(parseCandidate('x:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n')).toBeUndefined();
    expect(parseCandidate('')).toBeUndefined();
  });

  it('finds dependencies, alternatives and virtual packages, each once', () => {
    const output = [
      'linux-headers-6.12.9+deb12-amd64',
      '  Depends: linux-headers-6.12.9+deb12-common',
      ' |Depends: linux-image-6.12.9+deb12-amd64',
      '  Depends: linux-image-6.12.9+deb12-amd64-unsigned',
      '  PreDepends: <virtual>',
      '  Depends: libc6:any',
      '  Depends: libc6',
      '  Recommends: other',
    ].join('\n');
    expect(parseDepends(output)).toEqual([
      'linux-headers-6.12.9+deb12-common',
      'linux-image-6.12.9+deb12-amd64',
      'linux-image-6.12.9+deb12-amd64-unsigned',
      'virtual',
      'libc6',
    ]);
  });

  it('finds what a simulated installation would install', () => {
    const output = 'Inst libaio1 (0.3 Debian:12/stable [amd64])\nInst libfoo:i386 (1)\nConf libaio1 (0.3)\n';
    expect(parseSimulation(output)).toEqual(['libaio1', 'libfoo']);
  });
});

describe('the choice of a kernel', () => {
  it('orders releases by number', () => {
    expect(['6.1.0-9-amd64', '6.1.0-56-amd64', '6.1.0-10-amd64'].sort(compareReleases)).toEqual([
      '6.1.0-9-amd64',
      '6.1.0-10-amd64',
      '6.1.0-56-amd64',
    ]);
  });

  it('takes the newest with headers, and the signed one of twins', () => {
    const names = [
      'linux-image-6.1.0-9-amd64',
      'linux-image-6.1.0-56-amd64-unsigned',
      'linux-image-6.1.0-56-amd64',
      'linux-image-6.1.0-57-amd64', // no headers
      'linux-image-6.1.0-58-cloud-amd64',
      'linux-image-6.1.0-58-rt-amd64',
      'linux-image-6.1.0-58-amd64-dbg',
      'linux-headers-6.1.0-9-amd64',
      'linux-headers-6.1.0-56-amd64',
      'linux-headers-6.1.0-58-amd64',
    ];
    expect(pickKernel(names, pattern('debian-6.1'))).toEqual({
      release: '6.1.0-56-amd64',
      image: 'linux-image-6.1.0-56-amd64',
      headers: 'linux-headers-6.1.0-56-amd64',
    });
  });

  it('takes an unsigned image where there is no other', () => {
    const names = ['linux-image-6.12.117+deb12-amd64-unsigned', 'linux-headers-6.12.117+deb12-amd64'];
    expect(pickKernel(names, pattern('debian-6.12'))?.image).toBe('linux-image-6.12.117+deb12-amd64-unsigned');
  });

  it('finds nothing in nothing', () => {
    expect(pickKernel([], pattern('debian-6.12'))).toBeUndefined();
  });
});
