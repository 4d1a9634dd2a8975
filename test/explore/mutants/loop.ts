/** Mistakes in the loop that fills the device's table, and in what it stores. */
import { HMM_PFN_VALID, HMM_PFN_WRITE, type HmmRange, type NotifierRange } from 'node-hmm';
import { Driver } from '../driver.js';

/** A loop like the right one, with its parts to be left out or exchanged. */
export class NoReadRetry extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      return await this.lock.run(async () => {
        await this.store(range);
        return 'ok';
      });
    }
  }
}

export class RetryBeforeLock extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      if (this.notifier.readRetry(range.notifierSequence)) continue;
      return await this.lock.run(async () => {
        await this.store(range);
        return 'ok';
      });
    }
  }
}

export class BusyDoesNotBeginAgain extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      let refused = await this.fault(range);
      while (refused === 'EBUSY') refused = await this.fault(range);
      if (refused !== null) return refused;
      const held = await this.lock.acquire();
      try {
        if (this.notifier.readRetry(range.notifierSequence)) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
  }
}

export class SequenceOnce extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    range.notifierSequence = await this.notifier.readBegin();
    for (;;) {
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      const held = await this.lock.acquire();
      try {
        if (this.notifier.readRetry(range.notifierSequence)) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
  }
}

export class UpdateAfterUnlock extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      const stale = await this.lock.run(() => this.notifier.readRetry(range.notifierSequence));
      if (stale) continue;
      await this.store(range);
      return 'ok';
    }
  }
}

export class SequenceAfterFault extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      const sequence = await this.notifier.readBegin();
      const held = await this.lock.acquire();
      try {
        if (this.notifier.readRetry(sequence)) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
  }
}

export class KeepsPfnsOnRetry extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      // What an earlier turn has faulted in is taken to be there still.
      const missing = range.pfns.some((pfn) => (pfn & HMM_PFN_VALID) === 0n);
      const refused = missing ? await this.fault(range) : null;
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      const held = await this.lock.acquire();
      try {
        if (this.notifier.readRetry(range.notifierSequence)) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
  }
}

export class LockAcrossFault extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const held = await this.lock.acquire();
      try {
        const refused = await this.fault(range);
        if (refused === 'EBUSY') continue;
        if (refused !== null) return refused;
        if (this.notifier.readRetry(range.notifierSequence)) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
  }
}

export class ReadBeginUnderLock extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.lock.run(() => this.notifier.readBegin());
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      const held = await this.lock.acquire();
      try {
        if (this.notifier.readRetry(range.notifierSequence)) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
  }
}

export class KeepsLockOnRetry extends Driver {
  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      await this.lock.acquire();
      if (this.notifier.readRetry(range.notifierSequence)) continue;
      await this.store(range);
      this.lock.release();
      return 'ok';
    }
  }
}

export class OwnSequence extends Driver {
  #invalidated = false;

  override invalidate(range: NotifierRange) {
    this.#invalidated = true;
    return super.invalidate(range);
  }

  override async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const refused = await this.fault(range);
      // Too late: an invalidation may have come during the fault.
      this.#invalidated = false;
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      const held = await this.lock.acquire();
      try {
        if (this.#invalidated) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
  }
}

export class StoresInvalidatedOnError extends Driver {
  override async fault(range: HmmRange): Promise<string | null> {
    const before = range.pfns.slice();
    const refused = await super.fault(range);
    if (refused !== 'EBUSY' || before.every((pfn) => pfn === 0n)) return refused;
    // "It was there a moment ago."
    range.pfns.set(before);
    range.notifierSequence = await this.notifier.readBegin();
    return null;
  }
}

export class SharedRange extends Driver {
  #range: HmmRange | null = null;

  override newRange(write: boolean): HmmRange {
    return (this.#range ??= super.newRange(write));
  }
}

export class WritesAnyway extends Driver {
  override async store(range: HmmRange): Promise<void> {
    await this.setup.world.point('device page table update');
    this.table.update(
      range.start,
      range.pfns.map((pfn) => pfn | HMM_PFN_WRITE),
    );
  }
}
