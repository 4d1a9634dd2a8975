/**
 * What programs are made of, as fast-check arbitraries: steps that name places by their relation to what is mapped ('the tail of the
 * second mapping'), which resolve.ts turns into addresses. So most operations meet something, and some go beside it.
 */
import fc from 'fast-check';
import * as hmm from 'node-hmm';
import type { Backing, Request } from './program.js';

export type Part = 'whole' | 'head' | 'tail' | 'middle' | 'page' | 'beyond' | 'around' | 'anywhere' | 'block';

/** A stretch of addresses by its relation to one of the mappings of a process. */
export interface Where {
  readonly mapping: number;
  readonly part: Part;
  readonly from: number;
  readonly count: number;
}

/** Where something new goes: near a boundary that matters to page tables, or in place of something. */
export interface Site {
  readonly spot: number;
  readonly shift: number;
  readonly pages: number;
}

type ReactionKind = 'none' | 'insert' | 'remove' | 'begin' | 'retry';

/** Numbers without a unit are choices: taken modulo what there is to choose from. */
export type Draft =
  | {
      readonly op: 'map';
      readonly space: number;
      readonly site: Site;
      readonly backing: Backing;
      readonly protection: number;
      readonly file: number;
      readonly offset: number;
      /** Whole blocks, or nearly. */
      readonly huge: boolean;
      /** With MADV_HUGEPAGE, if huge. */
      readonly advised: boolean;
      /** MAP_* beyond those of the backing. */
      readonly flags: number;
    }
  | { readonly op: 'munmap' | 'read'; readonly space: number; readonly where: Where }
  | {
      readonly op: 'write';
      readonly space: number;
      readonly where: Where;
      readonly inside: number;
      readonly length: number;
      readonly seed: number;
    }
  | { readonly op: 'fill'; readonly space: number; readonly where: Where; readonly seed: number }
  | { readonly op: 'mprotect'; readonly space: number; readonly where: Where; readonly protection: number }
  | { readonly op: 'madvise'; readonly space: number; readonly where: Where; readonly advice: number }
  | {
      readonly op: 'mremap';
      readonly space: number;
      readonly where: Where;
      readonly site: Site;
      readonly how: 'move' | 'grow' | 'shrink' | 'dontunmap' | 'fixed';
      readonly by: number;
    }
  | {
      readonly op: 'truncate' | 'punch';
      readonly space: number;
      readonly file: number;
      readonly offset: number;
      readonly pages: number;
      readonly uneven: number;
    }
  | { readonly op: 'fork' | 'exit'; readonly space: number }
  | {
      readonly op: 'insert';
      readonly space: number;
      readonly where: Where;
      readonly reaction: ReactionKind;
      readonly target: number;
    }
  | { readonly op: 'remove' | 'begin' | 'retry'; readonly slot: number }
  | {
      readonly op: 'fault';
      readonly slot: number;
      readonly where: Where;
      readonly snapshot: boolean;
      readonly flags: Request;
      readonly mask: Request;
      readonly requests: readonly Request[];
      readonly fresh: boolean;
      readonly owner: number | null;
    }
  | {
      readonly op: 'driver';
      readonly slot: number;
      readonly device: number;
      readonly at: number;
      readonly write: boolean;
    }
  | { readonly op: 'mirror'; readonly space: number; readonly where: Where; readonly device: number }
  | { readonly op: 'unmirror'; readonly slot: number }
  | {
      readonly op: 'populate';
      readonly slot: number;
      readonly where: Where;
      readonly how: 'read' | 'write' | 'snapshot';
    }
  | {
      readonly op: 'load' | 'look' | 'to-device' | 'to-system' | 'exclusive';
      readonly slot: number;
      readonly where: Where;
    }
  | { readonly op: 'store'; readonly slot: number; readonly where: Where; readonly seed: number }
  | { readonly op: 'atomic'; readonly slot: number; readonly where: Where; readonly value: number }
  | { readonly op: 'evict'; readonly device: number };

export const THEMES = ['small', 'huge', 'hugetlb', 'files', 'family', 'devices', 'notifiers', 'mixed'] as const;
export type Theme = (typeof THEMES)[number];

export interface Sketch {
  readonly theme: Theme;
  readonly drafts: readonly Draft[];
}

const choice = fc.nat({ max: 1023 });
const space = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat({ max: 3 }) });

const where: fc.Arbitrary<Where> = fc.record({
  mapping: choice,
  part: fc.oneof(
    { weight: 4, arbitrary: fc.constant<Part>('page') },
    { weight: 5, arbitrary: fc.constantFrom<Part>('whole', 'head', 'tail', 'middle') },
    { weight: 2, arbitrary: fc.constantFrom<Part>('block', 'around', 'beyond') },
    { weight: 1, arbitrary: fc.constant<Part>('anywhere') },
  ),
  from: choice,
  count: fc.integer({ min: 1, max: 24 }),
});

const site: fc.Arbitrary<Site> = fc.record({
  spot: choice,
  shift: fc.integer({ min: -6, max: 12 }),
  pages: fc.integer({ min: 1, max: 20 }),
});

const protection = fc.oneof(
  { weight: 5, arbitrary: fc.constant(hmm.PROT_READ | hmm.PROT_WRITE) },
  { weight: 4, arbitrary: fc.constant(hmm.PROT_READ) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(hmm.PROT_NONE, hmm.PROT_WRITE, hmm.PROT_EXEC, hmm.PROT_READ | hmm.PROT_EXEC),
  },
);
const seed = fc.oneof(
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 250 }) },
);
const request = fc.constantFrom<Request>('none', 'read', 'write', 'write-only');

const FLAG_ADVICE = [
  hmm.MADV_NORMAL,
  hmm.MADV_RANDOM,
  hmm.MADV_SEQUENTIAL,
  hmm.MADV_DONTFORK,
  hmm.MADV_DOFORK,
  hmm.MADV_WIPEONFORK,
  hmm.MADV_KEEPONFORK,
  hmm.MADV_DONTDUMP,
  hmm.MADV_DODUMP,
];

type Of<Op extends Draft['op'], D extends Draft = Draft> = D extends Draft ? (Op extends D['op'] ? D : never) : never;

const map = (backing: fc.Arbitrary<Backing>, huge: fc.Arbitrary<boolean>): fc.Arbitrary<Draft> =>
  fc.record<Of<'map'>>({
    op: fc.constant('map'),
    space,
    site,
    backing,
    protection: fc.oneof(
      { weight: 6, arbitrary: fc.constant(hmm.PROT_READ | hmm.PROT_WRITE) },
      { weight: 2, arbitrary: protection },
    ),
    file: choice,
    offset: fc.nat({ max: 40 }),
    huge,
    advised: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    flags: fc.oneof(
      { weight: 12, arbitrary: fc.constant(0) },
      { weight: 2, arbitrary: fc.constant(hmm.MAP_POPULATE) },
      { weight: 2, arbitrary: fc.constantFrom(hmm.MAP_LOCKED, hmm.MAP_NORESERVE, hmm.MAP_FIXED_NOREPLACE) },
    ),
  });

const anyBacking = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Backing>('private') },
  { weight: 2, arbitrary: fc.constant<Backing>('shared') },
  { weight: 2, arbitrary: fc.constantFrom<Backing>('file-private', 'file-shared') },
);
const inSpace = <Op extends 'munmap' | 'read'>(op: Op): fc.Arbitrary<Draft> =>
  fc.record({ op: fc.constant(op), space, where });
const advice = (...advices: readonly number[]): fc.Arbitrary<Draft> =>
  fc.record<Of<'madvise'>>({ op: fc.constant('madvise'), space, where, advice: fc.constantFrom(...advices) });
const bySlot = (...ops: readonly Of<'remove'>['op'][]): fc.Arbitrary<Draft> =>
  fc.record({ op: fc.constantFrom(...ops), slot: choice });

const parts = {
  mapSmall: map(anyBacking, fc.constant(false)),
  mapHuge: map(fc.constant<Backing>('private'), fc.constant(true)),
  mapFile: map(fc.constantFrom<Backing>('file-private', 'file-shared'), fc.constant(false)),
  mapHugetlb: map(fc.constantFrom<Backing>('hugetlb-private', 'hugetlb-shared'), fc.constant(true)),
  munmap: inSpace('munmap'),
  read: inSpace('read'),
  write: fc.record<Of<'write'>>({
    op: fc.constant('write'),
    space,
    where,
    inside: fc.nat({ max: 4095 }),
    length: fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 1, max: 16 }) },
      { weight: 1, arbitrary: fc.integer({ min: 17, max: 9000 }) },
    ),
    seed,
  }),
  fill: fc.record<Of<'fill'>>({ op: fc.constant('fill'), space, where, seed }),
  mprotect: fc.record<Of<'mprotect'>>({ op: fc.constant('mprotect'), space, where, protection }),
  dontneed: advice(hmm.MADV_DONTNEED, hmm.MADV_DONTNEED, hmm.MADV_DONTNEED_LOCKED, hmm.MADV_FREE),
  reclaim: advice(hmm.MADV_FREE, hmm.MADV_COLD, hmm.MADV_PAGEOUT),
  populateAdvice: advice(hmm.MADV_POPULATE_READ, hmm.MADV_POPULATE_WRITE),
  flagAdvice: advice(...FLAG_ADVICE),
  hugeAdvice: advice(hmm.MADV_HUGEPAGE, hmm.MADV_HUGEPAGE, hmm.MADV_NOHUGEPAGE, hmm.MADV_COLLAPSE, hmm.MADV_COLLAPSE),
  collapse: fc.record<Of<'madvise'>>({
    op: fc.constant('madvise'),
    space,
    where: where.map((each) => ({ ...each, part: 'block' as const })),
    advice: fc.constant(hmm.MADV_COLLAPSE),
  }),
  willNeed: advice(hmm.MADV_WILLNEED),
  remove_: advice(hmm.MADV_REMOVE),
  mremap: fc.record<Of<'mremap'>>({
    op: fc.constant('mremap'),
    space,
    where,
    site,
    how: fc.constantFrom('move', 'move', 'fixed', 'grow', 'shrink', 'dontunmap'),
    by: fc.integer({ min: 1, max: 16 }),
  }),
  fileOps: fc.record<Of<'truncate'>>({
    op: fc.constantFrom('truncate', 'punch', 'punch'),
    space,
    file: choice,
    offset: fc.nat({ max: 64 }),
    pages: fc.integer({ min: 1, max: 30 }),
    uneven: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 4095 }) }),
  }),
  fork: fc.record<Of<'fork'>>({ op: fc.constant('fork'), space }),
  exit: fc.record<Of<'fork'>>({ op: fc.constant('exit'), space: fc.integer({ min: 0, max: 3 }) }),
  insert: fc.record<Of<'insert'>>({
    op: fc.constant('insert'),
    space,
    where,
    reaction: fc.oneof(
      { weight: 2, arbitrary: fc.constant<ReactionKind>('none') },
      { weight: 2, arbitrary: fc.constantFrom<ReactionKind>('insert', 'remove', 'begin', 'retry') },
    ),
    target: choice,
  }),
  notifierOps: bySlot('remove', 'begin', 'begin', 'retry', 'retry'),
  fault: fc.record<Of<'fault'>>({
    op: fc.constant('fault'),
    slot: choice,
    where,
    snapshot: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    flags: fc.constantFrom<Request>('none', 'read', 'read', 'write', 'write', 'write-only'),
    mask: fc.constantFrom<Request>('none', 'none', 'read', 'write', 'write-only'),
    requests: fc.array(request, { maxLength: 5 }),
    fresh: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    owner: fc.option(choice, { freq: 2 }),
  }),
  driver: fc.record<Of<'driver'>>({
    op: fc.constant('driver'),
    slot: choice,
    device: choice,
    at: fc.nat({ max: 40 * 4096 }),
    write: fc.boolean(),
  }),
  mirror: fc.record<Of<'mirror'>>({ op: fc.constant('mirror'), space, where, device: choice }),
  unmirror: fc.record<Of<'unmirror'>>({ op: fc.constant('unmirror'), slot: choice }),
  populate: fc.record<Of<'populate'>>({
    op: fc.constant('populate'),
    slot: choice,
    where,
    how: fc.constantFrom('read', 'write', 'snapshot'),
  }),
  look: fc.record<Of<'look'>>({ op: fc.constantFrom('load', 'load', 'look'), slot: choice, where }),
  store: fc.record<Of<'store'>>({ op: fc.constant('store'), slot: choice, where, seed }),
  migrate: fc.record<Of<'look'>>({
    op: fc.constantFrom('to-device', 'to-device', 'to-system'),
    slot: choice,
    where,
  }),
  exclusive: fc.record<Of<'look'>>({ op: fc.constant('exclusive'), slot: choice, where }),
  atomic: fc.record<Of<'atomic'>>({ op: fc.constant('atomic'), slot: choice, where, value: fc.nat({ max: 1000 }) }),
  evict: fc.record<Of<'evict'>>({ op: fc.constant('evict'), device: choice }),
} satisfies Readonly<Record<string, fc.Arbitrary<Draft>>>;

type Weights = Readonly<Partial<Record<keyof typeof parts, number>>>;

const EVERYWHERE: Weights = {
  mapSmall: 5,
  munmap: 3,
  read: 5,
  write: 9,
  fill: 2,
  mprotect: 6,
  dontneed: 4,
  reclaim: 2,
  populateAdvice: 2,
  flagAdvice: 2,
  hugeAdvice: 1,
  remove_: 1,
  mremap: 4,
  fileOps: 1,
  fork: 1,
  insert: 3,
  notifierOps: 3,
  fault: 6,
  driver: 2,
  mirror: 1,
  populate: 2,
  look: 1,
  store: 1,
  unmirror: 1,
};

/** Added to, or in place of, what is everywhere. */
const WEIGHTS: { readonly [theme in Theme]: Weights } = {
  small: { mapSmall: 8 },
  huge: { mapHuge: 8, hugeAdvice: 6, collapse: 6, fill: 5, dontneed: 6, reclaim: 4, fork: 2, exit: 1, mapSmall: 2 },
  files: { mapFile: 9, willNeed: 1, fileOps: 7, remove_: 3, fork: 2, mapSmall: 3 },
  hugetlb: { mapHugetlb: 10, fork: 2, exit: 1, fill: 3, mapSmall: 1, mirror: 2, populate: 3, dontneed: 7 },
  family: { fork: 5, exit: 2, write: 14, fill: 4, read: 8, mapHuge: 1 },
  devices: {
    mirror: 5,
    populate: 4,
    look: 4,
    store: 4,
    migrate: 12,
    exclusive: 4,
    atomic: 2,
    evict: 1,
    write: 12,
    fork: 2,
    mapHuge: 3,
  },
  notifiers: { insert: 9, notifierOps: 9, fault: 12 },
  mixed: { mapHuge: 2, mapFile: 2, fork: 2, exit: 1, mirror: 2, migrate: 4, exclusive: 1, atomic: 1, evict: 1 },
};

function drafts(theme: Theme): fc.Arbitrary<Draft> {
  const weights = Object.entries({ ...EVERYWHERE, ...WEIGHTS[theme] }) as [keyof typeof parts, number][];
  return fc.oneof(...weights.map(([part, weight]) => ({ weight, arbitrary: parts[part] as fc.Arbitrary<Draft> })));
}

/** Programs of `length` steps, all of one theme: what is looked for there needs several steps that fit each other. */
export function sketches(length: number): fc.Arbitrary<Sketch> {
  return fc.constantFrom(...THEMES).chain((theme) =>
    fc.record({
      theme: fc.constant(theme),
      drafts: fc.array(drafts(theme), { minLength: length, maxLength: length }),
    }),
  );
}
