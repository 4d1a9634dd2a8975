/** Mistakes in the loop that fills the device's table, and in what it stores. */
import { HMM_PFN_VALID, HMM_PFN_WRITE, type HmmRange, type NotifierRange } from 'node-hmm';
import { Driver } from '../driver.js';

export class NoReadRetry extends Driver {
  override isStale(): boolean {
    return false;
  }
}

export class RetryBeforeLock extends Driver {
  override async commit(range: HmmRange): Promise<boolean> {
    if (this.isStale(range)) return false;
    await this.lock.run(() => this.store(range));
    return true;
  }
}

export class BusyDoesNotBeginAgain extends Driver {
  override async fault(range: HmmRange): Promise<string | null> {
    for (;;) {
      const refused = await super.fault(range);
      if (refused !== 'EBUSY') return refused;
    }
  }
}

export class SequenceOnce extends Driver {
  #begun: HmmRange | null = null;

  override async begin(range: HmmRange): Promise<void> {
    if (this.#begun !== range) await super.begin(range);
    this.#begun = range;
  }
}

export class UpdateAfterUnlock extends Driver {
  override async commit(range: HmmRange): Promise<boolean> {
    if (await this.lock.run(() => this.isStale(range))) return false;
    await this.store(range);
    return true;
  }
}

export class SequenceAfterFault extends Driver {
  override async commit(range: HmmRange): Promise<boolean> {
    await this.begin(range);
    return await super.commit(range);
  }
}

export class KeepsPfnsOnRetry extends Driver {
  override async fault(range: HmmRange): Promise<string | null> {
    // What an earlier turn has faulted in is taken to be there still.
    if (range.pfns.every((pfn) => (pfn & HMM_PFN_VALID) !== 0n)) return null;
    return await super.fault(range);
  }
}

export class LockAcrossFault extends Driver {
  override async fault(range: HmmRange): Promise<string | null> {
    return await this.lock.run(() => super.fault(range));
  }
}

export class ReadBeginUnderLock extends Driver {
  override async begin(range: HmmRange): Promise<void> {
    await this.lock.run(() => super.begin(range));
  }
}

export class KeepsLockOnRetry extends Driver {
  override async commit(range: HmmRange): Promise<boolean> {
    await this.lock.acquire();
    if (this.isStale(range)) return false;
    await this.store(range);
    this.lock.release();
    return true;
  }
}

export class OwnSequence extends Driver {
  #invalidated = false;

  override invalidate(range: NotifierRange) {
    this.#invalidated = true;
    return super.invalidate(range);
  }

  override async fault(range: HmmRange): Promise<string | null> {
    const refused = await super.fault(range);
    // Too late: an invalidation may have come during the fault.
    this.#invalidated = false;
    return refused;
  }

  override isStale(): boolean {
    return this.#invalidated;
  }
}

export class StoresInvalidatedOnError extends Driver {
  override async fault(range: HmmRange): Promise<string | null> {
    const before = range.pfns.slice();
    const refused = await super.fault(range);
    if (refused !== 'EBUSY' || before.every((pfn) => pfn === 0n)) return refused;
    // "It was there a moment ago."
    range.pfns.set(before);
    await this.begin(range);
    return null;
  }
}

export class SharedRange extends Driver {
  #range: HmmRange | null = null;

  override newRange(request: bigint): HmmRange {
    return (this.#range ??= super.newRange(request));
  }
}

export class WritesAnyway extends Driver {
  override store(range: HmmRange): Promise<void> {
    range.pfns.forEach((pfn, page) => (range.pfns[page] = pfn | HMM_PFN_WRITE));
    return super.store(range);
  }
}
