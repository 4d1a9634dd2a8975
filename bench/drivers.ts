/**
 * In a virtual machine: this module beside the kernel's test_hmm, both loaded, both driven by the same C program. Prints one JSON line
 * per row. Arguments: the C program, and test_hmm.ko.
 */
import { execFileSync } from 'node:child_process';

import { compare, once, type Comparison } from './measure.js';
import { Yardstick } from './yardstick.js';

/** Nanoseconds per page from 512 pages on are what the goals speak of; for one page, what a call costs. */
const SIZES = [1, 64, 512, 4096];
const PER_PAGE = [
  ['snapshot', 'snapshot', 40],
  ['walk', 'walk alone, beside its snapshot', 40],
  ['read', 'device read, translations there', 8],
  ['write', 'device write, translations there', 8],
  ['cold', 'device read, no translations', 8],
  ['to_device', 'migration to the device, read there', 4],
  ['to_system', 'migration to the system', 4],
  ['cpu_fault', 'CPU touches device memory', 4],
] as const;

/** The one shows what hmm_range_fault() alone takes of a snapshot, in two calls; the other is the kernel's work, mostly. */
const WITHOUT_GOAL: ReadonlySet<string> = new Set(['walk', 'cpu_fault']);

const [program, testHmm] = process.argv.slice(2);
if (program === undefined || testHmm === undefined) throw new Error('usage: drivers.js C-PROGRAM TEST_HMM.KO');

function emit(row: Comparison): void {
  console.log(JSON.stringify(row));
}

execFileSync('insmod', [testHmm], { stdio: 'inherit' });
const ours = new Yardstick(program, ['ours', '/dev/hmm_mirror0']);
const theirs = new Yardstick(program, ['test_hmm', '/dev/hmm_dmirror0']);

for (const [command, name, share] of PER_PAGE) {
  for (const pages of SIZES) {
    const calls = Math.max(1, Math.round((share * 100) / (pages + 4)));
    const ask = async (who: Yardstick) => (await who.ask(`${command} ${pages} ${calls}`)) / (calls * pages);
    const goal = WITHOUT_GOAL.has(command) ? undefined : pages === 1 ? '<= 1' : pages >= 512 ? '<= 0.6' : undefined;
    emit(
      await compare(
        { name: `${name}, ${pages} page(s)`, unit: 'ns/page', against: 'test_hmm', ...(goal && { goal }) },
        () => ask(ours),
        () => ask(theirs),
        9,
        once,
      ),
    );
  }
}
for (const [command, goal] of [
  ['open', undefined],
  ['close', '<= 0.1'],
] as const) {
  const ask = async (who: Yardstick) => (await who.ask(`${command} 1 20`)) / 20;
  emit(
    await compare(
      { name: `${command} a mirror`, unit: 'ns', against: 'test_hmm', ...(goal && { goal }) },
      () => ask(ours),
      () => ask(theirs),
      9,
      once,
    ),
  );
}
await ours.close();
await theirs.close();
