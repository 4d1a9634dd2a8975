/** npm run fuzz: the differential test of kernel and simulation. */
import { fuzzCommand } from './fuzz/command.js';
import { FUZZ } from './fuzz/spec.js';
import { runProgram } from './program.js';

await runProgram(FUZZ, fuzzCommand);
