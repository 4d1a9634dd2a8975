/** Memory of MAP_HUGETLB | MAP_ANONYMOUS, in pages of 2 MiB from a pool of 64. Ranges are relative to BASE. */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_PAGEOUT,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_WIPEONFORK,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_POPULATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
} from 'node-hmm';
import { afterAll, beforeAll } from 'vitest';
import { GiB, MiB, PAGE, onKernel } from './support.js';
import {
  HUGE,
  PRIVATE,
  RW,
  SHARED,
  advise,
  exit,
  fault,
  fork,
  inChild,
  map,
  protect,
  reads,
  refused,
  remap,
  stories,
  unmap,
  write,
} from './story.js';

/** vm.nr_hugepages: on a kernel the pool is made for these tests; a simulation has as many by default. */
const POOL = '/proc/sys/vm/nr_hugepages';
const PAGES = '64';
let before = '';

beforeAll(() => {
  if (!onKernel) return;
  before = readFileSync(POOL, 'utf8');
  writeFileSync(POOL, PAGES);
  const got = readFileSync(POOL, 'utf8').trim();
  if (got !== PAGES) throw new Error(`the kernel has room for ${got} huge pages only, of ${PAGES}`);
});

afterAll(() => {
  if (onKernel) writeFileSync(POOL, before);
});

stories('faults', 'hugetlb', [
  {
    name: 'private: a read allocates, read-only; a write makes it writable without an event',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 -'],
      [reads(PAGE, 0), [], '512 V o9 | 512 - o9'],
      [write(PAGE), [], '512 VW o9 | 512 - o9'],
      [write(HUGE + 5), [], '512 VW o9 | 512 VW o9'],
    ],
  },
  {
    name: 'shared: writable from the first read on',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, SHARED | MAP_HUGETLB), [], '512 - | 512 -'],
      [reads(PAGE, 0), [], '512 VW o9 | 512 - o9'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9'],
    ],
  },
  {
    name: 'shared and read-only, then not',
    steps: [
      [map(0, HUGE, SHARED | MAP_HUGETLB, PROT_READ), [], '512 -'],
      [reads(0, 0), [], '512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], '512 VW o9'],
      [write(0), [], '512 VW o9'],
    ],
  },
  {
    name: 'MAP_POPULATE, MADV_POPULATE_WRITE',
    watch: [0, HUGE],
    steps: [
      [map(0, HUGE, PRIVATE | MAP_HUGETLB | MAP_POPULATE), [], '512 VW o9 | 512 E'],
      [map(HUGE, HUGE, PRIVATE | MAP_HUGETLB), [], '512 VW o9 | 512 - o9'],
      [advise(HUGE, HUGE, MADV_POPULATE_WRITE), [], '512 VW o9 | 512 VW o9'],
    ],
  },
  {
    name: 'a length is rounded up to whole huge pages, an address must be a multiple of one',
    steps: [
      [map(0, PAGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [write(MiB), [], '512 VW o9'],
      [refused('EINVAL', unmap(0, PAGE)), [], '512 VW o9'],
      [refused('EINVAL', map(PAGE, HUGE, PRIVATE | MAP_HUGETLB)), [], '512 VW o9'],
      [
        unmap(0, HUGE),
        { '6.1': ['unmap 0x0..0x200000', '+unmap 0x0..0x200000'], '6.12': ['unmap 0x0..0x200000'] },
        '512 E',
      ],
    ],
  },
]);

stories('hmm_range_fault', 'hugetlb', [
  {
    name: 'nothing there, no table: nothing; a table: the order, without being valid',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 -'],
      [write(0), [], '512 VW o9 | 512 - o9'],
    ],
  },
  {
    name: 'a read faults in read-only, of the first page that asks; a write needs no copy',
    steps: [
      [map(0, HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [fault(PAGE, PAGE, 'read', ['']), [], '512 V o9'],
      [fault(0, HUGE, 'write', ['']), [], '512 VW o9'],
    ],
  },
  {
    name: 'a write of nothing',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 -'],
      [fault(PAGE, HUGE, 'write', ['']), [], '512 VW o9 | 512 VW o9'],
    ],
  },
  {
    name: 'a read of shared memory is writable at once',
    steps: [
      [map(0, HUGE, SHARED | MAP_HUGETLB), [], '512 -'],
      [fault(0, PAGE, 'read', ['']), [], '512 VW o9'],
      [fault(0, PAGE, 'write', ['']), [], '512 VW o9'],
    ],
  },
  {
    name: 'a write of what a child shares: CLEAR, and EBUSY once',
    steps: [
      [map(0, HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [write(0), [], '512 VW o9'],
      [fork, ['clear 0x0..0x200000'], '512 V o9 / 512 V o9'],
      [fault(PAGE, 2 * PAGE, 'write', ['EBUSY', '']), ['clear 0x0..0x200000'], '512 VW o9 / 512 V o9'],
    ],
  },
]);

stories('fork', 'hugetlb', [
  {
    name: 'private: CLEAR of the whole mapping; a write copies with a CLEAR, and reuses when the other has gone or has its own',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 -'],
      [write(0, 1), [], '512 VW o9 | 512 - o9'],
      [write(HUGE, 2), [], '512 VW o9 | 512 VW o9'],
      [fork, ['clear 0x0..0x400000'], '512 V o9 | 512 V o9 / 512 V o9 | 512 V o9'],
      [write(PAGE), ['clear 0x0..0x200000'], '512 VW o9 | 512 V o9 / 512 V o9 | 512 V o9'],
      [inChild(write(HUGE)), ['child: clear 0x200000..0x400000'], '512 VW o9 | 512 V o9 / 512 V o9 | 512 VW o9'],
      [inChild(reads(0, 1)), [], '512 VW o9 | 512 V o9 / 512 V o9 | 512 VW o9'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9 / 512 V o9 | 512 VW o9'],
    ],
  },
  {
    name: 'private and untouched: no event',
    steps: [
      [map(0, HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [fork, [], '512 - / 512 -'],
      [inChild(write(0)), [], '512 - / 512 VW o9'],
    ],
  },
  {
    name: 'shared: no event, and one memory',
    steps: [
      [map(0, HUGE, SHARED | MAP_HUGETLB), [], '512 -'],
      [write(0, 7), [], '512 VW o9'],
      [fork, [], '512 VW o9 / 512 -'],
      [inChild(reads(0, 7)), [], '512 VW o9 / 512 VW o9'],
      [inChild(write(1, 8)), [], '512 VW o9 / 512 VW o9'],
      [reads(1, 8), [], '512 VW o9 / 512 VW o9'],
    ],
  },
  {
    name: 'after the child has gone the page is reused',
    steps: [
      [map(0, HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [write(0), [], '512 VW o9'],
      [fork, ['clear 0x0..0x200000'], '512 V o9 / 512 V o9'],
      [
        inChild(exit),
        {
          '6.1': ['child: release first..last', 'child: unmap first..last', 'child: +unmap 0x0..0x200000'],
          '6.12': ['child: release first..last', 'child: unmap first..last'],
        },
        '512 V o9',
      ],
      [write(0), [], '512 VW o9'],
    ],
  },
]);

stories('mprotect', 'hugetlb', [
  {
    name: 'one event, even if nothing was ever touched',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 -'],
      [protect(0, 2 * HUGE, PROT_READ), ['protection-vma 0x0..0x400000'], '512 - | 512 -'],
      [protect(0, 2 * HUGE, RW), ['protection-vma 0x0..0x400000'], '512 - | 512 -'],
    ],
  },
  {
    name: 'private: writable again at the next write',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 -'],
      [write(0), [], '512 VW o9 | 512 - o9'],
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V o9 | 512 - o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], '512 V o9 | 512 - o9'],
      [write(0), [], '512 VW o9 | 512 - o9'],
      [
        protect(0, 2 * HUGE, PROT_READ),
        ['protection-vma 0x0..0x200000', 'protection-vma 0x200000..0x400000'],
        '512 V o9 | 512 - o9',
      ],
    ],
  },
  {
    name: 'shared: writable again at once',
    steps: [
      [map(0, HUGE, SHARED | MAP_HUGETLB), [], '512 -'],
      [write(0), [], '512 VW o9'],
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], '512 VW o9'],
    ],
  },
  {
    name: 'a part of a huge page: EINVAL',
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [refused('EINVAL', protect(0, PAGE, PROT_READ)), [], '512 -'],
      [refused('EINVAL', protect(PAGE, PAGE, PROT_READ)), [], '512 -'],
    ],
  },
]);

stories('munmap, mmap, exit', 'hugetlb', [
  {
    name: 'UNMAP of the range; in 6.1 nested ones of the parts of each mapping',
    watch: [0, HUGE, 2 * HUGE],
    steps: [
      [map(0, 3 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 - | 512 -'],
      [write(0), [], '512 VW o9 | 512 - o9 | 512 - o9'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9 | 512 - o9'],
      [write(2 * HUGE), [], '512 VW o9 | 512 VW o9 | 512 VW o9'],
      [
        unmap(HUGE, HUGE),
        { '6.1': ['unmap 0x200000..0x400000', '+unmap 0x200000..0x400000'], '6.12': ['unmap 0x200000..0x400000'] },
        '512 VW o9 | 512 E | 512 VW o9',
      ],
      [map(4 * HUGE, PAGE), [], '512 VW o9 | 512 E | 512 VW o9'],
      [
        unmap(0, 5 * HUGE),
        {
          '6.1': ['unmap 0x0..0xa00000', '+unmap 0x0..0x200000', '+unmap 0x400000..0x600000'],
          '6.12': ['unmap 0x0..0xa00000'],
        },
        '512 E | 512 E | 512 E',
      ],
    ],
  },
  {
    name: 'a part of a huge page: EINVAL, and MAP_FIXED over one the same, which 6.1 calls ENOMEM',
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [refused('EINVAL', unmap(PAGE, HUGE)), [], '512 -'],
      [refused({ '6.1': 'ENOMEM', '6.12': 'EINVAL' }, map(PAGE, PAGE)), [], '512 -'],
      [
        map(HUGE, HUGE),
        { '6.1': ['unmap 0x200000..0x400000', '+unmap 0x200000..0x400000'], '6.12': ['unmap 0x200000..0x400000'] },
        '512 -',
      ],
    ],
  },
  {
    name: 'exit',
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [map(4 * HUGE, HUGE, SHARED | MAP_HUGETLB), [], '512 -'],
      [write(0), [], '512 VW o9'],
      [
        exit,
        {
          '6.1': ['release first..last', 'unmap first..last', '+unmap 0x0..0x400000', '+unmap 0x800000..0xa00000'],
          '6.12': ['release first..last', 'unmap first..last'],
        },
        '',
      ],
    ],
  },
]);

stories('madvise', 'hugetlb', [
  {
    name: 'DONTNEED: the end is rounded down to a whole huge page, the start must be one',
    watch: [0, HUGE, 2 * HUGE],
    steps: [
      [map(0, 3 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 - | 512 -'],
      [write(0, 1), [], '512 VW o9 | 512 - o9 | 512 - o9'],
      [write(HUGE, 2), [], '512 VW o9 | 512 VW o9 | 512 - o9'],
      [
        advise(0, HUGE + MiB, MADV_DONTNEED),
        { '6.1': ['clear 0x0..0x200000', '+unmap 0x0..0x200000'], '6.12': ['clear 0x0..0x200000'] },
        '512 - o9 | 512 VW o9 | 512 - o9',
      ],
      [refused('EINVAL', advise(PAGE, HUGE, MADV_DONTNEED)), [], '512 - o9 | 512 VW o9 | 512 - o9'],
      [advise(HUGE, PAGE, MADV_DONTNEED), [], '512 - o9 | 512 VW o9 | 512 - o9'],
      [reads(HUGE, 2), [], '512 - o9 | 512 VW o9 | 512 - o9'],
      [reads(0, 0), [], '512 V o9 | 512 VW o9 | 512 - o9'],
    ],
  },
  {
    name: 'DONTNEED of shared memory keeps the bytes',
    steps: [
      [map(0, HUGE, SHARED | MAP_HUGETLB), [], '512 -'],
      [write(0, 9), [], '512 VW o9'],
      [
        advise(0, HUGE, MADV_DONTNEED),
        { '6.1': ['clear 0x0..0x200000', '+unmap 0x0..0x200000'], '6.12': ['clear 0x0..0x200000'] },
        '512 - o9',
      ],
      [reads(0, 9), [], '512 VW o9'],
    ],
  },
  {
    name: 'REMOVE punches whole pages out for every process, and zeroes parts of others',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE, SHARED | MAP_HUGETLB), [], '512 - | 512 -'],
      [write(0, 1), [], '512 VW o9 | 512 - o9'],
      [write(HUGE + PAGE, 2), [], '512 VW o9 | 512 VW o9'],
      [write(HUGE + MiB, 3), [], '512 VW o9 | 512 VW o9'],
      [fork, [], '512 VW o9 | 512 VW o9 / 512 - | 512 -'],
      [inChild(reads(HUGE + PAGE, 2)), [], '512 VW o9 | 512 VW o9 / 512 - o9 | 512 VW o9'],
      [advise(MiB, 257 * PAGE, MADV_REMOVE), [], '512 VW o9 | 512 VW o9 / 512 - o9 | 512 VW o9'],
      [reads(HUGE + PAGE, 2), [], '512 VW o9 | 512 VW o9 / 512 - o9 | 512 VW o9'],
      [
        advise(HUGE, HUGE, MADV_REMOVE),
        {
          '6.1': ['unmap 0x200000..0x400000', 'child: unmap 0x200000..0x400000'],
          '6.12': ['clear 0x200000..0x400000', 'child: clear 0x200000..0x400000'],
        },
        '512 VW o9 | 512 - o9 / 512 - o9 | 512 - o9',
      ],
      [reads(HUGE + MiB, 0), [], '512 VW o9 | 512 VW o9 / 512 - o9 | 512 - o9'],
    ],
  },
  {
    name: 'FREE, COLD, PAGEOUT, COLLAPSE, WIPEONFORK: EINVAL',
    steps: [
      [map(0, HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [write(0), [], '512 VW o9'],
      [refused('EINVAL', advise(0, HUGE, MADV_FREE)), [], '512 VW o9'],
      [refused('EINVAL', advise(0, HUGE, MADV_COLD)), [], '512 VW o9'],
      [refused('EINVAL', advise(0, HUGE, MADV_PAGEOUT)), [], '512 VW o9'],
      [refused('EINVAL', advise(0, HUGE, MADV_COLLAPSE)), [], '512 VW o9'],
      [refused('EINVAL', advise(0, HUGE, MADV_WIPEONFORK)), [], '512 VW o9'],
    ],
  },
]);

stories('mremap', 'hugetlb', [
  {
    name: 'a move: CLEAR, not UNMAP, and then UNMAP of the old place',
    watch: [0, HUGE, 4 * GiB],
    steps: [
      [map(0, 2 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 - | 512 E'],
      [write(0, 8), [], '512 VW o9 | 512 - o9 | 512 E'],
      [write(HUGE, 9), [], '512 VW o9 | 512 VW o9 | 512 E'],
      [
        remap(0, HUGE, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED),
        {
          '6.1': ['clear 0x0..0x200000', 'unmap 0x0..0x200000', '+unmap 0x0..0x200000'],
          '6.12': ['clear 0x0..0x200000', 'unmap 0x0..0x200000'],
        },
        '512 E | 512 VW o9 | 512 VW o9',
      ],
      [reads(4 * GiB, 8), [], '512 E | 512 VW o9 | 512 VW o9'],
      [write(4 * GiB), [], '512 E | 512 VW o9 | 512 VW o9'],
    ],
  },
  {
    name: 'a move of shared memory',
    watch: [0, 4 * GiB],
    steps: [
      [map(0, HUGE, SHARED | MAP_HUGETLB), [], '512 - | 512 E'],
      [write(0, 8), [], '512 VW o9 | 512 E'],
      [
        remap(0, HUGE, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED),
        {
          '6.1': ['clear 0x0..0x200000', 'unmap 0x0..0x200000', '+unmap 0x0..0x200000'],
          '6.12': ['clear 0x0..0x200000', 'unmap 0x0..0x200000'],
        },
        '512 E | 512 VW o9',
      ],
      [reads(4 * GiB, 8), [], '512 E | 512 VW o9'],
    ],
  },
  {
    name: 'shrinking, by whole huge pages',
    watch: [0, HUGE],
    steps: [
      [map(0, 3 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 - | 512 -'],
      [write(HUGE), [], '512 - o9 | 512 VW o9'],
      [
        remap(0, 3 * HUGE, null, MREMAP_MAYMOVE, HUGE + PAGE),
        { '6.1': ['unmap 0x400000..0x600000', '+unmap 0x400000..0x600000'], '6.12': ['unmap 0x400000..0x600000'] },
        '512 - o9 | 512 VW o9',
      ],
    ],
  },
  {
    name: 'growing, MREMAP_DONTUNMAP, and what is not of whole huge pages: EINVAL',
    steps: [
      [map(0, HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [refused('EINVAL', remap(0, HUGE, null, MREMAP_MAYMOVE, 2 * HUGE)), [], '512 -'],
      [refused('EINVAL', remap(0, HUGE, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)), [], '512 -'],
      [refused('EINVAL', remap(0, HUGE, 4 * GiB + PAGE, MREMAP_MAYMOVE | MREMAP_FIXED)), [], '512 -'],
      [refused('EINVAL', remap(PAGE, HUGE, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED)), [], '512 -'],
    ],
  },
]);

stories('the pool', 'hugetlb', [
  {
    name: 'more than there is: ENOMEM, after the UNMAP of what might have been mapped',
    steps: [
      [refused('ENOMEM', map(0, 65 * HUGE, PRIVATE | MAP_HUGETLB)), ['unmap 0x0..0x8200000'], '512 E'],
      [map(0, 64 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [refused('ENOMEM', map(GiB, HUGE, SHARED | MAP_HUGETLB)), ['unmap 0x40000000..0x40200000'], '512 -'],
    ],
  },
  {
    name: 'without a reservation it is the fault that fails, with SIGBUS',
    watch: [GiB],
    steps: [
      [map(0, 64 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 E'],
      [map(GiB, HUGE, PRIVATE | MAP_HUGETLB | MAP_NORESERVE), [], '512 -'],
      [refused('EFAULT', write(GiB)), [], '512 - o9'],
      [
        unmap(0, 64 * HUGE),
        { '6.1': ['unmap 0x0..0x8000000', '+unmap 0x0..0x8000000'], '6.12': ['unmap 0x0..0x8000000'] },
        '512 - o9',
      ],
      [write(GiB), [], '512 VW o9'],
    ],
  },
  {
    name: 'a child has no reservation',
    steps: [
      [map(0, 64 * HUGE, PRIVATE | MAP_HUGETLB), [], '512 -'],
      [write(0), [], '512 VW o9'],
      [fork, ['clear 0x0..0x8000000'], '512 V o9 / 512 V o9'],
      [inChild(refused('EFAULT', write(0))), [], '512 V o9 / 512 V o9'],
      [inChild(refused('EFAULT', write(HUGE))), [], '512 V o9 / 512 V o9'],
      [
        inChild(exit),
        {
          '6.1': ['child: release first..last', 'child: unmap first..last', 'child: +unmap 0x0..0x8000000'],
          '6.12': ['child: release first..last', 'child: unmap first..last'],
        },
        '512 V o9',
      ],
      [write(0), [], '512 VW o9'],
    ],
  },
]);
