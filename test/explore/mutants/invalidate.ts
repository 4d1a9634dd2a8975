/** Mistakes in invalidate(), and at the end of the driver. */
import type { HmmRange, NotifierRange } from 'node-hmm';
import { Driver, PAGE } from '../driver.js';

export class NoLockInInvalidate extends Driver {
  override invalidate(range: NotifierRange): void {
    this.table.invalidate(range.start, range.end);
  }
}

export class FirstPageOnly extends Driver {
  override invalidate(range: NotifierRange) {
    return this.lock.run(() => this.table.invalidate(range.start, range.start + PAGE));
  }
}

export class OffByOne extends Driver {
  override invalidate(range: NotifierRange) {
    return this.lock.run(() => this.table.invalidate(range.start + PAGE, range.end));
  }
}

export class OnlyWhenCovered extends Driver {
  override invalidate(range: NotifierRange) {
    const { start, end } = this.setup;
    // An event is not clipped to the interval, nor does it cover it.
    if (range.start > start || range.end < end) return;
    return this.lock.run(() => this.table.invalidate(range.start, range.end));
  }
}

export class IgnoresEveryMigration extends Driver {
  override invalidate(range: NotifierRange) {
    if (range.event === 'migrate') return;
    return super.invalidate(range);
  }
}

export class IgnoresOwnMigrationOfOther extends Driver {
  override invalidate(range: NotifierRange) {
    // The wrong owner: that of the other device.
    if (range.event === 'migrate' && range.owner !== this.device) return;
    return super.invalidate(range);
  }
}

export class DoesNothing extends Driver {
  override invalidate(): boolean {
    return true;
  }
}

export class DoesItLater extends Driver {
  override invalidate(range: NotifierRange): void {
    void super.invalidate(range);
  }
}

export class IgnoresProtection extends Driver {
  override invalidate(range: NotifierRange) {
    if (range.event === 'protection-vma') return;
    return super.invalidate(range);
  }
}

export class IgnoresFork extends Driver {
  override invalidate(range: NotifierRange) {
    if (range.event === 'protection-page') return;
    return super.invalidate(range);
  }
}

export class IgnoresClear extends Driver {
  override invalidate(range: NotifierRange) {
    if (range.event === 'clear') return;
    return super.invalidate(range);
  }
}

export class MappedFlag extends Driver {
  #mapped = false;

  override invalidate(range: NotifierRange) {
    // Nothing to do before the first populate has come to its end.
    if (!this.#mapped) return;
    return super.invalidate(range);
  }

  override async populate(request?: bigint): Promise<string> {
    const outcome = await super.populate(request);
    this.#mapped = true;
    return outcome;
  }
}

export class SkipsWhenBusy extends Driver {
  #busy = false;

  override invalidate(range: NotifierRange) {
    // mutex_trylock, and the failure taken for "somebody else does it".
    if (this.#busy) return true;
    return super.invalidate(range);
  }

  override async store(range: HmmRange): Promise<void> {
    this.#busy = true;
    await super.store(range);
    this.#busy = false;
  }
}

export class KeepsEntriesOnDetach extends Driver {
  override async detach(): Promise<void> {
    await this.notifier.remove();
  }
}

export class ClearsAfterRemove extends Driver {
  override async detach(): Promise<void> {
    await this.notifier.remove();
    const { start, end } = this.setup;
    await this.lock.run(() => this.table.invalidate(start, end));
  }
}

export class WaitsForReaper extends Driver {
  override invalidate(range: NotifierRange) {
    return this.lock.run(() => this.table.invalidate(range.start, range.end));
  }
}

export class AnswersReaper extends Driver {
  override invalidate(range: NotifierRange): void | boolean | Promise<void | boolean> {
    return range.blockable ? super.invalidate(range) : false;
  }
}
