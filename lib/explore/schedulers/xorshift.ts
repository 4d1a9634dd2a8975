/** xorshift32 of Marsaglia, with 64-bit numbers made of two: fast, and the same everywhere. */
export class Xorshift {
  #state: number;

  constructor(seed: bigint) {
    // Both halves count, and 0, which xorshift never leaves, is no state.
    const mixed = Number(BigInt.asUintN(32, (seed ^ (seed >> 32n)) * 0x9e37_79b1n + 0x7f4a_7c15n));
    this.#state = mixed === 0 ? 1 : mixed | 0;
  }

  next32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  next(): bigint {
    return (BigInt(this.next32()) << 32n) | BigInt(this.next32());
  }

  /** 0 to limit - 1. */
  below(limit: number): number {
    return Math.floor((this.next32() / 2 ** 32) * limit);
  }
}
