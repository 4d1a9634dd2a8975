import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, MREMAP_MAYMOVE, PROT_READ, PROT_WRITE } from './constants.js';
import { MAX_ACCESS } from './device.js';
import { MemoryFile } from './memory-file.js';
import type { Operation } from './operations.js';
import { BACKEND, checkSession, type Session } from './session.js';
import {
  checkBytes,
  checkInstance,
  checkInt,
  checkInteger,
  checkKeys,
  checkOneOf,
  checkSpan,
  orElse,
} from './validate.js';

export type PublicOperation = Operation<MemoryFile>;

type Name = Operation['op'];

const KEYS: { readonly [op in Name]: readonly string[] } = {
  mmap: ['op', 'length', 'address', 'protection', 'flags', 'file', 'offset'],
  munmap: ['op', 'address', 'length'],
  mprotect: ['op', 'address', 'length', 'protection'],
  madvise: ['op', 'address', 'length', 'advice'],
  mremap: ['op', 'address', 'oldLength', 'newLength', 'flags', 'newAddress'],
  read: ['op', 'address', 'length'],
  write: ['op', 'address', 'bytes'],
  truncate: ['op', 'file', 'length'],
  punchHole: ['op', 'file', 'offset', 'length'],
};

const NAMES = Object.keys(KEYS) as Name[];

/**
 * The operation with its types and numbers checked, its defaults filled in and its file the backend's own: what a
 * backend then receives is complete. `at` is put before the names of arguments in errors ('operations[3]').
 */
export function checkOperation(session: Session, operation: PublicOperation, at: string): Operation {
  if (typeof operation !== 'object' || operation === null) throw new TypeError(`${at} must be an operation`);
  const op = checkOneOf(operation.op, NAMES, `${at}.op`);
  checkKeys(operation, at, KEYS[op]);
  return checkArguments(session, operation, `${at}.`);
}

/** The same for an operation that this library made of a method's arguments: it has no keys that it should not have. */
export function checkArguments(session: Session, operation: PublicOperation, of: string): Operation {
  switch (operation.op) {
    case 'mmap': {
      const file = operation.file === undefined ? undefined : fileOf(session, operation.file, `${of}file`);
      const defaultFlags = file === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
      const checked: Operation = {
        op: 'mmap',
        length: checkInteger(operation.length, `${of}length`),
        address: checkInteger(orElse(operation.address, 0), `${of}address`),
        protection: checkInt(orElse(operation.protection, PROT_READ | PROT_WRITE), `${of}protection`),
        flags: checkInt(orElse(operation.flags, defaultFlags), `${of}flags`),
        offset: checkInteger(orElse(operation.offset, 0), `${of}offset`),
      };
      return file === undefined ? checked : { ...checked, file };
    }
    case 'munmap': {
      const { address, length } = checkedSpan(operation, of);
      return { op: 'munmap', address, length };
    }
    case 'mprotect': {
      const { address, length } = checkedSpan(operation, of);
      return { op: 'mprotect', address, length, protection: checkInt(operation.protection, `${of}protection`) };
    }
    case 'madvise': {
      const { address, length } = checkedSpan(operation, of);
      return { op: 'madvise', address, length, advice: checkInt(operation.advice, `${of}advice`) };
    }
    case 'mremap':
      checkSpan(operation.address, operation.oldLength, `${of}address`, `${of}oldLength`);
      return {
        op: 'mremap',
        address: operation.address,
        oldLength: operation.oldLength,
        newLength: checkInteger(operation.newLength, `${of}newLength`),
        flags: checkInt(orElse(operation.flags, MREMAP_MAYMOVE), `${of}flags`),
        newAddress: checkInteger(orElse(operation.newAddress, 0), `${of}newAddress`),
      };
    case 'read': {
      checkInteger(operation.length, `${of}length`, 0, MAX_ACCESS);
      const { address, length } = checkedSpan(operation, of);
      return { op: 'read', address, length };
    }
    case 'write': {
      const bytes = checkBytes(operation.bytes, `${of}bytes`);
      checkSpan(operation.address, bytes.length, `${of}address`, `${of}bytes.length`);
      return { op: 'write', address: operation.address, bytes };
    }
    case 'truncate':
      return {
        op: 'truncate',
        file: fileOf(session, operation.file, `${of}file`),
        length: checkInteger(operation.length, `${of}length`),
      };
    case 'punchHole':
      checkSpan(operation.offset, operation.length, `${of}offset`, `${of}length`);
      return {
        op: 'punchHole',
        file: fileOf(session, operation.file, `${of}file`),
        offset: operation.offset,
        length: operation.length,
      };
  }
}

interface Span {
  readonly address: number;
  readonly length: number;
}

function checkedSpan(operation: Span, of: string): Span {
  checkSpan(operation.address, operation.length, `${of}address`, `${of}length`);
  return operation;
}

function fileOf(session: Session, file: MemoryFile, name: string) {
  checkSession(session, checkInstance(file, MemoryFile, name), name);
  return file[BACKEND];
}
