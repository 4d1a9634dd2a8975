/** Memory of MAP_HUGETLB | MAP_ANONYMOUS, in pages of 2 MiB from a pool of 64: faults, fork, mprotect. Ranges are relative to BASE. */
import { MADV_POPULATE_WRITE, MAP_HUGETLB, MAP_POPULATE, PROT_READ } from 'node-hmm';
import {
  HUGE,
  advise,
  exit,
  fault,
  fork,
  inChild,
  map,
  protect,
  reads,
  refused,
  stories,
  unmap,
  write,
} from './story.js';
import { hugetlbPool } from './hugetlb.js';
import { MiB, PAGE, PRIVATE, RW, SHARED } from './support.js';

hugetlbPool();

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
