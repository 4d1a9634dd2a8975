/** What the tests of device memory and of exclusive access share: a process with a mirror of a device, and words for its pages. */
import type { AddressSpace, Device, Hmm, Mirror, NotifierRange, PageState } from 'node-hmm';
import { expect, it, type TestContext } from 'vitest';
import { BASE, GiB, PAGE, bench, map, need, shown, touch, type Feature, type Profile } from './support.js';

export type Kind = 'private' | 'coherent';
export type Needed = Feature;
export { need };

export interface DeviceBench {
  readonly hmm: Hmm;
  readonly profile: Profile;
  readonly space: AddressSpace;
  readonly device: Device;
  /** Of 2 MiB around BASE and what follows, 1 GiB in all. */
  readonly mirror: Mirror;
}

export const SPAN = GiB;

/** A process with a mirror by the first device of that kind, or, for null, by device 0 whatever it is. */
export async function deviceBench(context: TestContext, kind: Kind | null, ...needed: Needed[]): Promise<DeviceBench> {
  const { hmm, space, profile } = await bench();
  const feature = kind === null ? [] : [kind === 'private' ? ('devicePrivate' as const) : ('deviceCoherent' as const)];
  need(context, hmm, ...feature, ...needed);
  const device = hmm.devices.find((each) => kind === null || each.kind === kind)!;
  return { hmm, space, profile, device, mirror: await space.mirror(device, { start: BASE, length: SPAN }) };
}

/** A second device of the same kind. */
export function otherDevice({ hmm, device }: Pick<DeviceBench, 'hmm' | 'device'>): Device {
  return hmm.devices.find((each) => each.kind === device.kind && each !== device)!;
}

export interface OwnedRecorder {
  /** 'migrate 0x0..0x1000 by 0': the last is the owner, of 'migrate' and 'exclusive' alone, '-' for none. */
  take(): string[];
}

/** Everything that happens in the slice around BASE. */
export async function recordOwned(space: AddressSpace): Promise<OwnedRecorder> {
  const seen: string[] = [];
  await space.insertIntervalNotifier(BASE, 512 * GiB, {
    invalidate(range) {
      seen.push(owned(range));
    },
  });
  return { take: () => seen.splice(0) };
}

export function owned({ event, start, end, owner }: NotifierRange): string {
  const by = event === 'migrate' || event === 'exclusive' ? ` by ${owner === null ? '-' : owner.id}` : '';
  return shown(event, start, end) + by;
}

/** migrate and exclusive as events of a device. */
export function migrated(start: number, end: number, device: Device | null): string {
  return `${shown('migrate', BASE + start, BASE + end)} by ${device === null ? '-' : device.id}`;
}

export function exclusive(start: number, end: number, device: Device | null): string {
  return `${shown('exclusive', BASE + start, BASE + end)} by ${device === null ? '-' : device.id}`;
}

export function cleared(start: number, end = start + PAGE): string {
  return shown('clear', BASE + start, BASE + end);
}

/**
 * One word a page: what the process's page table says (V, VW, 0, E), where the page is (s system, z zero page, d the
 * mirror's device, o another), and what the device has (V, VW, X exclusive, - nothing): 'VWd/VW'.
 */
export async function pages(mirror: Mirror, offset: number, length: number): Promise<string[]> {
  const states = await mirror.snapshot(BASE + offset, BASE + offset + length);
  return states.map((state) => wordOf(state, mirror.device));
}

function wordOf({ valid, write, error, location, device }: PageState, own: Device): string {
  const cpu = error ? 'E' : valid ? (write ? 'VW' : 'V') : '0';
  const where =
    location === null ? '' : location === 'system' ? 's' : location === 'zero' ? 'z' : location === own ? 'd' : 'o';
  const entry = device === null ? '-' : device.exclusive ? 'X' : device.write ? 'VW' : 'V';
  return `${cpu}${where}/${entry}`;
}

/** Migrates [offset, offset + length) to the device of the bench. */
export async function toDevice({ mirror }: DeviceBench, offset: number, length = PAGE): Promise<number> {
  return (await mirror.migrateToDevice(BASE + offset, BASE + offset + length)).migrated;
}

export async function toSystem({ mirror }: DeviceBench, offset: number, length = PAGE): Promise<number> {
  return (await mirror.migrateToSystem(BASE + offset, BASE + offset + length)).migrated;
}

export interface Row {
  readonly name: string;
  readonly arrange: (bench: DeviceBench) => Promise<unknown>;
  readonly act: (bench: DeviceBench) => Promise<unknown>;
  /** What act answers, if it matters. */
  readonly answer?: unknown;
  readonly events: (bench: DeviceBench) => readonly string[];
  /** Of [0, pages.length) afterwards. */
  readonly pages?: readonly string[];
}

/** A test a row, by the first device of that kind (null: whatever device 0 is). */
export function rows(kind: Kind | null, needed: readonly Needed[], table: readonly Row[]): void {
  for (const { name, arrange, act, answer, events, pages: expected } of table) {
    it(name, async (context) => {
      const bench = await deviceBench(context, kind, ...needed);
      await arrange(bench);
      const recorder = await recordOwned(bench.space);
      const answered = await act(bench);
      if (answer !== undefined) expect(answered).toEqual(answer);
      expect(recorder.take()).toEqual(events(bench));
      if (expected !== undefined) expect(await pages(bench.mirror, 0, expected.length * PAGE)).toEqual(expected);
    });
  }
}

/** Two pages on the device, written before, so exclusive to the process. */
export async function onDevice(b: DeviceBench, count = 2): Promise<void> {
  await map(b.space, 0, count * PAGE);
  await touch(b.space, 0, count * PAGE);
  await toDevice(b, 0, count * PAGE);
}
