/** The addon by itself: what it refuses, and what it survives. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as abi from '../../lib/kernel/abi.js';
import type { Channel, Context, Descriptor } from '../../lib/kernel/addon.js';
import { kernelAvailability } from '../../lib/kernel/index.js';
import { PAGE, addon, loaded } from './support.js';

/** Any file serves for the functions' own checks: what gets through them is answered ENOTTY. */
function anyContext(path = '/dev/zero'): Context {
  const context = addon.openContext(path);
  if (typeof context === 'number') throw new Error(`errno ${context}`);
  return context;
}

function pair(): { channel: Channel; peer: Descriptor } {
  const made = addon.createChannel();
  if (typeof made === 'number') throw new Error(`errno ${made}`);
  return made;
}

/** Opened by the tests that count its descriptors, and by no other: what they left is collected at any time. */
const COUNTED = '/dev/full';

function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((number) => linkOf(number) === COUNTED).length;
}

function linkOf(number: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${number}`);
  } catch {
    // The one that readdir itself had open.
    return null;
  }
}

const ENOTTY = 25;
const EBADF = 9;
const EAGAIN = 11;

// What no argument of any function may be, however it is asked.
const nonsense = [
  undefined,
  null,
  1,
  -1,
  1.5,
  NaN,
  'x',
  true,
  {},
  [],
  Symbol('x'),
  () => 1,
  new Float64Array(4),
  new Proxy({}, {}),
];

describe('bad arguments', () => {
  const u8 = new Uint8Array(8);
  const pfns = new BigUint64Array(1);
  const targets = (): [string, (bad: never) => unknown, readonly unknown[]][] => {
    const context = anyContext();
    const { channel } = pair();
    return [
      ['openContext', (bad) => addon.openContext(bad), ['x']],
      ['createMemoryFile', (bad) => addon.createMemoryFile(bad), [1]],
      ['info', (bad) => context.info(bad), []],
      ['readEvents', (bad) => context.readEvents(bad), []],
      ['context.watch', (bad) => context.watch(bad), [nonsense[11]]],
      ['rangeFault', (bad) => context.rangeFault(bad), []],
      ['rangeFaultAsync', (bad) => context.rangeFaultAsync(bad), []],
      ['bindPfns', (bad) => context.bindPfns(bad), []],
      ['bindPiece', (bad) => context.bindPiece(bad), []],
      ['read', (bad) => context.read(bad), []],
      ['write', (bad) => context.write(bad), []],
      ['writeAsync', (bad) => context.writeAsync(bad), []],
      ['query pfns', (bad) => context.query(bad, pfns, u8), [null]],
      ['query locations', (bad) => context.query(pfns, pfns, bad), []],
      ['query entries', (bad) => context.query(null, bad), []],
      ['queryAsync', (bad) => context.queryAsync(bad), [true]],
      ['deviceReadAsync', (bad) => context.deviceReadAsync(bad), []],
      ['deviceWriteAsync entries', (bad) => context.deviceWriteAsync(bad, u8), []],
      ['deviceWriteAsync bytes', (bad) => context.deviceWriteAsync(pfns, bad), []],
      ['send bytes', (bad) => channel.send(bad, 0), []],
      ['send start', (bad) => channel.send(u8, bad), [1]],
      ['send descriptors', (bad) => channel.send(u8, 0, bad), [undefined, nonsense[9]]],
      ['send descriptor', (bad) => channel.send(u8, 0, [bad] as never), []],
      ['receive', (bad) => channel.receive(bad), []],
      ['channel.watch', (bad) => channel.watch(bad), [nonsense[11]]],
      ['watchWritable', (bad) => channel.watchWritable(bad), [true]],
    ];
  };

  it('throw TypeError or RangeError, and nothing else happens', () => {
    for (const [name, call, allowed] of targets()) {
      for (const bad of nonsense) {
        if (allowed.includes(bad)) continue;
        let thrown: unknown = null;
        try {
          call(bad as never);
        } catch (error) {
          thrown = error;
        }
        const ok = thrown instanceof TypeError || thrown instanceof RangeError;
        expect(ok, `${name}(${typeof bad === 'symbol' ? 'symbol' : typeof bad}): ${String(thrown)}`).toBe(true);
      }
    }
  });

  it('arrays shorter than the request in the block', () => {
    const context = anyContext();
    abi.putNumber(context.request, abi.RANGE.start, 0);
    abi.putNumber(context.request, abi.RANGE.end, 2 * PAGE);
    expect(() => context.rangeFault(new BigUint64Array(1))).toThrow(RangeError);
    expect(() => context.rangeFaultAsync(new BigUint64Array(1))).toThrow(RangeError);
    expect(() => context.query(null, new BigUint64Array(1))).toThrow(RangeError);
    const [one, two] = [new BigUint64Array(1), new BigUint64Array(2)];
    expect(() => context.query(one, two, new Uint8Array(2))).toThrow(RangeError);
    expect(() => context.query(two, two, new Uint8Array(1))).toThrow(RangeError);
    expect(context.query(two, two, new Uint8Array(2))).toBe(ENOTTY);
    expect(context.query(null, two)).toBe(ENOTTY);
    expect(context.rangeFault(new BigUint64Array(2))).toBe(ENOTTY);
    abi.putNumber(context.request, abi.RANGE.end, 2 ** 53 - 1);
    expect(() => context.queryAsync(true)).toThrow(RangeError);
    abi.putNumber(context.request, abi.DEVICE_ACCESS.address, PAGE - 1);
    abi.putNumber(context.request, abi.DEVICE_ACCESS.length, 2);
    expect(() => context.deviceReadAsync(new BigUint64Array(1))).toThrow(RangeError);
    expect(() => context.deviceWriteAsync(new BigUint64Array(1), new Uint8Array(2))).toThrow(RangeError);
    abi.putNumber(context.request, abi.ACCESS.length, 2 ** 53 - 1);
    expect(() => context.readAsync()).toThrow(RangeError);
    expect(() => context.info(new Uint32Array(abi.INFO.words - 1))).toThrow(RangeError);
  });

  it('more than what was bound', () => {
    const context = anyContext();
    abi.putNumber(context.range, abi.RANGE.start, 0);
    abi.putNumber(context.range, abi.RANGE.end, 2 * PAGE);
    expect(() => context.rangeFaultBound()).toThrow(RangeError);
    context.bindPfns(new BigUint64Array(1));
    expect(() => context.rangeFaultBound()).toThrow(RangeError);
    context.bindPfns(new BigUint64Array(2));
    expect(context.rangeFaultBound()).toBe(ENOTTY);
    const { address, length, offset, id } = abi.ACCESS_BOUND;
    context.access[length] = 3;
    context.access[offset] = 6;
    context.bindPiece(new Uint8Array(8));
    expect(() => context.readBound()).toThrow(RangeError);
    context.access[offset] = 5;
    expect(context.readBound()).toBe(ENOTTY);
    for (const field of [id, address, length, offset]) {
      const good = context.access[field]!;
      for (const bad of [NaN, -1, Infinity, 2 ** 54]) {
        context.access[field] = bad;
        expect(() => context.readBound(), `${field}: ${bad}`).toThrow(RangeError);
      }
      context.access[field] = good;
    }
    expect(context.readBound()).toBe(ENOTTY);
  });

  it('a detached buffer is an array of length 0', () => {
    const context = anyContext();
    const pfns = new BigUint64Array(16);
    abi.putNumber(context.request, abi.RANGE.start, 0);
    abi.putNumber(context.request, abi.RANGE.end, 16 * PAGE);
    structuredClone(pfns.buffer, { transfer: [pfns.buffer] });
    expect(() => context.rangeFault(pfns)).toThrow(RangeError);
  });

  it('a buffer that is given away while a request is in flight is let alone', async () => {
    const context = anyContext();
    const pfns = new BigUint64Array(16).fill(7n);
    abi.putNumber(context.request, abi.RANGE.start, 0);
    abi.putNumber(context.request, abi.RANGE.end, 16 * PAGE);
    const reply = context.rangeFaultAsync(pfns);
    structuredClone(pfns.buffer, { transfer: [pfns.buffer] });
    expect((await reply).errno).toBe(ENOTTY);
  });

  it('a path with a null byte', () => {
    expect(() => addon.openContext('/dev/zero\0')).toThrow(TypeError);
    expect(addon.openContext('/no/such/file')).toBe(2);
  });
});

describe('life and death', () => {
  it('functions are bound to what they work on, so they cannot be borrowed', () => {
    const context = anyContext();
    const { channel } = pair();
    const borrowed = (object: object, name: string) => Reflect.get(object, name) as (...args: unknown[]) => unknown;
    expect(Reflect.apply(borrowed(context, 'readRetry'), channel, [])).toBe(ENOTTY);
    expect(Reflect.apply(borrowed(channel, 'receive'), context, [new Uint8Array(1)])).toBe(-EAGAIN);
  });

  it('a descriptor is none because it looks like one', () => {
    const { channel, peer } = pair();
    expect(() => channel.send(Uint8Array.of(1), 0, [{ ...peer }])).toThrow(TypeError);
    expect(() => channel.send(Uint8Array.of(1), 0, [Object.create(peer) as Descriptor])).toThrow(TypeError);
    peer.close();
    expect(peer.number()).toBe(-EBADF);
    expect(() => channel.send(Uint8Array.of(1), 0, [peer])).toThrow(/closed/);
  });

  it('a closed context answers EBADF; closing twice is nothing', async () => {
    const before = openFiles();
    const context = anyContext(COUNTED);
    expect(openFiles()).toBe(before + 1);
    await Promise.all([context.close(), context.close()]);
    expect(openFiles()).toBe(before);
    expect(context.ack()).toBe(EBADF);
    expect(context.readEvents(new Uint8Array(64))).toBe(-EBADF);
    expect((await context.populateAsync()).errno).toBe(EBADF);
    expect(() => context.descriptor()).toThrow(TypeError);
    expect(() => context.watch(() => undefined)).toThrow(TypeError);
    await context.close();
  });

  it('closing does not pull the file from under a request in flight', async () => {
    const before = openFiles();
    const context = anyContext(COUNTED);
    const replies = Array.from({ length: 64 }, () => context.populateAsync());
    const closed = context.close();
    expect((await Promise.all(replies)).map((reply) => reply.errno)).toEqual(Array(64).fill(ENOTTY));
    await closed;
    expect(openFiles()).toBe(before);
  });

  it('a descriptor keeps a file open by itself', async () => {
    const context = anyContext();
    const descriptor = context.descriptor();
    await context.close();
    expect(readFileSync(`/proc/self/fdinfo/${descriptor.number()}`, 'utf8')).toContain('flags');
    descriptor.close();
  });

  it('a channel tells its end, once it is watched, and can be closed in the callback', async () => {
    const { channel, peer } = pair();
    const ended = new Promise<number>((resolve) => {
      channel.watch(() => {
        resolve(channel.receive(new Uint8Array(1)));
        channel.close();
        channel.close();
      });
    });
    channel.ref();
    peer.close();
    expect(await ended).toBe(0);
    expect(channel.receive(new Uint8Array(1))).toBe(-EBADF);
    expect(channel.send(Uint8Array.of(1), 0)).toBe(-EBADF);
    expect(channel.watchWritable(true)).toBe(EBADF);
  });

  it('a full channel says EAGAIN', () => {
    const { channel, peer } = pair();
    const bytes = new Uint8Array(1 << 20);
    let sent = 0;
    for (let last = 1; last > 0; sent += Math.max(last, 0)) {
      last = channel.send(bytes, 0);
      if (last < 0) expect(last).toBe(-EAGAIN);
    }
    expect(sent).toBeGreaterThan(0);
    peer.close();
  });

  it('garbage is collected, with its files', async () => {
    const code = `
      const addon = require(${JSON.stringify(join(loaded.directory, 'hmm_mirror.node'))});
      const { readdirSync } = require('node:fs');
      const count = () => readdirSync('/proc/self/fd').length;
      const before = count();
      const make = () => {
        for (let index = 0; index < 50; index++) {
          addon.createMemoryFile(4096);
          addon.openContext('/dev/zero').populateAsync();
          addon.createChannel();
        }
      };
      make();
      const wait = (left) => {
        gc();
        if (count() <= before) return;
        if (left === 0) throw new Error('still open: ' + (count() - before));
        setTimeout(wait, 10, left - 1);
      };
      setTimeout(wait, 10, 200);
    `;
    expect(await inProcess(['--expose-gc', '-e', code])).toBe(0);
  });

  it('an idle, watched context or channel does not keep the process alive; ref() does', async () => {
    const path = JSON.stringify(join(loaded.directory, 'hmm_mirror.node'));
    const idle = `const { channel } = require(${path}).createChannel(); channel.watch(() => {});`;
    expect(await inProcess(['-e', idle])).toBe(0);
    const referenced = `${idle} channel.ref(); setTimeout(() => process.exit(3), 100).unref();`;
    expect(await inProcess(['-e', referenced])).toBe(3);
  });
});

async function inProcess(args: string[]): Promise<number | null> {
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code));
  });
}

describe('worker threads', () => {
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    const addon = require(workerData);
    const { channel, peer } = addon.createChannel();
    const context = addon.openContext('/dev/zero');
    channel.watch(() => channel.receive(new Uint8Array(64)));
    channel.ref();
    const spin = () => { context.populateAsync().then(spin); addon.createMemoryFile(4096); };
    for (let index = 0; index < 8; index++) spin();
    parentPort.postMessage('running');
  `;

  it('each has its own; they are terminated while in use', async () => {
    const path = join(loaded.directory, 'hmm_mirror.node');
    for (let round = 0; round < 5; round++) {
      const workers = [0, 1].map(() => new Worker(code, { eval: true, workerData: path }));
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
      expect(await Promise.all(workers.map((worker) => worker.terminate()))).toEqual([1, 1]);
    }
    expect(anyContext().ack()).toBe(ENOTTY);
  });

  it('one that ends by itself takes its handles with it', async () => {
    const path = join(loaded.directory, 'hmm_mirror.node');
    const short = `
      const addon = require(require('node:worker_threads').workerData);
      const { channel } = addon.createChannel();
      channel.watch(() => {});
      channel.ref();
      addon.openContext('/dev/zero').populateAsync();
      process.exit(0);
    `;
    const worker = new Worker(short, { eval: true, workerData: path });
    expect(await new Promise((resolve) => worker.once('exit', resolve))).toBe(0);
  });
});

describe('availability', () => {
  it.each([
    ['/dev/no_such_device', /no \/dev\/no_such_device: the module hmm_mirror is not loaded/],
    ['/dev/zero', /\/dev\/zero is not a device of the module hmm_mirror/],
    ['/', /cannot be opened/],
  ])('%s', (device, reason) => {
    expect(kernelAvailability(device)).toEqual({ available: false, reason: expect.stringMatching(reason) as string });
  });
});
