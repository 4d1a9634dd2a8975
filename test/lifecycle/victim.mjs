/** A program that is killed while it works: prints what it owns and how far it is, a JSON value a line. */
import { openHmm } from 'node-hmm';

const BASE = 2 ** 40;
const PAGE = 4096;
const [mode] = process.argv.slice(2);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const hmm = await openHmm({ backend: 'kernel' });
const space = await hmm.createAddressSpace();
const mapping = { op: 'mmap', address: BASE, length: 16 * PAGE };
await space.run([mapping]);
await space.run([], { thread: 1 });
const child = await space.fork();
const grandchild = await child.fork();
const mirror = await space.mirror(hmm.devices[0], { start: BASE, length: 16 * PAGE });
say({ pids: [space.pid, child.pid, grandchild.pid] });

if (mode === 'callback') {
  await space.insertIntervalNotifier(BASE, PAGE, {
    invalidate() {
      say('in the callback');
      return new Promise(() => undefined);
    },
  });
  await space.munmap(BASE, PAGE);
  say('munmap returned');
} else if (mode === 'leave') {
  // The end of a program that closed nothing.
} else if (mode === 'exit') {
  void space.run(Array.from({ length: 1000 }, () => ({ op: 'madvise', address: BASE, length: PAGE, advice: 4 })));
  process.exit(7);
} else {
  const work = [
    { op: 'madvise', address: BASE, length: 16 * PAGE, advice: 4 },
    { op: 'munmap', address: BASE, length: 4 * PAGE },
    mapping,
  ];
  await space.insertIntervalNotifier(BASE, 16 * PAGE, { invalidate: async () => undefined });
  for (let round = 0; ; round++) {
    const batch = space.run([...work, ...work, ...work], { thread: 1 });
    const populated = mirror.populate(BASE, BASE + 16 * PAGE, { write: true }).catch((error) => error.code);
    await Promise.all([batch, populated, mirror.read(BASE, 1).catch((error) => error.code)]);
    say({ round });
  }
}
