/**
 * The length of a typed array as the engine knows it. An array's own property can say something else, and memory that is
 * used because of what it says may belong to another array by now.
 */
type TypedArray = Uint8Array | BigUint64Array;

const { apply } = Reflect;
const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
const { get } = Object.getOwnPropertyDescriptor(prototype, 'length') as { get: (this: TypedArray) => number };

/** @returns entries; 0 if its buffer was detached, or shrunk below it */
export function lengthOf(array: TypedArray): number {
  return apply(get, array, []);
}
