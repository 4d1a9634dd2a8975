/** Turns drafts into steps with addresses, by a rough idea of what is mapped where: as if all that was asked for had worked. */
import * as hmm from 'node-hmm';
import type { Draft, Site, Sketch, Theme, Where } from './arbitraries.js';
import { chosen, clip, free, spot, type Range } from './places.js';
import {
  BLOCK,
  FILES,
  MAX_MIRRORS,
  MAX_NOTIFIERS,
  MAX_SPACES,
  PAGE,
  PROGRAM_VERSION,
  WINDOW_LENGTH,
  type Backing,
  type Program,
  type Reaction,
  type Step,
} from './program.js';

/** What the kernel under test can do, beyond what all can. */
export interface Capabilities {
  readonly devices: readonly hmm.DeviceKind[];
  readonly exclusive: boolean;
}

interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly backing: Backing;
}

interface Slot extends Range {
  readonly space: number;
}

/** What the first mapping of a program is, if not private memory. */
const FIRST: { readonly [theme in Theme]?: Backing } = { files: 'file-shared', hugetlb: 'hugetlb-private' };
/** Longest stretch of a huge mapping that is faulted or migrated at once: a walk of a block and a bit more. */
const LONG = 600 * PAGE;
const { MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP } = hmm;

class Model {
  readonly steps: Step[] = [];
  readonly #capabilities: Capabilities;
  /** Of each process its mappings, ascending; null once it has gone. */
  readonly #spaces: (Mapping[] | null)[] = [[]];
  readonly #notifiers = new Map<number, Slot>();
  readonly #mirrors = new Map<number, Slot>();

  constructor(capabilities: Capabilities) {
    this.#capabilities = capabilities;
  }

  add(draft: Draft): void {
    switch (draft.op) {
      case 'map':
        return this.#map(draft);
      case 'munmap': {
        const { space, ...range } = this.#at(draft);
        this.steps.push({ op: 'munmap', space, ...range });
        return this.#cut(space, range);
      }
      case 'read': {
        const { space, at, length } = this.#at(draft);
        this.steps.push({ op: 'read', space, at, length: Math.min(length, 2 * PAGE) });
        return;
      }
      case 'write': {
        const { space, at } = this.#at(draft);
        this.steps.push({ op: 'write', space, at: at + draft.inside, length: draft.length, seed: draft.seed });
        return;
      }
      case 'fill': {
        const { space, at, length } = this.#at(draft);
        this.steps.push({ op: 'write', space, at, length: Math.min(length, 6 * PAGE), seed: draft.seed });
        return;
      }
      case 'mprotect':
        this.steps.push({ op: 'mprotect', ...this.#at(draft), protection: draft.protection });
        return;
      case 'madvise':
        return this.#madvise(draft);
      case 'mremap':
        return this.#mremap(draft);
      case 'truncate':
      case 'punch':
        return this.#fileOperation(draft);
      case 'fork': {
        if (this.#spaces.length >= MAX_SPACES) return;
        const space = this.#space(draft.space);
        this.steps.push({ op: 'fork', space });
        this.#spaces.push([...this.#mappings(space)]);
        return;
      }
      case 'exit': {
        if (this.#spaces.filter((each) => each !== null).length < 2) return;
        const space = this.#space(draft.space);
        this.steps.push({ op: 'exit', space });
        this.#spaces[space] = null;
        return;
      }
      case 'insert':
        return this.#insert(draft);
      case 'remove':
      case 'begin':
      case 'retry': {
        const slot = chosen([...this.#notifiers.keys()], draft.slot);
        if (slot === undefined) return;
        this.steps.push({ op: draft.op, slot });
        if (draft.op === 'remove') this.#notifiers.delete(slot);
        return;
      }
      case 'fault':
        return this.#fault(draft);
      case 'driver': {
        const slot = chosen([...this.#notifiers.keys()], draft.slot);
        if (slot === undefined) return;
        const device = draft.device % this.#capabilities.devices.length;
        this.steps.push({ op: 'driver', slot, device, at: draft.at, write: draft.write });
        return;
      }
      case 'mirror':
        return this.#mirror(draft);
      case 'unmirror': {
        const slot = chosen([...this.#mirrors.keys()], draft.slot);
        if (slot === undefined) return;
        this.steps.push({ op: 'unmirror', slot });
        this.#mirrors.delete(slot);
        return;
      }
      case 'evict':
        this.steps.push({ op: 'evict', device: this.#device(draft.device) });
        return;
      case 'populate':
      case 'load':
      case 'store':
      case 'look':
      case 'to-device':
      case 'to-system':
      case 'exclusive':
      case 'atomic':
        return this.#byMirror(draft);
    }
  }

  #space(choice: number): number {
    const alive = this.#spaces.flatMap((mappings, space) => (mappings === null ? [] : [space]));
    return chosen(alive, choice) ?? 0;
  }

  #mappings(space: number): Mapping[] {
    return this.#spaces[space] ?? [];
  }

  /** Mostly one with memory of its own, if there is any. */
  #device(choice: number): number {
    const all = this.#capabilities.devices.map((_, device) => device);
    const withMemory = all.filter((device) => this.#capabilities.devices[device] !== 'none');
    const from = withMemory.length === 0 || choice % 16 === 0 ? all : withMemory;
    return chosen(from, choice >> 4) ?? 0;
  }

  #at(draft: { readonly space: number; readonly where: Where }): Slot {
    const space = this.#space(draft.space);
    const range = this.#range(space, draft.where);
    // Some places are none: not at the start of a page, or of a length that is not whole.
    if (draft.where.from % 61 === 60) return { space, at: range.at + 0x123, length: range.length };
    if (draft.where.from % 29 === 28) return { space, at: range.at, length: Math.max(1, range.length - 0x456) };
    return { space, ...range };
  }

  #range(space: number, { mapping, part, from, count }: Where): Range {
    const found = chosen(this.#mappings(space), mapping);
    if (found === undefined || part === 'anywhere') return clip(spot(from, (mapping % 13) - 6), count * PAGE);
    const { start, end } = found;
    const pages = (end - start) / PAGE;
    // Of a long mapping long parts as well as short ones.
    const length = Math.min(count * (pages >= 256 && from % 3 === 0 ? 32 : 1), pages) * PAGE;
    const inside = start + (from % pages) * PAGE;
    switch (part) {
      case 'whole':
        return { at: start, length: end - start };
      case 'head':
        return { at: start, length };
      case 'tail':
        return { at: end - length, length };
      case 'middle':
        return { at: Math.min(inside, end - length), length };
      case 'page':
        return { at: inside, length: PAGE };
      case 'beyond':
        return clip(end - Math.min(length, 3 * PAGE), length + 2 * PAGE);
      case 'around':
        return clip(start - 2 * PAGE, end - start + 4 * PAGE);
      case 'block':
        return clip(Math.floor(inside / BLOCK) * BLOCK, BLOCK);
    }
  }

  #cut(space: number, { at, length }: Range): void {
    const end = at + Math.ceil(length / PAGE) * PAGE;
    const mappings = this.#mappings(space).flatMap((mapping) => {
      if (mapping.end <= at || mapping.start >= end) return [mapping];
      const { backing } = mapping;
      return [
        { start: mapping.start, end: at, backing },
        { start: end, end: mapping.end, backing },
      ].filter((part) => part.start < part.end);
    });
    this.#spaces[space] = mappings;
  }

  #put(space: number, mapping: Mapping): void {
    this.#cut(space, { at: mapping.start, length: mapping.end - mapping.start });
    this.#spaces[space] = [...this.#mappings(space), mapping].sort((a, b) => a.start - b.start);
  }

  #map(draft: Extract<Draft, { readonly op: 'map' }>): void {
    const space = this.#space(draft.space);
    const { site, backing, protection, huge } = draft;
    const blocks = 1 + (site.spot % 3);
    const ofPool = backing === 'hugetlb-private' || backing === 'hugetlb-shared';
    const { at, length } = huge
      ? clip(
          (site.spot % 4) * BLOCK + (site.shift > 6 && !ofPool ? site.shift * PAGE : 0),
          blocks * BLOCK + (site.pages > 12 && !ofPool ? site.pages * PAGE : 0),
        )
      : clip(spot(site.spot, site.shift), site.pages * PAGE);
    const ofFile = backing === 'file-private' || backing === 'file-shared';
    this.steps.push({
      op: 'mmap',
      space,
      at,
      length,
      protection,
      backing,
      flags: draft.flags,
      ...(ofFile ? { file: draft.file % FILES, offset: draft.offset * PAGE } : {}),
    });
    this.#put(space, { start: at, end: at + length, backing });
    if (huge && draft.advised && backing === 'private') {
      this.steps.push({ op: 'madvise', space, at, length, advice: hmm.MADV_HUGEPAGE });
    }
  }

  #madvise(draft: Extract<Draft, { readonly op: 'madvise' }>): void {
    const { space, at, length } = this.#at(draft);
    let { advice } = draft;
    const met = this.#mappings(space).filter((mapping) => mapping.end > at && mapping.start < at + length);
    const ofTmpfs = met.some(({ backing }) => backing !== 'private');
    // Swap is not modelled either.
    if (advice === hmm.MADV_WILLNEED && met.some(({ backing }) => !backing.startsWith('file')))
      advice = hmm.MADV_NORMAL;
    // What is not modelled of tmpfs: its reclaim, and its huge pages.
    if (ofTmpfs && (advice === hmm.MADV_PAGEOUT || advice === hmm.MADV_COLLAPSE)) advice = hmm.MADV_COLD;
    this.steps.push({ op: 'madvise', space, at, length, advice });
  }

  #mremap(draft: Extract<Draft, { readonly op: 'mremap' }>): void {
    const { space, at, length } = this.#at(draft);
    const by = draft.by * PAGE;
    const { at: to } = clip(spot(draft.site.spot, draft.site.shift), length);
    const target = draft.site.spot % 3 === 0 ? Math.floor(to / BLOCK) * BLOCK + (at % BLOCK) : to;
    const step = { op: 'mremap', space, at, length } as const;
    const fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
    const clipped = clip(target, length).at;
    switch (draft.how) {
      case 'grow':
        this.steps.push({ ...step, newLength: length + by, flags: draft.by % 4 === 0 ? MREMAP_MAYMOVE : 0 });
        return;
      case 'shrink':
        this.steps.push({ ...step, newLength: Math.max(PAGE, length - by), flags: draft.by % 2 });
        return this.#cut(space, { at: at + Math.max(PAGE, length - by), length: Math.min(by, length - PAGE) });
      case 'dontunmap':
        this.steps.push({ ...step, newLength: length, flags: fixed | MREMAP_DONTUNMAP, to: clipped });
        break;
      case 'move':
        this.steps.push({ ...step, newLength: length, flags: fixed, to: clipped });
        break;
      case 'fixed': {
        const newLength = draft.by % 2 === 0 ? length + by : Math.max(PAGE, length - by);
        this.steps.push({ ...step, newLength, flags: fixed, to: clip(target, newLength).at });
        break;
      }
    }
    const backing = this.#mappings(space).find(({ start, end }) => start <= at && at < end)?.backing;
    if (backing === undefined) return;
    if (draft.how !== 'dontunmap') this.#cut(space, { at, length });
    this.#put(space, { start: clipped, end: clipped + Math.ceil(length / PAGE) * PAGE, backing });
  }

  #fileOperation(draft: Extract<Draft, { readonly op: 'truncate' | 'punch' }>): void {
    const space = this.#space(draft.space);
    const file = draft.file % FILES;
    const offset = draft.offset * PAGE + draft.uneven;
    if (draft.op === 'truncate') this.steps.push({ op: 'truncate', space, file, length: offset });
    else this.steps.push({ op: 'punch', space, file, offset, length: draft.pages * PAGE });
  }

  #insert(draft: Extract<Draft, { readonly op: 'insert' }>): void {
    const slot = free(this.#notifiers, MAX_NOTIFIERS);
    if (slot === undefined) return;
    const { space, at, ...range } = this.#at(draft);
    const length = draft.where.from % 41 === 40 ? 0 : range.length;
    const target = draft.target % MAX_NOTIFIERS;
    const reaction: Reaction | undefined =
      draft.reaction === 'none' || target === slot ? undefined : { do: draft.reaction, slot: target };
    this.steps.push({ op: 'insert', space, slot, at, length, ...(reaction === undefined ? {} : { reaction }) });
    this.#notifiers.set(slot, { space, at, length });
    // Over the same range, from the first invalidation on.
    if (reaction?.do === 'insert' && !this.#notifiers.has(target)) this.#notifiers.set(target, { space, at, length });
  }

  #fault(draft: Extract<Draft, { readonly op: 'fault' }>): void {
    const slot = chosen([...this.#notifiers.keys()], draft.slot);
    if (slot === undefined) {
      const { where } = draft;
      return this.#insert({ op: 'insert', space: draft.slot, where, reaction: 'none', target: 0 });
    }
    const { snapshot, flags, mask, requests, fresh, owner } = draft;
    this.steps.push({
      op: 'fault',
      slot,
      ...this.#inside(this.#notifiers.get(slot)!, draft.where),
      snapshot,
      flags,
      mask,
      requests: mask === 'none' ? [] : requests,
      fresh,
      ...(owner === null ? {} : { owner: this.#device(owner) }),
    });
  }

  /** Whole pages, mostly inside of what a notifier or mirror covers. */
  #inside(slot: Slot, where: Where): Range {
    const range = this.#range(slot.space, where);
    const first = Math.ceil(slot.at / PAGE) * PAGE;
    const last = Math.floor((slot.at + slot.length) / PAGE) * PAGE;
    const start = Math.max(range.at, first);
    const end = Math.min(range.at + range.length, last, start + LONG);
    if (start < end || where.from % 17 === 0) return { at: start, length: Math.max(0, end - start) };
    return { at: first, length: Math.min(where.count * PAGE, Math.max(PAGE, last - first)) };
  }

  #mirror(draft: Extract<Draft, { readonly op: 'mirror' }>): void {
    const slot = free(this.#mirrors, MAX_MIRRORS);
    if (slot === undefined) return;
    const space = this.#space(draft.space);
    // Most over all: a driver mirrors what it can.
    const { at, length } =
      draft.where.from % 3 === 0 ? this.#range(space, draft.where) : { at: 0, length: WINDOW_LENGTH };
    this.steps.push({ op: 'mirror', space, slot, device: this.#device(draft.device), at, length });
    this.#mirrors.set(slot, { space, at, length });
  }

  #byMirror(draft: Extract<Draft, { readonly op: MirrorDraft }>): void {
    const slot = chosen([...this.#mirrors.keys()], draft.slot);
    if (slot === undefined) {
      return this.#mirror({ op: 'mirror', space: draft.slot, where: draft.where, device: draft.slot * 16 + 1 });
    }
    const { at, length } = this.#inside(this.#mirrors.get(slot)!, draft.where);
    switch (draft.op) {
      case 'populate':
        this.steps.push({ op: 'populate', slot, at, length, how: draft.how });
        return;
      case 'load':
        this.steps.push({ op: 'load', slot, at, length: Math.min(length, 3 * PAGE) });
        return;
      case 'store':
        this.steps.push({
          op: 'store',
          slot,
          at,
          length: Math.min(length, 1 + (draft.where.count % 5) * 1000),
          seed: draft.seed,
        });
        return;
      case 'exclusive':
        if (!this.#capabilities.exclusive) return;
        this.steps.push({ op: 'exclusive', slot, at, length: Math.min(length, 16 * PAGE) });
        return;
      case 'atomic':
        if (!this.#capabilities.exclusive) return;
        this.steps.push({ op: 'atomic', slot, at, value: draft.value });
        return;
      case 'look':
      case 'to-device':
      case 'to-system':
        this.steps.push({ op: draft.op, slot, at, length });
        return;
    }
  }
}

type MirrorDraft = 'populate' | 'load' | 'store' | 'look' | 'to-device' | 'to-system' | 'exclusive' | 'atomic';

/** @param length steps */
export function resolve({ theme, drafts }: Sketch, capabilities: Capabilities, length: number): Program {
  const model = new Model(capabilities);
  const whole = { mapping: 0, part: 'whole', from: 1, count: 1 } as const;
  const site: Site = { spot: drafts.length === 0 ? 0 : siteOf(drafts[0]!), shift: 0, pages: 8 };
  model.add({
    op: 'map',
    space: 0,
    site,
    backing: FIRST[theme] ?? 'private',
    protection: hmm.PROT_READ | hmm.PROT_WRITE,
    file: 0,
    offset: 0,
    huge: theme === 'huge' || theme === 'hugetlb',
    advised: true,
    flags: 0,
  });
  if (theme === 'devices') model.add({ op: 'mirror', space: 0, where: whole, device: 17 + 16 * site.spot });
  if (theme === 'notifiers') model.add({ op: 'insert', space: 0, where: whole, reaction: 'none', target: 0 });
  for (const draft of drafts) {
    if (model.steps.length >= length) break;
    model.add(draft);
  }
  return { version: PROGRAM_VERSION, steps: model.steps.slice(0, length) };
}

function siteOf(draft: Draft): number {
  return 'where' in draft ? draft.where.from : 'slot' in draft ? draft.slot : 0;
}
