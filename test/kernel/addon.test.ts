/** The addon by itself: what it refuses, what it survives, and that its numbers are the header's. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as abi from '../../lib/kernel/abi.js';
import type { Channel, Context, Descriptor } from '../../lib/kernel/addon.js';
import { kernelAvailability } from '../../lib/kernel/index.js';
import { MAX_RANGE_PAGES } from '../../lib/constants.js';
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

describe('the layout', () => {
  it('is the header’s', () => {
    const offsets = {
      'hmm_mirror_info.abi_version': abi.INFO.abiVersion,
      'hmm_mirror_info.features': abi.INFO.features,
      'hmm_mirror_info.page_shift': abi.INFO.pageShift,
      'hmm_mirror_info.device_count': abi.INFO.deviceCount,
      'hmm_mirror_info.devices': abi.INFO.devices,
      hmm_mirror_info: abi.INFO.words,
      hmm_mirror_device_info: abi.DEVICE_INFO.words,
      'hmm_mirror_device_info.kind': abi.DEVICE_INFO.kind,
      'hmm_mirror_device_info.capacity': abi.DEVICE_INFO.capacity,
      'hmm_mirror_notifier_insert.start': abi.INSERT.start,
      'hmm_mirror_notifier_insert.length': abi.INSERT.length,
      'hmm_mirror_notifier_insert.flags': abi.INSERT.flags,
      'hmm_mirror_notifier_insert.device': abi.INSERT.device,
      'hmm_mirror_notifier_insert.timeout_ms': abi.INSERT.timeout,
      'hmm_mirror_notifier_insert.id': abi.INSERT.id,
      'hmm_mirror_notifier_id.id': abi.HEAD.id,
      'hmm_mirror_sequence.id': abi.HEAD.id,
      'hmm_mirror_sequence.sequence': abi.SEQUENCE.sequence,
      'hmm_mirror_sequence.retry': abi.SEQUENCE.retry,
      'hmm_mirror_range_fault.id': abi.HEAD.id,
      'hmm_mirror_range_fault.start': abi.RANGE.start,
      'hmm_mirror_range_fault.end': abi.RANGE.end,
      'hmm_mirror_range_fault.sequence': abi.RANGE.sequence,
      'hmm_mirror_range_fault.default_flags': abi.RANGE.defaultFlags,
      'hmm_mirror_range_fault.pfn_flags_mask': abi.RANGE.pfnFlagsMask,
      'hmm_mirror_range_fault.owner_device': abi.RANGE.owner,
      'hmm_mirror_populate.id': abi.HEAD.id,
      'hmm_mirror_populate.start': abi.POPULATE.start,
      'hmm_mirror_populate.end': abi.POPULATE.end,
      'hmm_mirror_populate.pages': abi.POPULATE.pages,
      'hmm_mirror_populate.retries': abi.POPULATE.retries,
      'hmm_mirror_access.id': abi.HEAD.id,
      'hmm_mirror_access.address': abi.ACCESS.address,
      'hmm_mirror_access.length': abi.ACCESS.length,
      'hmm_mirror_access.buffer': abi.ACCESS.buffer,
      'hmm_mirror_access.done': abi.ACCESS.done,
      'hmm_mirror_query.id': abi.HEAD.id,
      'hmm_mirror_query.start': abi.QUERY.start,
      'hmm_mirror_query.end': abi.QUERY.end,
      'hmm_mirror_device_access.device': abi.HEAD.id,
      'hmm_mirror_device_access.address': abi.DEVICE_ACCESS.address,
      'hmm_mirror_device_access.length': abi.DEVICE_ACCESS.length,
      'hmm_mirror_device_access.done': abi.DEVICE_ACCESS.done,
      'hmm_mirror_device_access.stale_address': abi.DEVICE_ACCESS.staleAddress,
      'hmm_mirror_ack.ticket': abi.ACK.ticket,
      'hmm_mirror_ack.result': abi.ACK.result,
      hmm_mirror_event: abi.EVENT.words,
      'hmm_mirror_event.ticket': abi.EVENT.ticket,
      'hmm_mirror_event.start': abi.EVENT.start,
      'hmm_mirror_event.end': abi.EVENT.end,
      'hmm_mirror_event.sequence': abi.EVENT.sequence,
      'hmm_mirror_event.timestamp': abi.EVENT.timestamp,
      'hmm_mirror_event.notifier': abi.EVENT.notifier,
      'hmm_mirror_event.event': abi.EVENT.event,
      'hmm_mirror_event.flags': abi.EVENT.flags,
      'hmm_mirror_event.owner': abi.EVENT.owner,
      'hmm_mirror_event.lost': abi.EVENT.lost,
    };
    const constants = {
      HMM_MIRROR_ABI_VERSION: abi.ABI_VERSION,
      HMM_MIRROR_MAX_DEVICES: abi.MAX_DEVICES,
      HMM_MIRROR_MAX_PAGES: MAX_RANGE_PAGES,
      HMM_MIRROR_NO_DEVICE: abi.NO_DEVICE,
      HMM_MIRROR_DEVICE_NONE: abi.DEVICE_KINDS.indexOf('none'),
      HMM_MIRROR_DEVICE_PRIVATE: abi.DEVICE_KINDS.indexOf('private'),
      HMM_MIRROR_DEVICE_COHERENT: abi.DEVICE_KINDS.indexOf('coherent'),
      HMM_MIRROR_FEATURE_DEVICE_PRIVATE: abi.FEATURE_DEVICE_PRIVATE,
      HMM_MIRROR_FEATURE_DEVICE_COHERENT: abi.FEATURE_DEVICE_COHERENT,
      HMM_MIRROR_FEATURE_EXCLUSIVE: abi.FEATURE_EXCLUSIVE,
      HMM_MIRROR_FEATURE_TRANSPARENT_HUGE_PAGES: abi.FEATURE_TRANSPARENT_HUGE_PAGES,
      HMM_MIRROR_WRITABLE: abi.WRITABLE,
      HMM_MIRROR_SNAPSHOT: abi.SNAPSHOT,
      HMM_MIRROR_NOTIFIER_SYNC: abi.NOTIFIER_SYNC,
      HMM_MIRROR_NOTIFIER_EVENTS: abi.NOTIFIER_EVENTS,
      HMM_MIRROR_NOTIFIER_PAGE_TABLE: abi.NOTIFIER_PAGE_TABLE,
      HMM_MIRROR_EVENT_UNMAP: abi.EVENT_NAMES.indexOf('unmap'),
      HMM_MIRROR_EVENT_CLEAR: abi.EVENT_NAMES.indexOf('clear'),
      HMM_MIRROR_EVENT_PROTECTION_VMA: abi.EVENT_NAMES.indexOf('protection-vma'),
      HMM_MIRROR_EVENT_PROTECTION_PAGE: abi.EVENT_NAMES.indexOf('protection-page'),
      HMM_MIRROR_EVENT_SOFT_DIRTY: abi.EVENT_NAMES.indexOf('soft-dirty'),
      HMM_MIRROR_EVENT_RELEASE: abi.EVENT_NAMES.indexOf('release'),
      HMM_MIRROR_EVENT_MIGRATE: abi.EVENT_NAMES.indexOf('migrate'),
      HMM_MIRROR_EVENT_EXCLUSIVE: abi.EVENT_NAMES.indexOf('exclusive'),
      HMM_MIRROR_EVENT_BLOCKABLE: abi.EVENT_BLOCKABLE,
      HMM_MIRROR_EVENT_TIMED_OUT: abi.EVENT_TIMED_OUT,
    };
    const bytes = Object.fromEntries(Object.entries(offsets).map(([name, at]) => [name, 4 * at]));
    expect(addon.layout).toEqual({ ...bytes, ...constants });
  });

  it('numbers are cut in two words and put together again', () => {
    const words = new Uint32Array(2);
    for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 47 - PAGE, Number.MAX_SAFE_INTEGER]) {
      abi.putNumber(words, 0, value);
      expect(abi.getNumber(words, 0)).toBe(value);
    }
    words.fill(0xffff_ffff);
    expect(abi.getNumber(words, 0)).toBe(2 ** 64);
  });
});

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
      ['query pfns', (bad) => context.query(bad, pfns), [null]],
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
    expect(() => context.query(new BigUint64Array(1), new BigUint64Array(2))).toThrow(RangeError);
    expect(context.rangeFault(new BigUint64Array(2))).toBe(ENOTTY);
    abi.putNumber(context.request, abi.RANGE.end, 2 ** 53 - 1);
    expect(() => context.queryAsync(true)).toThrow(RangeError);
    abi.putNumber(context.request, abi.DEVICE_ACCESS.address, PAGE - 1);
    abi.putNumber(context.request, abi.DEVICE_ACCESS.length, 2);
    expect(() => context.deviceReadAsync(new BigUint64Array(1))).toThrow(RangeError);
    expect(() => context.deviceWriteAsync(new BigUint64Array(1), new Uint8Array(2))).toThrow(RangeError);
    abi.putNumber(context.request, abi.ACCESS.length, 2 ** 53 - 1);
    expect(() => context.readAsync()).toThrow(RangeError);
    expect(() => context.info(new Uint32Array(39))).toThrow(RangeError);
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
    abi.putNumber(context.request, abi.ACCESS.length, 3);
    abi.putNumber(context.request, abi.ACCESS.buffer, 6);
    context.bindPiece(new Uint8Array(8));
    expect(() => context.readBound()).toThrow(RangeError);
    abi.putNumber(context.request, abi.ACCESS.buffer, 5);
    expect(context.readBound()).toBe(ENOTTY);
    context.request.fill(0xffff_ffff);
    expect(() => context.readBound()).toThrow(RangeError);
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
