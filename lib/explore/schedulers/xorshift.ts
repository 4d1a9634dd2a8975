/** xorshift32 of Marsaglia, with 64-bit numbers made of two: fast, and the same everywhere. */
export class Xorshift {
  #state = 1;

  constructor(seed: bigint) {
    this.#seed(Number(BigInt.asUintN(32, seed >> 32n)), Number(BigInt.asUintN(32, seed)));
  }

  /** Begins anew, with 64 bits of another generator for a seed. */
  reseed(from: Xorshift): void {
    const high = from.next32();
    this.#seed(high, from.next32());
  }

  /** Both halves count, and 0, which xorshift never leaves, is no state. */
  #seed(high: number, low: number): void {
    const mixed = (Math.imul(high ^ low, 0x9e37_79b1) + 0x7f4a_7c15) | 0;
    this.#state = mixed === 0 ? 1 : mixed;
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
