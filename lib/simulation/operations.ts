/** One operation of a process, from the data that describes it to its result. */
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, MREMAP_MAYMOVE, PROT_READ, PROT_WRITE } from '../constants.js';
import { HmmError } from '../errors.js';
import { MemoryFile } from './file.js';
import { cpuRead, cpuWrite } from './cpu.js';
import { madvise } from './madvise.js';
import { mmap } from './mmap.js';
import { mprotect } from './mprotect.js';
import { mremap } from './mremap.js';
import { munmap } from './munmap.js';
import { punchHole, truncate } from './file-operations.js';
import type { BackendFile, OperationResult } from '../backend.js';
import type { Mm } from './mm.js';
import type { Operation } from '../operations.js';
import type { Routine } from './engine/engine.js';

const DONE: OperationResult = Object.freeze({});

export function* execute(mm: Mm, operation: Operation): Routine<OperationResult> {
  try {
    const value = yield* dispatch(mm, operation);
    if (value instanceof HmmError) return { error: value };
    return value === undefined ? DONE : { value };
  } catch (error) {
    // What the kernel refused is the result; anything else is a fault of this program and must not look like one.
    if (error instanceof HmmError) return { error };
    throw error;
  }
}

/** The routine's value; refusals are thrown, or returned where they are frequent: an exception is expensive, and the more so the more routines it passes. */
function dispatch(mm: Mm, operation: Operation): Routine<number | Uint8Array | undefined | HmmError> {
  switch (operation.op) {
    case 'mmap': {
      const file = operation.file === undefined ? null : fileOf(operation.file);
      return mmap(mm, {
        address: operation.address ?? 0,
        length: operation.length,
        protection: operation.protection ?? PROT_READ | PROT_WRITE,
        flags: operation.flags ?? (file === null ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
        file,
        offset: operation.offset ?? 0,
      });
    }
    case 'munmap':
      return munmap(mm, operation.address, operation.length);
    case 'mprotect':
      return mprotect(mm, operation.address, operation.length, operation.protection);
    case 'madvise':
      return madvise(mm, operation.address, operation.length, operation.advice);
    case 'mremap':
      return mremap(mm, {
        address: operation.address,
        oldLength: operation.oldLength,
        newLength: operation.newLength,
        flags: operation.flags ?? MREMAP_MAYMOVE,
        newAddress: operation.newAddress ?? 0,
      });
    case 'read':
      return cpuRead(mm, operation.address, operation.length);
    case 'write':
      return cpuWrite(mm, operation.address, operation.bytes);
    case 'truncate':
      return truncate(fileOf(operation.file), operation.length);
    case 'punchHole':
      return punchHole(fileOf(operation.file), operation.offset, operation.length);
  }
}

function fileOf(file: BackendFile): MemoryFile {
  if (!(file instanceof MemoryFile)) throw new TypeError('the file is not one of this simulation');
  return file;
}
