/**
 * Arrays for what a device reads. Making one takes as long as reading a page into it, so small ones are cut from a
 * larger piece, as Node's own small Buffers are.
 */
import { markAsUntransferable } from 'node:worker_threads';

const PIECE = 64 * 1024;
/** Bytes of the longest array that is cut from a piece. */
export const SMALL_READ = PIECE / 16;

let piece = new Uint8Array(0);
let used = 0;

/** What smallRead() will cut the next array of that length from. */
export function pieceFor(length: number): Uint8Array {
  // A user can still detach it (ArrayBuffer.prototype.transfer); then it has no room.
  if (used + length > piece.length) {
    piece = new Uint8Array(PIECE);
    // Transferring one array would take the others' memory away with it.
    markAsUntransferable(piece.buffer);
    used = 0;
  }
  return piece;
}

/** @returns an array that nobody else has, of the piece that pieceFor(length) returned */
export function smallRead(length: number): Uint8Array {
  const bytes = new Uint8Array(piece.buffer, used, length);
  // Aligned, so that typed arrays of any kind can be laid over the bytes.
  used += (length + 7) & ~7;
  return bytes;
}
