/** Transparent huge pages under madvise(): what splits the PMD, what the whole folio, and what puts small pages together again. */
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  PROT_READ,
} from 'node-hmm';
import {
  HUGE,
  advise,
  exit,
  fork,
  forkedHugePage,
  hugeZeroPage,
  inChild,
  map,
  mapHuge,
  protect,
  reads,
  refused,
  stories,
  write,
  writtenHugePage,
} from './story.js';
import { MiB, PAGE, RW } from './support.js';

stories('madvise', 'transparentHugePages', [
  {
    name: 'DONTNEED of all of it',
    steps: [
      ...writtenHugePage,
      [advise(0, HUGE, MADV_DONTNEED), ['clear 0x0..0x200000'], '512 -'],
      [reads(0, 0), [], '512 V o9'],
    ],
  },
  {
    name: 'DONTNEED of a part: the PMD is split inside the event, and the rest stays',
    steps: [
      ...writtenHugePage,
      [
        advise(4 * PAGE, 3 * PAGE, MADV_DONTNEED),
        ['clear 0x4000..0x7000', '+clear 0x0..0x200000'],
        '4 VW, 3 -, 505 VW',
      ],
      [write(4 * PAGE), [], '5 VW, 2 -, 505 VW'],
      [write(8 * PAGE), [], '5 VW, 2 -, 505 VW'],
    ],
  },
  {
    name: 'DONTNEED of parts of two and all of one in between',
    watch: [0, HUGE, 2 * HUGE],
    steps: [
      [mapHuge(0, 3 * HUGE), [], '512 - | 512 - | 512 -'],
      [write(0), [], '512 VW o9 | 512 - | 512 -'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9 | 512 -'],
      [write(2 * HUGE), [], '512 VW o9 | 512 VW o9 | 512 VW o9'],
      [
        advise(MiB, 2 * HUGE, MADV_DONTNEED),
        ['clear 0x100000..0x500000', '+clear 0x0..0x200000', '+clear 0x400000..0x600000'],
        '256 VW, 256 - | 512 - | 256 -, 256 VW',
      ],
    ],
  },
  {
    name: 'DONTNEED of a part of the huge zero page',
    steps: [
      ...hugeZeroPage,
      [advise(4 * PAGE, 3 * PAGE, MADV_DONTNEED), ['clear 0x4000..0x7000', '+clear 0x0..0x200000'], '4 V, 3 -, 505 V'],
    ],
  },
  {
    name: 'FREE of all of it: clean, and still writable and huge',
    steps: [
      ...writtenHugePage,
      [advise(0, HUGE, MADV_FREE), ['clear 0x0..0x200000'], '512 VW o9'],
      [write(0), [], '512 VW o9'],
    ],
  },
  {
    name: 'FREE of a part splits the folio: two events nested; 6.12 puts the zero page where only zeroes were',
    steps: [
      [mapHuge(0, HUGE), [], '512 -'],
      [write(0, 1), [], '512 VW o9'],
      [write(5 * PAGE, 2), [], '512 VW o9'],
      [write(511 * PAGE, 3), [], '512 VW o9'],
      [
        advise(4 * PAGE, 3 * PAGE, MADV_FREE),
        ['clear 0x4000..0x7000', '+clear 0x0..0x200000', '+clear 0x0..0x200000'],
        { '6.1': '512 VW', '6.12': '1 VW, 4 V, 1 VW, 505 V, 1 VW' },
      ],
      [reads(5 * PAGE, 2), [], { '6.1': '512 VW', '6.12': '1 VW, 4 V, 1 VW, 505 V, 1 VW' }],
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V'],
      [
        protect(0, HUGE, RW),
        ['protection-vma 0x0..0x200000'],
        { '6.1': '4 VW, 3 V, 505 VW', '6.12': '1 VW, 4 V, 1 VW, 505 V, 1 VW' },
      ],
      [
        write(4 * PAGE),
        { '6.1': [], '6.12': ['clear 0x4000..0x5000'] },
        { '6.1': '5 VW, 2 V, 505 VW', '6.12': '1 VW, 3 V, 2 VW, 505 V, 1 VW' },
      ],
    ],
  },
  {
    name: 'FREE of a part of the huge zero page: no split',
    steps: [...hugeZeroPage, [advise(4 * PAGE, 3 * PAGE, MADV_FREE), ['clear 0x4000..0x7000'], '512 V o9']],
  },
  {
    name: 'FREE of all of one that PTEs map: 6.12 keeps the folio, 6.1 splits it',
    watch: [0, HUGE],
    steps: [
      [mapHuge(0, 2 * HUGE), [], '512 - | 512 -'],
      [write(0), [], '512 VW o9 | 512 -'],
      [
        protect(PAGE, PAGE, PROT_READ),
        ['clear 0x0..0x200000', 'protection-vma 0x1000..0x2000'],
        '1 VW, 1 V, 510 VW | 512 -',
      ],
      [
        protect(PAGE, PAGE, RW),
        ['protection-vma 0x1000..0x2000'],
        { '6.1': '1 VW, 1 V, 510 VW | 512 -', '6.12': '512 VW | 512 -' },
      ],
      [
        advise(0, HUGE, MADV_FREE),
        {
          '6.1': ['clear 0x0..0x200000', '+clear 0x0..0x200000', '+clear 0x0..0x200000'],
          '6.12': ['clear 0x0..0x200000'],
        },
        { '6.1': '1 VW, 1 V, 510 VW | 512 -', '6.12': '512 VW | 512 -' },
      ],
    ],
  },
  {
    name: 'FREE of a part of one that a child shares: nothing',
    steps: [
      ...forkedHugePage,
      [advise(4 * PAGE, 8 * PAGE, MADV_FREE), ['clear 0x4000..0xc000'], '512 V o9 / 512 V o9'],
      [inChild(exit), ['child: release first..last', 'child: unmap first..last'], '512 V o9'],
      [
        advise(4 * PAGE, 8 * PAGE, MADV_FREE),
        ['clear 0x4000..0xc000', '+clear 0x0..0x200000', '+clear 0x0..0x200000'],
        '512 V',
      ],
    ],
  },
  {
    name: 'FREE in the middle, after the first page has gone: 6.1 takes it for shared',
    steps: [
      ...writtenHugePage,
      [advise(0, PAGE, MADV_DONTNEED), ['clear 0x0..0x1000', '+clear 0x0..0x200000'], '1 -, 511 VW'],
      [
        advise(8 * PAGE, 3 * PAGE, MADV_FREE),
        {
          '6.1': ['clear 0x8000..0xb000'],
          '6.12': ['clear 0x8000..0xb000', '+clear 0x0..0x200000', '+clear 0x0..0x200000'],
        },
        { '6.1': '1 -, 511 VW', '6.12': '1 -, 511 V' },
      ],
    ],
  },
  {
    name: 'COLD of all of it: nothing; of a part: the folio is split, by two events that are not nested',
    steps: [
      [mapHuge(0, HUGE), [], '512 -'],
      [write(0, 1), [], '512 VW o9'],
      [write(9 * PAGE, 2), [], '512 VW o9'],
      [advise(0, HUGE, MADV_COLD), [], '512 VW o9'],
      [
        advise(4 * PAGE, 8 * PAGE, MADV_COLD),
        ['clear 0x0..0x200000', 'clear 0x0..0x200000'],
        { '6.1': '512 VW', '6.12': '1 VW, 8 V, 1 VW, 502 V' },
      ],
      [reads(9 * PAGE, 2), [], { '6.1': '512 VW', '6.12': '1 VW, 8 V, 1 VW, 502 V' }],
      [
        write(3 * PAGE),
        { '6.1': [], '6.12': ['clear 0x3000..0x4000'] },
        { '6.1': '512 VW', '6.12': '1 VW, 2 V, 1 VW, 5 V, 1 VW, 502 V' },
      ],
    ],
  },
  {
    name: 'COLD of a part after the parent has unmapped it: only the child is told, and its own VMA alone is walked',
    steps: [
      ...forkedHugePage,
      [advise(0, HUGE, MADV_DONTNEED), ['clear 0x0..0x200000'], '512 - / 512 V o9'],
      [
        inChild(advise(4 * PAGE, 8 * PAGE, MADV_COLD)),
        ['clear 0x0..0x200000', 'clear 0x0..0x200000', 'child: clear 0x0..0x200000', 'child: clear 0x0..0x200000'],
        '512 - / 512 V',
      ],
    ],
  },
  {
    name: 'COLD of a part after the child has unmapped it: the walk ends when nothing maps it any more',
    steps: [
      ...forkedHugePage,
      [inChild(advise(0, HUGE, MADV_DONTNEED)), ['child: clear 0x0..0x200000'], '512 V o9 / 512 -'],
      [advise(4 * PAGE, 8 * PAGE, MADV_COLD), ['clear 0x0..0x200000', 'clear 0x0..0x200000'], '512 V / 512 -'],
    ],
  },
  {
    name: 'PAGEOUT without swap splits it, and all pages stay',
    steps: [
      [mapHuge(0, HUGE), [], '512 -'],
      [write(9 * PAGE), [], '512 VW o9'],
      [
        advise(0, HUGE, MADV_PAGEOUT),
        ['clear 0x0..0x200000', 'clear 0x0..0x200000'],
        { '6.1': '512 VW', '6.12': '9 V, 1 VW, 502 V' },
      ],
    ],
  },
  {
    name: 'DONTFORK of a part is a boundary, and so splits the PMD',
    steps: [
      ...writtenHugePage,
      [advise(MiB, PAGE, MADV_DONTFORK), ['clear 0x0..0x200000'], '512 VW'],
      [write(PAGE), [], '512 VW'],
    ],
  },
]);

stories('MADV_COLLAPSE', 'transparentHugePages', [
  {
    name: 'one CLEAR, whatever sysfs says; the bytes stay',
    steps: [
      [map(0, HUGE), [], '512 -'],
      [write(0, 1), [], '1 VW, 511 -'],
      [write(3 * PAGE, 2), [], '1 VW, 2 -, 1 VW, 508 -'],
      [write(511 * PAGE, 3), [], '1 VW, 2 -, 1 VW, 507 -, 1 VW'],
      [reads(7 * PAGE, 0), [], '1 VW, 2 -, 1 VW, 3 -, 1 V, 503 -, 1 VW'],
      [advise(0, HUGE, MADV_COLLAPSE), ['clear 0x0..0x200000'], '512 VW o9'],
      [reads(511 * PAGE, 3), [], '512 VW o9'],
      [reads(7 * PAGE, 0), [], '512 VW o9'],
      [write(8 * PAGE), [], '512 VW o9'],
      [advise(0, HUGE, MADV_COLLAPSE), [], '512 VW o9'],
    ],
  },
  {
    name: 'refused without a page that is writable',
    steps: [
      [map(0, HUGE), [], '512 -'],
      [refused('EINVAL', advise(0, HUGE, MADV_COLLAPSE)), [], '512 -'],
      [reads(0, 0), [], '1 V, 511 -'],
      [refused('EINVAL', advise(0, HUGE, MADV_COLLAPSE)), [], '1 V, 511 -'],
      [write(PAGE), [], '1 V, 1 VW, 510 -'],
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '2 V, 510 -'],
      [refused('EINVAL', advise(0, HUGE, MADV_COLLAPSE)), [], '2 V, 510 -'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], '1 V, 1 VW, 510 -'],
      [advise(0, HUGE, MADV_COLLAPSE), ['clear 0x0..0x200000'], '512 VW o9'],
    ],
  },
  {
    name: 'ends at a block that has nothing',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE), [], '512 - | 512 -'],
      [write(HUGE), [], '512 - | 1 VW, 511 -'],
      [refused('EINVAL', advise(0, 2 * HUGE, MADV_COLLAPSE)), [], '512 - | 1 VW, 511 -'],
      [advise(HUGE, HUGE, MADV_COLLAPSE), ['clear 0x200000..0x400000'], '512 - | 512 VW o9'],
    ],
  },
  {
    name: 'goes on behind a block that has nothing to write to, and says so at the end',
    watch: [0, HUGE, 2 * HUGE],
    steps: [
      [map(0, 3 * HUGE), [], '512 - | 512 - | 512 -'],
      [write(0), [], '1 VW, 511 - | 512 - | 512 -'],
      [reads(HUGE, 0), [], '1 VW, 511 - | 1 V, 511 - | 512 -'],
      [write(2 * HUGE), [], '1 VW, 511 - | 1 V, 511 - | 1 VW, 511 -'],
      [
        refused('EINVAL', advise(0, 3 * HUGE, MADV_COLLAPSE)),
        ['clear 0x0..0x200000', 'clear 0x400000..0x600000'],
        '512 VW o9 | 1 V, 511 - | 512 VW o9',
      ],
    ],
  },
  {
    name: 'only blocks that lie wholly in the range count',
    steps: [
      [map(0, 2 * HUGE), [], '512 -'],
      [write(0), [], '1 VW, 511 -'],
      [refused('EINVAL', advise(PAGE, 510 * PAGE, MADV_COLLAPSE)), [], '1 VW, 511 -'],
      [refused('EINVAL', advise(PAGE, PAGE, MADV_COLLAPSE)), [], '1 VW, 511 -'],
      [advise(0, PAGE, MADV_COLLAPSE), [], '1 VW, 511 -'],
    ],
  },
  {
    name: 'refused with MADV_NOHUGEPAGE',
    steps: [
      [map(0, HUGE), [], '512 -'],
      [write(0), [], '1 VW, 511 -'],
      [advise(0, HUGE, MADV_NOHUGEPAGE), [], '1 VW, 511 -'],
      [refused('EINVAL', advise(0, HUGE, MADV_COLLAPSE)), [], '1 VW, 511 -'],
    ],
  },
  {
    name: 'the huge zero page is huge already',
    steps: [
      ...hugeZeroPage,
      [advise(0, HUGE, MADV_COLLAPSE), [], '512 V o9'],
      [write(0), ['clear 0x0..0x200000', 'clear 0x0..0x1000'], '1 VW, 511 V'],
      [advise(0, HUGE, MADV_COLLAPSE), ['clear 0x0..0x200000'], '512 VW o9'],
    ],
  },
  {
    name: 'what a child shares is copied, once one page of it is its own',
    steps: [
      [map(0, HUGE), [], '512 -'],
      [write(0, 1), [], '1 VW, 511 -'],
      [write(PAGE, 2), [], '2 VW, 510 -'],
      [fork, ['protection-page 0x0..0x200000'], '2 V, 510 - / 2 V, 510 -'],
      [refused('EINVAL', advise(0, HUGE, MADV_COLLAPSE)), [], '2 V, 510 - / 2 V, 510 -'],
      [write(0), ['clear 0x0..0x1000'], '1 VW, 1 V, 510 - / 2 V, 510 -'],
      [advise(0, HUGE, MADV_COLLAPSE), ['clear 0x0..0x200000'], '512 VW o9 / 2 V, 510 -'],
      [inChild(reads(PAGE, 2)), [], '512 VW o9 / 2 V, 510 -'],
    ],
  },
  {
    name: 'one that was split comes together again',
    steps: [
      ...writtenHugePage,
      [advise(PAGE, PAGE, MADV_DONTNEED), ['clear 0x1000..0x2000', '+clear 0x0..0x200000'], '1 VW, 1 -, 510 VW'],
      [advise(0, HUGE, MADV_COLLAPSE), ['clear 0x0..0x200000'], '512 VW o9'],
      [write(PAGE), [], '512 VW o9'],
    ],
  },
]);
