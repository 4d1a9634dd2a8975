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
  mmap: ['length', 'address', 'protection', 'flags', 'file', 'offset'],
  munmap: ['address', 'length'],
  mprotect: ['address', 'length', 'protection'],
  madvise: ['address', 'length', 'advice'],
  mremap: ['address', 'oldLength', 'newLength', 'flags', 'newAddress'],
  read: ['address', 'length'],
  write: ['address', 'bytes'],
  truncate: ['file', 'length'],
  punchHole: ['file', 'offset', 'length'],
};

const NAMES = Object.keys(KEYS) as Name[];

/**
 * The operation with its types and numbers checked, its defaults filled in and its file the backend's own: what a
 * backend then receives is complete. `at` is put before the names of arguments in errors ('operations[3]').
 */
export function checkOperation(session: Session, operation: PublicOperation, at: string): Operation {
  const of = at === '' ? '' : `${at}.`;
  if (typeof operation !== 'object' || operation === null) throw new TypeError(`${at} must be an operation`);
  const op = checkOneOf(operation.op, NAMES, `${of}op`);
  checkKeys(operation, at === '' ? op : at, ['op', ...KEYS[op]]);
  switch (operation.op) {
    case 'mmap': {
      const file = operation.file === undefined ? undefined : fileOf(session, operation.file, `${of}file`);
      return {
        op: 'mmap',
        length: checkInteger(operation.length, `${of}length`),
        address: checkInteger(orElse(operation.address, 0), `${of}address`),
        protection: checkInt(orElse(operation.protection, PROT_READ | PROT_WRITE), `${of}protection`),
        flags: checkInt(
          orElse(operation.flags, file === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
          `${of}flags`,
        ),
        ...(file === undefined ? {} : { file }),
        offset: checkInteger(orElse(operation.offset, 0), `${of}offset`),
      };
    }
    case 'munmap':
      return { op: 'munmap', ...spanOf(operation, of) };
    case 'mprotect':
      return {
        op: 'mprotect',
        ...spanOf(operation, of),
        protection: checkInt(operation.protection, `${of}protection`),
      };
    case 'madvise':
      return { op: 'madvise', ...spanOf(operation, of), advice: checkInt(operation.advice, `${of}advice`) };
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
    case 'read':
      checkInteger(operation.length, `${of}length`, 0, MAX_ACCESS);
      return { op: 'read', ...spanOf(operation, of) };
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

function spanOf(operation: { readonly address: number; readonly length: number }, of: string) {
  checkSpan(operation.address, operation.length, `${of}address`, `${of}length`);
  return { address: operation.address, length: operation.length };
}

function fileOf(session: Session, file: MemoryFile, name: string) {
  checkSession(session, checkInstance(file, MemoryFile, name), name);
  return file[BACKEND];
}
