/** npm run fuzz: the differential test of kernel and simulation. */
import { HELP, fuzzCommand } from './fuzz/command.js';
import { runProgram } from './program.js';

await runProgram('fuzz', HELP, fuzzCommand);
