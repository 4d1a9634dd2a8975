/** What becomes of MAP_HUGETLB where the pool of 64 pages has no more. Ranges are relative to BASE. */
import { MAP_HUGETLB, MAP_NORESERVE } from 'node-hmm';
import { HUGE, exit, fork, inChild, map, refused, stories, unmap, write } from './story.js';
import { hugetlbPool } from './hugetlb.js';
import { GiB, PRIVATE, SHARED } from './support.js';

hugetlbPool();

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
