/** npm run fuzz: the differential test of kernel and simulation; fuzz/command.ts says its options. */
import { fuzzCommand } from './fuzz/command.js';
import { UsageError } from './usage-error.js';

const EXIT_USAGE = 64;

try {
  process.exitCode = await fuzzCommand(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`fuzz: ${error.message}\n--help says what there is.\n`);
  process.exitCode = EXIT_USAGE;
}
