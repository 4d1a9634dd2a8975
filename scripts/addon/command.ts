import { buildAddon } from './build.js';

/** `node-hmm build-addon`. @returns the exit status */
export async function buildAddonCommand(): Promise<number> {
  process.stdout.write(`built: ${buildAddon()}\n`);
  return 0;
}
