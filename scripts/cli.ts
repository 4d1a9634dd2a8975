#!/usr/bin/env node
import { runNodeHmm } from './commands.js';
import { runCommands } from './program.js';

await runCommands(runNodeHmm);
