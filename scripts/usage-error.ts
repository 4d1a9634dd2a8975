/** The command line was wrong; the exit status for it is 64 (EX_USAGE). */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
