/** When the program's own code, which runs in microtasks, has done all that it can do now. */

type Turn = (callback: () => void) => void;
type Globals = { process?: { nextTick?: Turn }; setImmediate?: Turn };

const globals = globalThis as Globals;
/** Calls back after a turn of the event loop. */
export const macrotask: Turn = globals.setImmediate ?? ((callback) => void setTimeout(callback, 0));
// Where it exists it runs when no microtask is left, and before anything else does: a tenth of a turn of the event loop.
const nextTick: Turn | undefined = globals.process?.nextTick?.bind(globals.process);
const RESOLVED = Promise.resolve();

/** Ticks in a row, before timers and sockets get a turn. */
const TICKS_PER_TURN = 256;

/** Calls back after every microtask that is queued now, and all that those queue: nothing is counted or guessed. */
export function afterMicrotasks(callback: () => void): void {
  if (nextTick === undefined) macrotask(callback);
  // From inside a microtask: a tick that is asked for by a tick comes before the microtasks that it made.
  else void RESOLVED.then(() => nextTick(callback));
}

/** The same, with a turn of the event loop every so often, for a program that may run for long. */
export function fairly(): Turn {
  let ticks = 0;
  return (callback) => {
    if (++ticks % TICKS_PER_TURN === 0) macrotask(callback);
    else afterMicrotasks(callback);
  };
}

/** After the code that runs now has returned to its caller's caller: one microtask. */
export function afterThisJob(callback: () => void): void {
  void RESOLVED.then(callback);
}
