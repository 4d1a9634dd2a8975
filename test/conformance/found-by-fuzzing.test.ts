/** Where simulation and kernel, or module and kernel, once differed, as `npm run fuzz` found them: the answers are the kernel's. */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  MADV_COLD,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MAP_LOCKED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from 'node-hmm';
import { afterAll, beforeAll } from 'vitest';
import { POOL } from '../fuzz/program.js';
import { shows } from './shows.js';
import { onKernel } from './support.js';

/** vm.nr_hugepages: on a kernel the pool is made for these tests; a simulation has as many by default. */
const SETTING = '/proc/sys/vm/nr_hugepages';
let before = '';

beforeAll(() => {
  if (!onKernel) return;
  before = readFileSync(SETTING, 'utf8');
  writeFileSync(SETTING, String(POOL));
});

afterAll(() => {
  if (onKernel) writeFileSync(SETTING, before);
});

shows('a write that only one page asks for, beside a read that all do, is not forgotten', [
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x400000,
      length: 0x2000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x400000', 'p0 has 0+1024 E, 1026+1022 E'],
  ],
  [{ op: 'read', space: 0, at: 0x400000, length: 0x2000 }, ['= 8192 x 0', 'p0 has 0+1024 E, 1024+2 V =1, 1026+1022 E']],
  [{ op: 'insert', space: 0, slot: 0, at: 0x400000, length: 0x2000 }, ['= ok']],
  [
    {
      op: 'fault',
      slot: 0,
      at: 0x400000,
      length: 0x2000,
      snapshot: false,
      flags: 'read',
      mask: 'write-only',
      requests: ['none', 'write'],
      fresh: true,
    },
    [
      'n0 clear +0x401000..+0x402000 seq 3',
      'p0 clear +0x401000..+0x402000 seq 3',
      '= EBUSY; 1024 V =, 1025 VW untouched',
      'p0 has 0+1024 E, 1024 V, 1025 VW, 1026+1022 E',
    ],
  ],
]);

shows('MADV_POPULATE_WRITE takes a page back that MADV_FREE gave up: reclaim keeps it', [
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x400000,
      length: 0x2000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x400000', 'p0 has 0+1024 E, 1026+1022 E'],
  ],
  [
    { op: 'write', space: 0, at: 0x400000, length: 0x2000, seed: 7 },
    ['= ok', 'p0 has 0+1024 E, 1024+2 VW, 1026+1022 E'],
  ],
  [
    { op: 'madvise', space: 0, at: 0x400000, length: 0x2000, advice: MADV_FREE },
    ['= ok', 'p0 clear +0x400000..+0x402000 seq 3'],
  ],
  [{ op: 'madvise', space: 0, at: 0x400000, length: 0x1000, advice: MADV_POPULATE_WRITE }, ['= ok']],
  [
    { op: 'madvise', space: 0, at: 0x400000, length: 0x2000, advice: MADV_PAGEOUT },
    [
      '= ok',
      'p0 clear +0x400000..+0x401000 seq 5',
      'p0 clear +0x401000..+0x402000 seq 7',
      'p0 has 0+1024 E, 1024 VW, 1026+1022 E',
    ],
  ],
]);

shows('MADV_POPULATE_WRITE takes a huge page back that MADV_FREE gave up', [
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x400000,
      length: 0x200000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x400000', 'p0 has 0+1024 E, 1536+512 E'],
  ],
  [{ op: 'madvise', space: 0, at: 0x400000, length: 0x200000, advice: MADV_HUGEPAGE }, ['= ok']],
  [
    { op: 'write', space: 0, at: 0x400000, length: 8, seed: 7 },
    ['= ok', 'p0 has 0+1024 E, 1024+512 VW o9, 1536+512 E'],
  ],
  [
    { op: 'madvise', space: 0, at: 0x400000, length: 0x200000, advice: MADV_FREE },
    ['= ok', 'p0 clear +0x400000..+0x600000 seq 3'],
  ],
  [{ op: 'madvise', space: 0, at: 0x400000, length: 0x1000, advice: MADV_POPULATE_WRITE }, ['= ok']],
  [
    { op: 'munmap', space: 0, at: 0x5ff000, length: 0x1000 },
    [
      '= ok',
      'p0 clear +0x400000..+0x600000 seq 5',
      'p0 unmap +0x5ff000..+0x600000 seq 7',
      'p0 has 0+1024 E, 1024+511 VW, 1535+513 E',
    ],
  ],
  [
    { op: 'madvise', space: 0, at: 0x400000, length: 0x1000, advice: MADV_COLD },
    {
      '6.1': ['= ok', 'p0 clear +0x400000..+0x600000 seq 9', 'p0 clear +0x400000..+0x5ff000 seq 11'],
      '6.12': [
        '= ok',
        'p0 clear +0x400000..+0x600000 seq 9',
        'p0 clear +0x400000..+0x5ff000 seq 11',
        'p0 has 0+1024 E, 1024 VW, 1025+510 V =1, 1535+513 E',
      ],
    },
  ],
  [
    { op: 'madvise', space: 0, at: 0x400000, length: 0x2000, advice: MADV_PAGEOUT },
    {
      '6.1': ['= ok', 'p0 clear +0x400000..+0x401000 seq 13', 'p0 clear +0x401000..+0x402000 seq 15'],
      '6.12': ['= ok', 'p0 clear +0x400000..+0x401000 seq 13'],
    },
  ],
]);

shows('a huge page is split: another one at the same place in a child stays whole, though its block is cleared', [
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x400000,
      length: 0x400000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x400000', 'p0 has 0+1024 E'],
  ],
  [{ op: 'madvise', space: 0, at: 0x400000, length: 0x400000, advice: MADV_HUGEPAGE }, ['= ok']],
  [{ op: 'write', space: 0, at: 0x600000, length: 8, seed: 7 }, ['= ok', 'p0 has 0+1024 E, 1536+512 VW o9']],
  [
    { op: 'fork', space: 0 },
    [
      '= ok',
      'p0 protection-page +0x400000..+0x800000 seq 3',
      'p0 has 0+1024 E, 1536+512 V o9 s1',
      'p1 has 0+1024 E, 1536+512 V o9 s1',
    ],
  ],
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x600000,
      length: 0x200000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x600000', 'p0 unmap +0x600000..+0x800000 seq 5', 'p0 has 0+1024 E', 'p1 has 0+1024 E, 1536+512 V o9'],
  ],
  [{ op: 'madvise', space: 0, at: 0x600000, length: 0x200000, advice: MADV_HUGEPAGE }, ['= ok']],
  [{ op: 'write', space: 0, at: 0x600000, length: 8, seed: 8 }, ['= ok', 'p0 has 0+1024 E, 1536+512 VW o9']],
  [
    { op: 'madvise', space: 0, at: 0x600000, length: 0x5000, advice: MADV_COLD },
    {
      '6.1': [
        '= ok',
        'p1 clear +0x600000..+0x800000 seq 3',
        'p1 clear +0x600000..+0x800000 seq 5',
        'p0 clear +0x600000..+0x800000 seq 7',
        'p0 clear +0x600000..+0x800000 seq 9',
        'p0 has 0+1024 E, 1536+512 VW',
      ],
      '6.12': [
        '= ok',
        'p1 clear +0x600000..+0x800000 seq 3',
        'p1 clear +0x600000..+0x800000 seq 5',
        'p0 clear +0x600000..+0x800000 seq 7',
        'p0 clear +0x600000..+0x800000 seq 9',
        'p0 has 0+1024 E, 1536 VW, 1537+511 V =1',
      ],
    },
  ],
]);

shows('a move of nothing, out of a GiB that has tables, gives the target none', [
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x603000,
      length: 0x1000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x603000', 'p0 has 0+1539 E, 1540+508 E'],
  ],
  [{ op: 'write', space: 0, at: 0x603000, length: 1, seed: 1 }, ['= ok', 'p0 has 0+1539 E, 1539 VW, 1540+508 E']],
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x513000,
      length: 0x1000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x513000', 'p0 has 0+1299 E, 1300+239 E, 1539 VW, 1540+508 E'],
  ],
  [
    {
      op: 'mremap',
      space: 0,
      at: 0x513000,
      length: 0x1000,
      newLength: 0x1000,
      flags: MREMAP_MAYMOVE | MREMAP_FIXED,
      to: 0x113000,
    },
    [
      '= +0x113000',
      'p0 unmap +0x513000..+0x514000 seq 3',
      'p0 unmap +0x513000..+0x514000 seq 5',
      'p0 has 0+275 E, 276+1263 E, 1539 VW, 1540+508 E',
    ],
  ],
  [{ op: 'mprotect', space: 0, at: 0x113000, length: 0x1000, protection: PROT_READ }, ['= ok']],
]);

shows('a device that reaches for a process that has gone is told where', [
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x400000,
      length: 0x1000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'private',
      flags: 0,
    },
    ['= +0x400000', 'p0 has 0+1024 E, 1025+1023 E'],
  ],
  [{ op: 'insert', space: 0, slot: 0, at: 0x400000, length: 0x1000 }, ['= ok']],
  [
    {
      op: 'fault',
      slot: 0,
      at: 0x400000,
      length: 0x1000,
      snapshot: false,
      flags: 'write',
      mask: 'none',
      requests: [],
      fresh: true,
    },
    ['= ok; 1024 VW =', 'p0 has 0+1024 E, 1024 VW, 1025+1023 E'],
  ],
  [
    { op: 'exit', space: 0 },
    [
      'n0 release first..last seq 3',
      'n0 unmap first..last seq 5',
      '= ok',
      'p0 release first..last seq 3',
      'p0 unmap first..last seq 5',
    ],
  ],
  [{ op: 'driver', slot: 0, device: 0, at: 0x11, write: false }, ['= EFAULT at +0x400011']],
  [{ op: 'driver', slot: 0, device: 0, at: 0x11, write: true }, ['= EFAULT at +0x400011']],
]);

shows('hugetlb memory is not locked by MAP_LOCKED, only populated', [
  [
    {
      op: 'mmap',
      space: 0,
      at: 0x400000,
      length: 0x200000,
      protection: PROT_READ | PROT_WRITE,
      backing: 'hugetlb-shared',
      flags: MAP_LOCKED,
    },
    ['= +0x400000', 'p0 has 0+1024 E, 1024+512 VW o9, 1536+512 E'],
  ],
  [
    { op: 'madvise', space: 0, at: 0x400000, length: 0x200000, advice: MADV_REMOVE },
    {
      '6.1': ['= ok', 'p0 unmap +0x400000..+0x600000 seq 3', 'p0 has 0+1024 E, 1024+512 0 o9, 1536+512 E'],
      '6.12': ['= ok', 'p0 clear +0x400000..+0x600000 seq 3', 'p0 has 0+1024 E, 1024+512 0 o9, 1536+512 E'],
    },
  ],
]);
