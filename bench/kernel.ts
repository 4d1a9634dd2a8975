/** In a virtual machine: the calls from TypeScript beside a C program that makes the same ioctls. Prints one JSON line per row. */
import { HMM_PFN_REQ_FAULT, HmmRange, openHmm } from '../lib/index.js';
import { compare, timed, type Comparison } from './measure.js';
import { Yardstick } from './yardstick.js';

const BASE = 2 ** 40;
const PAGE = 4096;
const SIZES = [1, 512, 65536];
const MOST = Math.max(...SIZES);

const [program] = process.argv.slice(2);
if (program === undefined) throw new Error('usage: kernel.js C-PROGRAM');

function emit(row: Comparison): void {
  console.log(JSON.stringify(row));
}

await using hmm = await openHmm({ backend: 'kernel' });
const space = await hmm.createAddressSpace();
await space.mmap(MOST * PAGE, { address: BASE });
const ones = new Uint8Array(1 << 20).fill(1);
for (let at = 0; at < MOST * PAGE; at += ones.length) await space.write(BASE + at, ones);
const notifier = await space.insertIntervalNotifier(BASE, MOST * PAGE, { invalidate: () => undefined });
const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: MOST * PAGE });
await mirror.populate(BASE, BASE + MOST * PAGE);

const c = new Yardstick(program);
await c.ask(`prepare ${MOST}`);

// What nobody who awaits can go below: the call's own share is what a row of one page has beyond 1 and this.
const ready = Promise.resolve();
const awaits = 5000;
for (const command of ['snapshot', 'read']) {
  emit(
    await compare(
      { name: 'the limit: one await of a ready promise', unit: 'ns', against: `C, ${command} of 1 page` },
      () =>
        timed(awaits, async () => {
          for (let each = 0; each < awaits; each++) await ready;
        }),
      async () => (await c.ask(`${command} 1 ${awaits}`)) / awaits,
    ),
  );
}

const into = new Uint8Array(MOST * PAGE).fill(0);
emit(
  await compare(
    { name: 'mirror.read into a buffer, 1 page, not awaited', unit: 'ns', against: 'C, same ioctl' },
    () =>
      timed(awaits, () => {
        for (let each = 0; each < awaits; each++) void mirror.read(BASE, PAGE, into);
      }),
    async () => (await c.ask(`read 1 ${awaits}`)) / awaits,
  ),
);
// The rounds of many pages are too few for their code to get hot; it is the same for few.
for (let call = 0; call < 20_000; call++) await mirror.read(BASE, 2 * PAGE, into);
for (const pages of SIZES) {
  const goal = pages === 1 ? '<= 1.5' : '<= 1.02';
  const calls = Math.max(1, Math.round(100_000 / (pages + 20)));
  const slowCalls = Math.max(1, Math.round(10_000 / (pages + 4)));
  // An emulated processor’s time varies by a third from round to round, and the goals are about hundredths.
  const rounds = pages === MOST ? 31 : 101;
  const range = new HmmRange({ notifier, start: BASE, end: BASE + pages * PAGE });
  range.notifierSequence = await notifier.readBegin();
  const labels = { unit: 'ns/page', against: 'C, same ioctl', goal };

  emit(
    await compare(
      { ...labels, name: `rangeFault, snapshot, ${pages} page(s)` },
      () =>
        timed(calls * pages, async () => {
          for (let call = 0; call < calls; call++) await hmm.rangeFault(range);
        }),
      async () => (await c.ask(`snapshot ${pages} ${calls}`)) / (calls * pages),
      rounds,
    ),
  );

  const faulting = new HmmRange({ notifier, start: BASE, end: BASE + pages * PAGE, defaultFlags: HMM_PFN_REQ_FAULT });
  faulting.notifierSequence = await notifier.readBegin();
  emit(
    await compare(
      { unit: labels.unit, against: labels.against, name: `rangeFault, fault of present, ${pages} page(s)` },
      () =>
        timed(slowCalls * pages, async () => {
          for (let call = 0; call < slowCalls; call++) await hmm.rangeFault(faulting);
        }),
      async () => (await c.ask(`fault ${pages} ${slowCalls}`)) / (slowCalls * pages),
      rounds,
    ),
  );

  emit(
    await compare(
      { ...labels, name: `mirror.read into a buffer, ${pages} page(s)` },
      () =>
        timed(slowCalls * pages, async () => {
          for (let call = 0; call < slowCalls; call++) await mirror.read(BASE, pages * PAGE, into);
        }),
      async () => (await c.ask(`read ${pages} ${slowCalls}`)) / (slowCalls * pages),
      rounds,
    ),
  );

  emit(
    await compare(
      { ...labels, against: 'C, same ioctl, malloc', name: `mirror.read, new buffer, ${pages} page(s)` },
      () =>
        timed(slowCalls * pages, async () => {
          for (let call = 0; call < slowCalls; call++) await mirror.read(BASE, pages * PAGE);
        }),
      async () => (await c.ask(`fresh ${pages} ${slowCalls}`)) / (slowCalls * pages),
      pages === MOST ? 9 : rounds,
    ),
  );
}
await c.close();
