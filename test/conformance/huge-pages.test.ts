/**
 * Transparent huge pages: when a fault makes one, what hmm_range_fault says of it, and what takes it apart. Ranges are relative to
 * BASE; transparent_hugepage/enabled is `madvise`, and khugepaged does not run.
 */
import {
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  PROT_NONE,
  PROT_READ,
} from 'node-hmm';
import {
  HUGE,
  advise,
  exit,
  fault,
  fork,
  forkedHugePage,
  hugeZeroPage,
  inChild,
  map,
  mapHuge,
  protect,
  reads,
  stories,
  unmap,
  write,
  writtenHugePage,
} from './story.js';
import { MiB, PAGE, PRIVATE, RW, SHARED } from './support.js';

stories('faults', 'transparentHugePages', [
  {
    name: 'a write maps a whole block, where MADV_HUGEPAGE was given',
    watch: [0, HUGE],
    steps: [
      [mapHuge(0, 2 * HUGE), [], '512 - | 512 -'],
      [write(5 * PAGE), [], '512 VW o9 | 512 -'],
      [write(7 * PAGE), [], '512 VW o9 | 512 -'],
      [write(HUGE), [], '512 VW o9 | 512 VW o9'],
      [unmap(0, 2 * HUGE), ['unmap 0x0..0x400000'], '512 E | 512 E'],
    ],
  },
  {
    name: 'a read maps the huge zero page; a write to that splits it, and copies one page',
    steps: [
      ...hugeZeroPage,
      [write(3 * PAGE), ['clear 0x0..0x200000', 'clear 0x3000..0x4000'], '3 V, 1 VW, 508 V'],
      [write(4 * PAGE), ['clear 0x4000..0x5000'], '3 V, 2 VW, 507 V'],
      [reads(5 * PAGE, 0), [], '3 V, 2 VW, 507 V'],
    ],
  },
  {
    name: 'none without the advice, with MADV_NOHUGEPAGE, or for shared memory',
    watch: [0, HUGE, 2 * HUGE],
    steps: [
      [map(0, 3 * HUGE), [], '512 - | 512 - | 512 -'],
      [advise(HUGE, HUGE, MADV_NOHUGEPAGE), [], '512 - | 512 - | 512 -'],
      [write(0), [], '1 VW, 511 - | 512 - | 512 -'],
      [write(HUGE), [], '1 VW, 511 - | 1 VW, 511 - | 512 -'],
      [map(2 * HUGE, HUGE, SHARED), ['unmap 0x400000..0x600000'], '1 VW, 511 - | 1 VW, 511 - | 512 -'],
      [advise(2 * HUGE, HUGE, MADV_HUGEPAGE), [], '1 VW, 511 - | 1 VW, 511 - | 512 -'],
      [write(2 * HUGE), [], '1 VW, 511 - | 1 VW, 511 - | 1 VW, 511 -'],
    ],
  },
  {
    name: 'none where the block does not lie wholly in the mapping',
    steps: [
      [mapHuge(PAGE, HUGE), [], '1 E, 511 -'],
      [write(PAGE), [], '1 E, 1 VW, 510 -'],
      [write(HUGE), [], '1 E, 1 VW, 510 -'],
    ],
  },
  {
    name: 'none in a block that has a page table, even one that has become empty; one again in a block that was unmapped as a whole',
    watch: [0, HUGE],
    steps: [
      [map(0, 2 * HUGE), [], '512 - | 512 -'],
      [write(0), [], '1 VW, 511 - | 512 -'],
      [advise(0, 2 * HUGE, MADV_HUGEPAGE), [], '1 VW, 511 - | 512 -'],
      [write(HUGE), [], '1 VW, 511 - | 512 VW o9'],
      [advise(0, 2 * HUGE, MADV_DONTNEED), ['clear 0x0..0x400000'], '512 - | 512 -'],
      [write(0), [], '1 VW, 511 - | 512 -'],
      [write(HUGE), [], '1 VW, 511 - | 512 VW o9'],
    ],
  },
  {
    name: 'a mapping made writable later: huge zero page first, then a split',
    steps: [
      [map(0, HUGE, PRIVATE, PROT_READ), [], '512 -'],
      [advise(0, HUGE, MADV_HUGEPAGE), [], '512 -'],
      [reads(0, 0), [], '512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], '512 V o9'],
      [write(0), ['clear 0x0..0x200000', 'clear 0x0..0x1000'], '1 VW, 511 V'],
    ],
  },
  {
    name: 'MADV_NOHUGEPAGE leaves what is there',
    steps: [
      ...writtenHugePage,
      [advise(0, HUGE, MADV_NOHUGEPAGE), [], '512 VW o9'],
      [write(PAGE), [], '512 VW o9'],
      [advise(0, HUGE, MADV_DONTNEED), ['clear 0x0..0x200000'], '512 -'],
      [write(0), [], '1 VW, 511 -'],
    ],
  },
  {
    name: 'POPULATE_WRITE: huge where nothing is; over the huge zero page a copy of each page',
    watch: [0, HUGE],
    steps: [
      [mapHuge(0, 2 * HUGE), [], '512 - | 512 -'],
      [reads(HUGE, 0), [], '512 - | 512 V o9'],
      [advise(0, 4 * PAGE, MADV_POPULATE_WRITE), [], '512 VW o9 | 512 V o9'],
      [
        advise(HUGE, 4 * PAGE, MADV_POPULATE_WRITE),
        ['clear 0x200000..0x400000', 'clear 0x200000..0x201000, and the same of the next 3 pages'],
        '512 VW o9 | 4 VW, 508 V',
      ],
      [advise(0, 2 * HUGE, MADV_POPULATE_READ), [], '512 VW o9 | 4 VW, 508 V'],
    ],
  },
]);

stories('hmm_range_fault', 'transparentHugePages', [
  {
    name: 'a read faults the huge zero page in, with its order; a write of one page then answers EBUSY once',
    steps: [
      [mapHuge(0, HUGE), [], '512 -'],
      [fault(0, HUGE, 'read', ['']), [], '512 V o9'],
      [fault(PAGE, PAGE, 'write', ['EBUSY', '']), ['clear 0x0..0x200000', 'clear 0x1000..0x2000'], '1 V, 1 VW, 510 V'],
    ],
  },
  {
    name: 'a write of nothing: a huge page at once',
    steps: [
      [mapHuge(0, HUGE), [], '512 -'],
      [fault(PAGE, 2 * PAGE, 'write', ['']), [], '512 VW o9'],
      [fault(0, HUGE, 'write', ['']), [], '512 VW o9'],
    ],
  },
  {
    name: 'a write over all of the huge zero page: a split, and a copy of each page',
    steps: [
      ...hugeZeroPage,
      [
        fault(0, HUGE, 'write', ['EBUSY', '']),
        ['clear 0x0..0x200000', 'clear 0x0..0x1000, and the same of the next 511 pages'],
        '512 VW',
      ],
    ],
  },
  {
    name: 'a write of what a child shares: a split, and copies from there to the end of the range',
    steps: [
      ...forkedHugePage,
      [
        fault(510 * PAGE, 2 * PAGE, 'write', ['EBUSY', '']),
        ['clear 0x0..0x200000', 'clear 0x1fe000..0x1ff000', 'clear 0x1ff000..0x200000'],
        '510 V, 2 VW / 512 V o9',
      ],
    ],
  },
  {
    name: 'a write of a huge page that is read-only: EPERM while the mapping is, and no event when it is not',
    steps: [
      ...writtenHugePage,
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V o9'],
      [fault(0, HUGE, 'write', ['EPERM']), [], '512 V o9'],
      [fault(0, HUGE, 'read', ['']), [], '512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], { '6.1': '512 V o9', '6.12': '512 VW o9' }],
      [fault(0, HUGE, 'write', ['']), [], '512 VW o9'],
    ],
  },
]);

stories('mprotect', 'transparentHugePages', [
  {
    name: 'read-only and back: 6.12 makes it writable at once, 6.1 at the next write, which sends nothing',
    steps: [
      ...writtenHugePage,
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], { '6.1': '512 V o9', '6.12': '512 VW o9' }],
      [write(0), [], '512 VW o9'],
    ],
  },
  {
    name: 'PROT_NONE and back',
    steps: [
      ...writtenHugePage,
      [protect(0, HUGE, PROT_NONE), ['protection-vma 0x0..0x200000'], '512 E'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], { '6.1': '512 V o9', '6.12': '512 VW o9' }],
      [reads(0, 165), [], { '6.1': '512 V o9', '6.12': '512 VW o9' }],
    ],
  },
  {
    name: 'of a part: a split, and PTEs; 6.1 does not call them dirty, and so leaves them read-only',
    steps: [
      ...writtenHugePage,
      [
        protect(MiB, PAGE, PROT_READ),
        ['clear 0x0..0x200000', 'protection-vma 0x100000..0x101000'],
        '256 VW, 1 V, 255 VW',
      ],
      [
        protect(MiB, PAGE, RW),
        ['protection-vma 0x100000..0x101000'],
        { '6.1': '256 VW, 1 V, 255 VW', '6.12': '512 VW' },
      ],
      [write(MiB), [], '512 VW'],
    ],
  },
  {
    name: 'of the huge zero page',
    steps: [
      ...hugeZeroPage,
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], '512 V o9'],
      [write(0), ['clear 0x0..0x200000', 'clear 0x0..0x1000'], '1 VW, 511 V'],
    ],
  },
]);

stories('fork', 'transparentHugePages', [
  {
    name: 'both read-only; a write while the child lives splits, and copies one page',
    steps: [
      ...forkedHugePage,
      [write(PAGE), ['clear 0x0..0x200000', 'clear 0x1000..0x2000'], '1 V, 1 VW, 510 V / 512 V o9'],
      [write(2 * PAGE), ['clear 0x2000..0x3000'], '1 V, 2 VW, 509 V / 512 V o9'],
      [
        inChild(write(PAGE)),
        ['child: clear 0x0..0x200000', 'child: clear 0x1000..0x2000'],
        '1 V, 2 VW, 509 V / 1 V, 1 VW, 510 V',
      ],
    ],
  },
  {
    name: 'a write after the child has gone reuses the huge page',
    steps: [
      ...forkedHugePage,
      [inChild(exit), ['child: release first..last', 'child: unmap first..last'], '512 V o9'],
      [write(PAGE), [], '512 VW o9'],
    ],
  },
  {
    name: 'a page of one that PTEs map is never reused after a fork; in 6.1 the last one that is left is',
    steps: [
      ...writtenHugePage,
      [advise(2 * PAGE, 510 * PAGE, MADV_DONTNEED), ['clear 0x2000..0x200000', '+clear 0x0..0x200000'], '2 VW, 510 -'],
      [fork, ['protection-page 0x0..0x200000'], '2 V, 510 - / 2 V, 510 -'],
      [inChild(exit), ['child: release first..last', 'child: unmap first..last'], '2 V, 510 -'],
      [write(0), ['clear 0x0..0x1000'], '1 VW, 1 V, 510 -'],
      [write(PAGE), { '6.1': [], '6.12': ['clear 0x1000..0x2000'] }, '2 VW, 510 -'],
    ],
  },
  {
    name: 'mprotect after a fork does not make it writable, until the child has gone and it was written to',
    steps: [
      ...forkedHugePage,
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V o9 / 512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], '512 V o9 / 512 V o9'],
      [inChild(exit), ['child: release first..last', 'child: unmap first..last'], '512 V o9'],
      [write(0), [], '512 VW o9'],
      [protect(0, HUGE, PROT_READ), ['protection-vma 0x0..0x200000'], '512 V o9'],
      [protect(0, HUGE, RW), ['protection-vma 0x0..0x200000'], { '6.1': '512 V o9', '6.12': '512 VW o9' }],
    ],
  },
  {
    name: 'the huge zero page is inherited',
    steps: [
      ...hugeZeroPage,
      [fork, ['protection-page 0x0..0x200000'], '512 V o9 / 512 V o9'],
      [inChild(write(0)), ['child: clear 0x0..0x200000', 'child: clear 0x0..0x1000'], '512 V o9 / 1 VW, 511 V'],
      [write(PAGE), ['clear 0x0..0x200000', 'clear 0x1000..0x2000'], '1 V, 1 VW, 510 V / 1 VW, 511 V'],
    ],
  },
  {
    name: 'one that the parent has split is found again in the child',
    steps: [
      [mapHuge(0, HUGE), [], '512 -'],
      [write(0, 1), [], '512 VW o9'],
      [unmap(PAGE, PAGE), ['clear 0x0..0x200000', 'unmap 0x1000..0x2000'], '1 VW, 1 E, 510 VW'],
      [fork, ['protection-page 0x0..0x1000', 'protection-page 0x2000..0x200000'], '1 V, 1 E, 510 V / 1 V, 1 E, 510 V'],
      [unmap(0, HUGE), ['unmap 0x0..0x200000'], '512 E / 1 V, 1 E, 510 V'],
      [inChild(reads(0, 1)), [], '512 E / 1 V, 1 E, 510 V'],
      [inChild(write(0)), ['child: clear 0x0..0x1000'], '512 E / 1 VW, 1 E, 510 V'],
    ],
  },
]);
