/** Transparent huge pages under munmap() and mremap(): moved whole where both places allow it, else split. */
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from 'node-hmm';
import { HUGE, mapHuge, reads, remap, stories, unmap, write, writtenHugePage } from './story.js';
import { GiB, MiB, PAGE } from './support.js';

stories('munmap and mremap', 'transparentHugePages', [
  {
    name: 'munmap of a part: the CLEAR of the new boundary is the split',
    steps: [
      ...writtenHugePage,
      [unmap(MiB, PAGE), ['clear 0x0..0x200000', 'unmap 0x100000..0x101000'], '256 VW, 1 E, 255 VW'],
      [unmap(0, HUGE), ['unmap 0x0..0x200000'], '512 E'],
    ],
  },
  {
    name: 'munmap from the middle of one to the middle of the next',
    watch: [0, HUGE],
    steps: [
      [mapHuge(0, 2 * HUGE), [], '512 - | 512 -'],
      [write(0), [], '512 VW o9 | 512 -'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9'],
      [
        unmap(MiB, HUGE),
        ['clear 0x0..0x200000', 'clear 0x200000..0x400000', 'unmap 0x100000..0x300000'],
        '256 VW, 256 E | 256 E, 256 VW',
      ],
    ],
  },
  {
    name: 'mremap to an aligned address moves it as it is, there and back',
    watch: [0, 4 * GiB],
    steps: [
      [mapHuge(0, HUGE), [], '512 - | 512 E'],
      [write(0, 7), [], '512 VW o9 | 512 E'],
      [
        remap(0, HUGE, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED),
        ['unmap 0x0..0x200000', 'unmap 0x0..0x200000'],
        '512 E | 512 VW o9',
      ],
      [reads(4 * GiB, 7), [], '512 E | 512 VW o9'],
      [write(4 * GiB), [], '512 E | 512 VW o9'],
      [
        remap(4 * GiB, HUGE, 0, MREMAP_MAYMOVE | MREMAP_FIXED),
        ['unmap 0x100000000..0x100200000', 'unmap 0x100000000..0x100200000'],
        '512 VW o9 | 512 E',
      ],
    ],
  },
  {
    name: 'mremap of the huge zero page moves it too',
    watch: [0, 4 * GiB],
    steps: [
      [mapHuge(0, HUGE), [], '512 - | 512 E'],
      [reads(0, 0), [], '512 V o9 | 512 E'],
      [
        remap(0, HUGE, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED),
        ['unmap 0x0..0x200000', 'unmap 0x0..0x200000'],
        '512 E | 512 V o9',
      ],
      [write(4 * GiB), ['clear 0x100000000..0x100200000', 'clear 0x100000000..0x100001000'], '512 E | 1 VW, 511 V'],
    ],
  },
  {
    name: 'mremap to another offset in 2 MiB: split inside the event, and moved page by page',
    watch: [0, 4 * GiB, 4 * GiB + HUGE],
    steps: [
      [mapHuge(0, HUGE), [], '512 - | 512 E | 512 E'],
      [write(0), [], '512 VW o9 | 512 E | 512 E'],
      [
        remap(0, HUGE, 4 * GiB + PAGE, MREMAP_MAYMOVE | MREMAP_FIXED),
        ['unmap 0x0..0x200000', '+clear 0x0..0x200000', 'unmap 0x0..0x200000'],
        '512 E | 1 E, 511 VW | 1 VW, 511 E',
      ],
      [write(4 * GiB + PAGE), [], '512 E | 1 E, 511 VW | 1 VW, 511 E'],
    ],
  },
  {
    name: 'mremap of the halves of two, to the same offset in 2 MiB',
    watch: [0, HUGE, 4 * GiB, 4 * GiB + HUGE],
    steps: [
      [mapHuge(0, 2 * HUGE), [], '512 - | 512 - | 512 E | 512 E'],
      [write(0), [], '512 VW o9 | 512 - | 512 E | 512 E'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9 | 512 E | 512 E'],
      [
        remap(MiB, HUGE, 4 * GiB + MiB, MREMAP_MAYMOVE | MREMAP_FIXED),
        [
          'unmap 0x100000..0x300000',
          '+clear 0x0..0x200000',
          '+clear 0x200000..0x400000',
          'clear 0x0..0x200000',
          'clear 0x200000..0x400000',
          'unmap 0x100000..0x300000',
        ],
        '256 VW, 256 E | 256 E, 256 VW | 256 E, 256 VW | 256 VW, 256 E',
      ],
    ],
  },
  {
    name: 'MREMAP_DONTUNMAP: the old place gets a new one',
    watch: [0, 4 * GiB],
    steps: [
      [mapHuge(0, HUGE), [], '512 - | 512 E'],
      [write(0), [], '512 VW o9 | 512 E'],
      [
        remap(0, HUGE, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP),
        ['unmap 0x0..0x200000'],
        '512 - | 512 VW o9',
      ],
      [write(0), [], '512 VW o9 | 512 VW o9'],
    ],
  },
  {
    name: 'mremap that shrinks into one',
    watch: [0, HUGE],
    steps: [
      [mapHuge(0, 2 * HUGE), [], '512 - | 512 -'],
      [write(0), [], '512 VW o9 | 512 -'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9'],
      [
        remap(0, 2 * HUGE, null, MREMAP_MAYMOVE, HUGE + MiB),
        ['clear 0x200000..0x400000', 'unmap 0x300000..0x400000'],
        '512 VW o9 | 256 VW, 256 E',
      ],
    ],
  },
  {
    name: 'a whole GiB, moved by its page table',
    watch: [0, 4 * GiB, 4 * GiB + 511 * HUGE],
    steps: [
      [mapHuge(0, GiB), [], '512 - | 512 E | 512 E'],
      [write(0), [], '512 VW o9 | 512 E | 512 E'],
      [write(511 * HUGE + 511 * PAGE), [], '512 VW o9 | 512 E | 512 E'],
      [
        remap(0, GiB, 4 * GiB, MREMAP_MAYMOVE | MREMAP_FIXED),
        ['unmap 0x0..0x40000000', 'unmap 0x0..0x40000000'],
        '512 E | 512 VW o9 | 512 VW o9',
      ],
      [write(4 * GiB), [], '512 E | 512 VW o9 | 512 VW o9'],
    ],
  },
]);
