/** Memory of MAP_HUGETLB | MAP_ANONYMOUS that goes away, or to another place: munmap, exit, madvise, mremap. Ranges are relative to BASE. */
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_PAGEOUT,
  MADV_REMOVE,
  MADV_WIPEONFORK,
  MAP_HUGETLB,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from 'node-hmm';
import { HUGE, advise, exit, fork, inChild, map, reads, refused, remap, stories, unmap, write } from './story.js';
import { hugetlbPool } from './hugetlb.js';
import { GiB, MiB, PAGE, PRIVATE, SHARED } from './support.js';

hugetlbPool();

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
