/** A program of the differential test: plain data, so that it can be sent, kept and replayed whatever made it. */

export const PROGRAM_VERSION = 1;

export const PAGE = 4096;
export const BLOCK = 0x20_0000;
const GiB = 0x4000_0000;

/**
 * Where all of a program's memory lies: four blocks of 2 MiB around a boundary of 1 GiB, in a slice of 512 GiB that a process here uses
 * for nothing else. What the kernel sends depends on the page tables of the same GiB, so neighbours would be part of the test.
 */
export const WINDOW = 1025 * GiB - 2 * BLOCK;
export const WINDOW_LENGTH = 4 * BLOCK;

export const MAX_SPACES = 4;
export const MAX_NOTIFIERS = 6;
export const MAX_MIRRORS = 4;
export const FILES = 2;
/** Bytes of each file at the start. */
export const FILE_LENGTH = 64 * PAGE;

/** What a notifier's callback does the first time that it is called, while the operation that caused it waits. */
export type Reaction =
  /** Inserts another notifier over the same range, into `slot`. */
  | { readonly do: 'insert'; readonly slot: number }
  /** Removes the notifier in `slot`, without waiting for that; the wait ends with the operation. */
  | { readonly do: 'remove'; readonly slot: number }
  /** mmu_interval_read_begin of the notifier in `slot`, without waiting. */
  | { readonly do: 'begin'; readonly slot: number }
  | { readonly do: 'retry'; readonly slot: number };

interface InSpace {
  readonly space: number;
}

/** Bytes; `at` is relative to WINDOW. */
interface Span {
  readonly at: number;
  readonly length: number;
}

/** Anonymous memory, that of a file, or, anonymous too, huge pages of the hugetlb pool. */
export type Backing = 'private' | 'shared' | 'file-private' | 'file-shared' | 'hugetlb-private' | 'hugetlb-shared';

/** Pages of 2 MiB in the pool: as many as the simulation has, and more than the processes of a program can map. */
export const POOL = 64;

export const REQUESTS = ['none', 'read', 'write', 'write-only'] as const;
/** HMM_PFN_REQ_FAULT, with HMM_PFN_REQ_WRITE, or that alone, which requests nothing. */
export type Request = (typeof REQUESTS)[number];

/** Slots that hold nothing, or something already, make a step do nothing; that is logged, and the same everywhere. */
export type Step =
  | ({
      readonly op: 'mmap';
      readonly protection: number;
      readonly backing: Backing;
      /** MAP_* beyond those of the backing. */
      readonly flags: number;
      readonly file?: number;
      readonly offset?: number;
    } & InSpace &
      Span)
  | ({ readonly op: 'munmap' } & InSpace & Span)
  | ({ readonly op: 'mprotect'; readonly protection: number } & InSpace & Span)
  | ({ readonly op: 'madvise'; readonly advice: number } & InSpace & Span)
  | ({ readonly op: 'mremap'; readonly newLength: number; readonly flags: number; readonly to?: number } & InSpace &
      Span)
  /** A store of `length` bytes: all zero for seed 0, else a pattern. */
  | ({ readonly op: 'write'; readonly seed: number } & InSpace & Span)
  | ({ readonly op: 'read' } & InSpace & Span)
  | ({ readonly op: 'truncate'; readonly file: number; readonly length: number } & InSpace)
  | ({ readonly op: 'punch'; readonly file: number; readonly offset: number; readonly length: number } & InSpace)
  /** The child is the next space. */
  | ({ readonly op: 'fork' } & InSpace)
  | ({ readonly op: 'exit' } & InSpace)
  | ({ readonly op: 'insert'; readonly slot: number; readonly reaction?: Reaction } & InSpace & Span)
  | { readonly op: 'remove'; readonly slot: number }
  | { readonly op: 'begin'; readonly slot: number }
  | { readonly op: 'retry'; readonly slot: number }
  | ({
      readonly op: 'fault';
      readonly slot: number;
      readonly snapshot: boolean;
      readonly flags: Request;
      readonly mask: Request;
      /** What the entries hold before the call: one for each page, and again from the first. */
      readonly requests: readonly Request[];
      /** readBegin() before the call; else the sequence that `begin` got last. */
      readonly fresh: boolean;
      /** dev_private_owner: a device. */
      readonly owner?: number;
    } & Span)
  /** The device accesses a byte, by what the last `fault` of the slot put out. */
  | {
      readonly op: 'driver';
      readonly slot: number;
      readonly device: number;
      readonly at: number;
      readonly write: boolean;
    }
  | ({ readonly op: 'mirror'; readonly slot: number; readonly device: number } & InSpace & Span)
  | { readonly op: 'unmirror'; readonly slot: number }
  | ({ readonly op: 'populate'; readonly slot: number; readonly how: 'read' | 'write' | 'snapshot' } & Span)
  | ({ readonly op: 'load'; readonly slot: number } & Span)
  | ({ readonly op: 'store'; readonly slot: number; readonly seed: number } & Span)
  | ({ readonly op: 'look'; readonly slot: number } & Span)
  | ({ readonly op: 'to-device'; readonly slot: number } & Span)
  | ({ readonly op: 'to-system'; readonly slot: number } & Span)
  | ({ readonly op: 'exclusive'; readonly slot: number } & Span)
  | { readonly op: 'atomic'; readonly slot: number; readonly at: number; readonly value: number }
  | { readonly op: 'evict'; readonly device: number };

export interface Program {
  readonly version: typeof PROGRAM_VERSION;
  readonly steps: readonly Step[];
}

/** What the two sides print: for each step, and at last for what is left, its lines. */
export type Log = readonly (readonly string[])[];

/** A program together with where it came from. */
export interface Numbered {
  readonly index: number;
  readonly program: Program;
}

/** @throws Error for what is not a program of this version */
export function checkProgram(value: unknown): Program {
  if (typeof value !== 'object' || value === null) throw new Error('a program is an object');
  const { version, steps } = value as Partial<Record<keyof Program, unknown>>;
  if (version !== PROGRAM_VERSION) throw new Error(`a program of version ${PROGRAM_VERSION} is wanted`);
  if (!Array.isArray(steps)) throw new Error('a program has steps');
  for (const step of steps as unknown[]) {
    if (typeof step !== 'object' || step === null || typeof (step as { op?: unknown }).op !== 'string') {
      throw new Error('a step of a program is an object with an op');
    }
  }
  return { version, steps: steps as Step[] };
}
