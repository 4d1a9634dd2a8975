/**
 * The length of a typed array as the engine knows it. An array's own property can say something else, and memory that is
 * used because of what it says may belong to another array by now.
 */
const { apply } = Reflect;
const getter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype) as object, 'length')!
  .get as () => number;

/** @returns entries; 0 if its buffer was detached, or shrunk below it */
export function lengthOf(array: Uint8Array | BigUint64Array): number {
  return apply(getter, array, []) as number;
}
