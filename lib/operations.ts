/** The memory operations of a process, as data: what AddressSpace does one by one, `run` does in a batch. */
import type { BackendFile } from './backend.js';

export type Operation<File = BackendFile> =
  /** mmap(2). Defaults: address 0 (the kernel chooses), PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS (with a file: MAP_SHARED). Value: the address. */
  | {
      readonly op: 'mmap';
      readonly length: number;
      readonly address?: number | undefined;
      readonly protection?: number | undefined;
      readonly flags?: number | undefined;
      readonly file?: File | undefined;
      readonly offset?: number | undefined;
    }
  | { readonly op: 'munmap'; readonly address: number; readonly length: number }
  | { readonly op: 'mprotect'; readonly address: number; readonly length: number; readonly protection: number }
  | { readonly op: 'madvise'; readonly address: number; readonly length: number; readonly advice: number }
  /** mremap(2). Default flags: MREMAP_MAYMOVE. Value: the new address. */
  | {
      readonly op: 'mremap';
      readonly address: number;
      readonly oldLength: number;
      readonly newLength: number;
      readonly flags?: number | undefined;
      readonly newAddress?: number | undefined;
    }
  /** Loads by the CPU of the process, byte by byte in ascending order. Value: the bytes. EFAULT with the address and the signal. */
  | { readonly op: 'read'; readonly address: number; readonly length: number }
  /** Stores by the CPU of the process, ascending; a failing one leaves what was stored before. */
  | { readonly op: 'write'; readonly address: number; readonly bytes: Uint8Array }
  /** ftruncate(2) of a memory file. */
  | { readonly op: 'truncate'; readonly file: File; readonly length: number }
  /** fallocate(2), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE. */
  | { readonly op: 'punchHole'; readonly file: File; readonly offset: number; readonly length: number };
