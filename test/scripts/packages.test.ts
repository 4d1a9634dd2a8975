import { describe, expect, it } from 'vitest';

import {
  compareReleases,
  parseArchive,
  parseCandidate,
  parseDepends,
  parseSearch,
  parseSimulation,
  pickKernel,
} from '../../scripts/provision/packages.js';
import { translatesRightly } from '../../scripts/provision/qemu.js';
import { KERNELS, type KernelDescription } from '../../scripts/vm/kernels.js';

function pattern(name: string): RegExp {
  const found = KERNELS.find((kernel: KernelDescription) => kernel.name === name);
  if (found?.source.kind !== 'debian') throw new Error(`${name} is no stock kernel`);
  return found.source.imagePattern;
}

describe('a QEMU', () => {
  it.each([
    ['7.2.19', false],
    ['8.0.5', false],
    ['8.1.0', true],
    ['8.2.2', true],
    ['10.0.2', true],
    ['what is this', false],
  ])('%s translates rightly: %s', (version, right) => {
    expect(translatesRightly(version)).toBe(right);
  });
});

describe('reading apt', () => {
  it('finds which of what would be installed is of backports', () => {
    const output = [
      'Inst libaio1 (0.3.113-4 Debian:12.15/oldstable [amd64])',
      'Inst libelf1 [0.188-2] (0.192-4~bpo12+1 Debian Backports:oldstable-backports [amd64])',
      'Conf libelf1 (0.192-4~bpo12+1 Debian Backports:oldstable-backports [amd64])',
    ].join('\n');
    expect(parseSimulation(output)).toEqual(['libaio1', 'libelf1']);
    expect(parseSimulation(output, /~bpo/)).toEqual(['libelf1']);
  });

  it("finds the release's own archive among the sources", () => {
    const lines = [
      'http://mirror.example/extra/|bookworm|main|Somebody|Debian',
      'http://mirror.example/debian-security/|bookworm-security|main|Debian|Debian-Security',
      'http://mirror.example/debian/|bookworm-updates|main|Debian|Debian',
      'http://mirror.example/debian/|bookworm|contrib|Debian|Debian',
      'http://mirror.example/debian/|bookworm|main|Debian|Debian',
    ];
    expect(parseArchive(lines.join('\n'))).toEqual({ uri: 'http://mirror.example/debian/', codename: 'bookworm' });
    expect(parseArchive(lines.slice(0, 4).join('\n'))).toBeUndefined();
    // Without package lists apt does not know.
    expect(parseArchive('http://mirror.example/debian/|$(CODENAME)|main|$(ORIGIN)|$(LABEL)')).toBeUndefined();
  });

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
