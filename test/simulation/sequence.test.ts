import { describe, expect, test } from 'vitest';
import { Engine } from '../../lib/simulation/engine/engine.js';
import { Subscriptions } from '../../lib/simulation/notifiers.js';
import type { IntervalNotifier, NotifierRange } from '../../lib/simulation/notifiers.js';

class Protocol {
  readonly engine = new Engine(null);
  readonly subscriptions = new Subscriptions(this.engine);
  readonly calls: [string, number][] = [];

  insert(name: string, start: number, length: number): IntervalNotifier {
    const notifier: IntervalNotifier = this.subscriptions.insert(start, length, {
      invalidate: (_range, sequence) => {
        notifier.setSequence(sequence);
        this.calls.push([name, sequence]);
        return null;
      },
    });
    return notifier;
  }

  start(start: number, end: number): NotifierRange {
    const range: NotifierRange = { start, end, event: 'clear', owner: null };
    expect(this.subscriptions.start(range)).toBeNull();
    return range;
  }

  end(range: NotifierRange): void {
    this.subscriptions.end(range);
  }

  readBegin(notifier: IntervalNotifier): number | Promise<number> {
    return this.engine.start('read_begin', this.subscriptions.readBegin(notifier));
  }

  remove(notifier: IntervalNotifier): void | Promise<void> {
    return this.engine.start('remove', this.subscriptions.remove(notifier));
  }
}

describe('mmu_interval_notifier', () => {
  test('the sequence begins at 2, a first notifier at 1, and an overlapping event takes it to 3 and 4', () => {
    const protocol = new Protocol();
    expect(protocol.subscriptions.sequence).toBe(2);
    const notifier = protocol.insert('a', 0, 4096);
    expect(notifier.sequence).toBe(1);
    expect(protocol.readBegin(notifier)).toBe(1);
    const range = protocol.start(0, 4096);
    expect([protocol.subscriptions.sequence, notifier.sequence]).toEqual([3, 3]);
    expect(notifier.readRetry(1)).toBe(true);
    protocol.end(range);
    expect(protocol.subscriptions.sequence).toBe(4);
    expect(protocol.readBegin(notifier)).toBe(3);
    expect(notifier.readRetry(3)).toBe(false);
  });

  test('an event that overlaps nothing leaves the sequence alone', () => {
    const protocol = new Protocol();
    const notifier = protocol.insert('a', 8192, 4096);
    const range = protocol.start(0, 8192);
    expect(protocol.subscriptions.sequence).toBe(2);
    protocol.end(range);
    expect([protocol.subscriptions.sequence, notifier.sequence]).toEqual([2, 1]);
    expect(protocol.calls).toEqual([]);
  });

  test('nested events share the sequence, which steps at the outermost end', () => {
    const protocol = new Protocol();
    protocol.insert('a', 0, 8192);
    const outer = protocol.start(0, 8192);
    const inner = protocol.start(0, 4096);
    protocol.end(inner);
    expect(protocol.subscriptions.sequence).toBe(3);
    protocol.end(outer);
    expect(protocol.subscriptions.sequence).toBe(4);
    expect(protocol.calls).toEqual([
      ['a', 3],
      ['a', 3],
    ]);
  });

  test('read_begin waits for the last end if this notifier was hit, and does not if another was', async () => {
    const protocol = new Protocol();
    const hit = protocol.insert('hit', 0, 4096);
    const other = protocol.insert('other', 8192, 4096);
    const first = protocol.start(0, 4096);
    const second = protocol.start(0x10_0000, 0x10_1000);
    expect(protocol.readBegin(other)).toBe(1);
    const waiting = protocol.readBegin(hit);
    expect(waiting).toBeInstanceOf(Promise);
    protocol.end(first);
    expect(protocol.subscriptions.sequence).toBe(3);
    protocol.end(second);
    expect(await waiting).toBe(3);
    expect(protocol.subscriptions.sequence).toBe(4);
  });

  test('insertion under an event: odd at once, and read_begin waits, although no callback ran', async () => {
    const protocol = new Protocol();
    const range = protocol.start(0, 4096);
    const notifier = protocol.insert('new', 0, 4096);
    expect([protocol.subscriptions.sequence, notifier.sequence, notifier.inserted]).toEqual([3, 3, true]);
    const waiting = protocol.readBegin(notifier);
    protocol.end(range);
    expect(await waiting).toBe(3);
    expect(protocol.calls).toEqual([]);
  });

  test('insertion in an odd period is deferred, and hit by nothing until its end', () => {
    const protocol = new Protocol();
    protocol.insert('a', 0, 4096);
    const range = protocol.start(0, 4096);
    const late = protocol.insert('late', 0, 4096);
    expect([late.inserted, late.sequence]).toEqual([false, 3]);
    const nested = protocol.start(0, 4096);
    protocol.end(nested);
    expect(protocol.calls.map(([name]) => name)).toEqual(['a', 'a']);
    protocol.end(range);
    expect(late.inserted).toBe(true);
    protocol.end(protocol.start(0, 4096));
    expect(protocol.calls.slice(2)).toEqual([
      ['a', 5],
      ['late', 5],
    ]);
  });

  test('the deferred are worked off last in first: of equal starts the later insertion comes first', () => {
    const protocol = new Protocol();
    protocol.insert('a', 4096, 4096);
    const range = protocol.start(4096, 8192);
    protocol.insert('one', 0, 8192);
    protocol.insert('two', 0, 8192);
    protocol.end(range);
    protocol.end(protocol.start(0, 4096));
    expect(protocol.calls.slice(1).map(([name]) => name)).toEqual(['two', 'one']);
  });

  test('removal: at once while even, at the end while odd, and of a deferred insertion without waiting', async () => {
    const protocol = new Protocol();
    const a = protocol.insert('a', 0, 4096);
    const b = protocol.insert('b', 8192, 4096);
    const unrelated = protocol.start(0x10_0000, 0x10_1000);
    expect(protocol.remove(b)).toBeUndefined();
    protocol.end(unrelated);

    const range = protocol.start(0, 4096);
    const late = protocol.insert('late', 0, 4096);
    expect(protocol.remove(late)).toBeUndefined();
    const removal = protocol.remove(a);
    expect(removal).toBeInstanceOf(Promise);
    protocol.end(protocol.start(0, 4096));
    expect(protocol.calls.at(-1)).toEqual(['a', 3]);
    protocol.end(range);
    await removal;
    expect(protocol.subscriptions.size).toBe(0);
  });

  test('length 0 is EOVERFLOW', () => {
    expect(() => new Protocol().insert('a', 0, 0)).toThrow(
      expect.objectContaining({ code: 'EOVERFLOW', errno: 75 }) as Error,
    );
  });
});
