/**
 * Device memory, shown: pages migrate to a device and back, a CPU and a device take a page from each other, and the device's
 * memory is emptied before it would go away. On every device with memory that there is; what this kernel cannot do is named,
 * with the reason. `--backend kernel` or `--backend simulation` chooses. Ends with a status of 1 if anything is not as it must be.
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { openHmm, type AddressSpace, type Device, type Hmm, type Mirror } from 'node-hmm';

const PAGES = 4;

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Where each page is: D in the device's memory, S in the system's, Z the zero page, X the device's alone, . nowhere. */
async function places(mirror: Mirror, start: number, length: number): Promise<string> {
  const pages = await mirror.snapshot(start, start + length);
  return pages
    .map(({ location, device }) => {
      if (device?.exclusive === true) return 'X';
      if (location === 'system') return 'S';
      if (location === 'zero') return 'Z';
      return location === null ? '.' : 'D';
    })
    .join('');
}

/** The invalidations since the last look, in the order in which they came. */
function events(mirror: Mirror): string {
  const seen = mirror
    .takeEvents()
    .map(({ event, owner }) => (owner === null ? event : `${event} by device ${owner.id}`));
  return seen.length === 0 ? 'no event' : seen.join(', ');
}

async function migrate(hmm: Hmm, space: AddressSpace, device: Device): Promise<void> {
  const length = PAGES * hmm.pageSize;
  const start = await space.mmap(length);
  const end = start + length;
  const mirror = await space.mirror(device, { start, length });
  await space.write(start, new TextEncoder().encode('written by the CPU'));
  const before = await device.usage();

  const { migrated } = await mirror.migrateToDevice(start, end);
  console.log(`  1. ${migrated} pages migrate: ${await places(mirror, start, length)}, ${events(mirror)}`);
  assert.equal(migrated, PAGES);
  assert.equal(await places(mirror, start, length), 'DDDD');
  assert.equal((await device.usage()) - before, PAGES);

  assert.equal(text(await mirror.read(start, 18)), 'written by the CPU');
  await mirror.write(start, new TextEncoder().encode('stored'));
  const loaded = text(await space.read(start, 18));
  console.log(
    `  2. the device stores, the CPU loads "${loaded}": ${await places(mirror, start, length)}, ${events(mirror)}`,
  );
  assert.equal(loaded, 'storedn by the CPU');
  // A CPU cannot reach private memory: its page came back, and that one alone. Coherent memory it reads where it is.
  assert.equal(await places(mirror, start, length), device.kind === 'private' ? 'SDDD' : 'DDDD');

  const { migrated: evicted } = await device.evict();
  console.log(`  3. evicted, ${evicted} pages: ${await places(mirror, start, length)}, ${events(mirror)}`);
  assert.equal(await places(mirror, start, length), 'SSSS');
  assert.ok((await device.usage()) <= before);
  assert.equal(text(await space.read(start, 18)), 'storedn by the CPU');
  await mirror.remove();
}

async function exclusive(hmm: Hmm, space: AddressSpace): Promise<void> {
  const start = await space.mmap(hmm.pageSize);
  const mirror = await space.mirror(hmm.devices[0]!, { start, length: hmm.pageSize });
  await space.write(start, new Uint8Array(new BigUint64Array([41n]).buffer));

  const old = await mirror.atomicAdd(start, 1n);
  console.log(`  1. the device adds 1 to ${old}: ${await places(mirror, start, hmm.pageSize)}, ${events(mirror)}`);
  assert.equal(old, 41n);
  assert.equal(await places(mirror, start, hmm.pageSize), 'X');

  const [sum] = new BigUint64Array((await space.read(start, 8)).slice().buffer);
  console.log(`  2. the CPU loads ${sum}, and takes the page back: ${events(mirror)}`);
  assert.equal(sum, 42n);
  assert.equal(await places(mirror, start, hmm.pageSize), 'S');
  await mirror.remove();
}

const { values } = parseArgs({ options: { backend: { type: 'string', default: 'auto' } } });
const hmm = await openHmm({ backend: values.backend as 'auto' });
try {
  console.log(`node-hmm: backend ${hmm.backend}, ${hmm.kernelRelease} (${hmm.backendReason})`);
  const { features } = hmm;
  const space = await hmm.createAddressSpace();
  for (const kind of ['private', 'coherent'] as const) {
    const device = hmm.devices.find((each) => each.kind === kind);
    if (device === undefined) {
      const reason = features.reasons[kind === 'private' ? 'devicePrivate' : 'deviceCoherent'];
      console.log(` no device with ${kind} memory: ${reason}`);
      continue;
    }
    console.log(` device ${device.id}, ${device.capacity} pages of ${kind} memory:`);
    await migrate(hmm, space, device);
  }
  if (features.exclusive) {
    console.log(' exclusive access:');
    await exclusive(hmm, space);
  } else {
    console.log(` no exclusive access: ${features.reasons.exclusive}`);
  }
  console.log('  all as it must be');
} finally {
  await hmm.close();
}
