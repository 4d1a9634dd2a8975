/** The command line was wrong; the exit status for it is 64 (EX_USAGE). */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * A file that was named cannot be used for what it was named for; the exit status for it is 65
 * (EX_DATAERR).
 */
export class DataError extends Error {
  override readonly name = 'DataError';
}
