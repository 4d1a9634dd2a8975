/** How long a loop that makes no progress goes on. */
import type { Machine } from './mm.js';

/** ms */
const RETRY_DEADLINE = 10_000;

/**
 * With a scheduler there is no clock, and none is asked: how often such a loop runs is the scheduler's to decide.
 * @returns whether the time is over; it begins now
 */
export function retryDeadline({ callbackTimeout }: Machine): () => boolean {
  if (callbackTimeout === null) return () => false;
  const deadline = Date.now() + RETRY_DEADLINE;
  return () => Date.now() > deadline;
}
