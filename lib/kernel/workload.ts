/** A mirrored process: the workload program, its threads and its children, as promises. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { BackendFile, OperationResult } from '../backend.js';
import { HmmError, errorOfErrno } from '../errors.js';
import type { Operation } from '../operations.js';
import type { Addon, Channel, Descriptor, LoadedAddon } from './addon.js';
import { Batch } from './batch.js';
import { RequestChannel, type ChannelOwner } from './channel.js';
import {
  FRAME_EXIT,
  FRAME_FORK,
  FRAME_THREAD,
  RECORD_HELLO,
  RECORD_RESULT,
  encodeControl,
  encodeOperations,
  type Reply,
} from './protocol.js';

/** An Operation's file, on this backend. */
export interface FileWithDescriptor extends BackendFile {
  readonly descriptor: Descriptor;
}

export interface WorkloadOptions {
  /** The CPU that the process, and what it forks, stays on. Default: any. */
  readonly cpu?: number | null;
}

/** The program: beside the addon, built here or brought along. */
export function workloadPath(loaded: LoadedAddon): string {
  return join(loaded.directory, 'hmm_workload');
}

interface Pair {
  readonly channel: Channel;
  readonly peer: Descriptor;
}

/** One record of a kind, the answer to a frame without operations. */
class SingleReply {
  readonly #kind: number;
  reply: Reply | null = null;

  constructor(kind: number) {
    this.#kind = kind;
  }

  get complete(): boolean {
    return this.reply !== null;
  }

  record(reply: Reply): void {
    if (reply.kind !== this.#kind) throw new Error(`the workload program sent a record of kind ${reply.kind}`);
    this.reply = reply;
  }

  data(): void {
    throw new Error('the workload program sent bytes that nobody asked for');
  }
}

/**
 * A process. Two sockets lead to it from the start: `control`, to its main thread, which is thread 0 of run(), and
 * `service`, to a thread that only makes others, so that a new thread need not wait for what the main thread does.
 */
export class Workload implements ChannelOwner {
  readonly #addon: Addon;
  readonly #control: RequestChannel;
  readonly #service: RequestChannel;
  readonly #threads = new Map<number, Promise<RequestChannel>>();
  readonly #openChannels = new Set<RequestChannel>();
  /** How the process ended, once it has; null for a forked one, whose status nobody here can ask for. */
  readonly #death: Promise<string> | null;
  readonly #child: ChildProcess | null;
  readonly #gone: Promise<void>;
  #pid = 0;
  #alive = true;
  #exiting = false;
  #onGone: () => void = () => undefined;

  private constructor(addon: Addon, control: Channel, service: Channel, child: ChildProcess | null) {
    this.#addon = addon;
    this.#child = child;
    this.#death = child === null ? null : deathOf(child);
    this.#gone = new Promise((resolve) => (this.#onGone = resolve));
    this.#control = this.#adopt(control);
    this.#service = this.#adopt(service);
  }

  /**
   * Starts a process that binds itself to the device.
   * @param device null, in tests of the process alone: it binds itself to nothing
   * @throws {HmmError} what binding was refused with; ERR_HMM_NO_KERNEL if the program cannot be started
   */
  static async start(loaded: LoadedAddon, device: Descriptor | null, options: WorkloadOptions = {}): Promise<Workload> {
    const [control, service] = createPairs(loaded.addon);
    let child: ChildProcess;
    try {
      child = spawn(
        workloadPath(loaded),
        [process.pid, 3, 4, device === null ? -1 : 5, options.cpu ?? -1].map(String),
        {
          stdio: [
            'ignore',
            'ignore',
            'ignore',
            control.peer.number(),
            service.peer.number(),
            ...(device === null ? [] : [device.number()]),
          ],
          env: {},
          // A session of its own: the terminal's SIGINT is Node's to handle, and what it does about its processes, too.
          detached: true,
        },
      );
    } catch (cause) {
      closePairs(control, service);
      throw new HmmError('ERR_HMM_NO_KERNEL', 'spawn', 'the workload program cannot be started', { cause });
    }
    child.unref();
    // Ours would hide the end of the process: the socket has not ended while anyone holds the other end.
    control.peer.close();
    service.peer.close();
    return await new Workload(loaded.addon, control.channel, service.channel, child).#greeted();
  }

  get pid(): number {
    return this.#pid;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Resolves when the process has gone, and with it its address space: its sockets are closed after that. */
  get gone(): Promise<void> {
    return this.#gone;
  }

  /** Runs the operations in order on one thread. ESRCH, and some may have been done, if the process goes away meanwhile. */
  async run(thread: number, operations: readonly Operation<FileWithDescriptor>[]): Promise<OperationResult[]> {
    if (!this.#alive) throw await this.goneError('run');
    const batch = new Batch(operations);
    const frames = encodeOperations(operations);
    // A batch of nothing is how a thread is started ahead of its first operation.
    const channel = thread === 0 ? this.#control : await this.#thread(thread);
    // The last frame's request is complete when the batch is; those before have no more to wait for than their order.
    const sink = { record: (reply: Reply) => batch.record(reply), data: (bytes: Uint8Array) => batch.data(bytes) };
    let end = 0;
    await Promise.all(
      frames.map(({ bytes, files, count }) => {
        const target = (end += count);
        const part = {
          ...sink,
          get complete() {
            return batch.results.length === target;
          },
        };
        const descriptors = files.map((file) => file.descriptor);
        return channel.request('run', part, bytes, descriptors);
      }),
    );
    return batch.results;
  }

  /** fork(2) on the main thread, after what it was given to do. The child binds itself to the device. */
  async fork(device: Descriptor | null): Promise<Workload> {
    if (!this.#alive) throw await this.goneError('fork');
    const [control, service] = createPairs(this.#addon);
    const result = new SingleReply(RECORD_RESULT);
    const files = [control.peer, service.peer, ...(device === null ? [] : [device])];
    try {
      await this.#control.request('fork', result, encodeControl(FRAME_FORK, files.length), files);
      if (result.reply!.error !== 0) throw errorOfErrno(result.reply!.error, 'fork');
    } catch (error) {
      closePairs(control, service);
      throw error;
    }
    control.peer.close();
    service.peer.close();
    return await new Workload(this.#addon, control.channel, service.channel, null).#greeted();
  }

  /** _exit(0) on the main thread, after what it was given to do. Resolves when the address space has gone. Idempotent. */
  async exit(): Promise<void> {
    if (this.#alive && !this.#exiting) {
      this.#exiting = true;
      this.#control.send(encodeControl(FRAME_EXIT, 0));
    }
    if (this.#alive) this.#control.awaitEnd();
    await this.#gone;
  }

  /** @internal ChannelOwner: the first channel that ends stands for all, since only the process's end closes them. */
  ended(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const channel of this.#openChannels) channel.close();
    this.#openChannels.clear();
    this.#onGone();
  }

  /** @internal ChannelOwner */
  async goneError(syscall: string): Promise<HmmError> {
    // Our own end of the sockets is closed, so the loop has nothing else to stay alive for.
    this.#child?.ref();
    const how = this.#death === null ? 'has gone' : await this.#death;
    this.#child?.unref();
    return new HmmError('ESRCH', syscall, `process ${this.#pid} ${how}`);
  }

  #adopt(native: Channel): RequestChannel {
    const channel = new RequestChannel(native, this);
    this.#openChannels.add(channel);
    return channel;
  }

  async #greeted(): Promise<this> {
    const hello = new SingleReply(RECORD_HELLO);
    try {
      await this.#control.request('spawn', hello, null);
    } catch (error) {
      throw new HmmError('ERR_HMM_NO_KERNEL', 'spawn', 'the workload program did not start', { cause: error });
    }
    const { value, error } = hello.reply!;
    this.#pid = value;
    if (error === 0) return this;
    await this.exit();
    throw errorOfErrno(error, 'bind');
  }

  #thread(number: number): Promise<RequestChannel> {
    let thread = this.#threads.get(number);
    if (thread === undefined) {
      thread = this.#startThread();
      this.#threads.set(number, thread);
      // One that could not be made may be possible later.
      thread.catch(() => this.#threads.delete(number));
    }
    return thread;
  }

  async #startThread(): Promise<RequestChannel> {
    const pair = createPair(this.#addon);
    const result = new SingleReply(RECORD_RESULT);
    try {
      await this.#service.request('clone', result, encodeControl(FRAME_THREAD, 1), [pair.peer]);
      if (result.reply!.error !== 0) throw errorOfErrno(result.reply!.error, 'clone');
      if (!this.#alive) throw await this.goneError('clone');
    } catch (error) {
      closePairs(pair);
      throw error;
    }
    pair.peer.close();
    return this.#adopt(pair.channel);
  }
}

/** How the process ended, as the rest of a sentence. */
function deathOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => {
      if (signal !== null) resolve(`was ended by ${signal}`);
      else resolve(code === 0 ? 'has exited' : `ended with status ${code}`);
    });
  });
}

function createPair(addon: Addon): Pair {
  const pair = addon.createChannel();
  if (typeof pair === 'number') throw errorOfErrno(pair, 'socketpair');
  return pair;
}

function createPairs(addon: Addon): [Pair, Pair] {
  const first = createPair(addon);
  try {
    return [first, createPair(addon)];
  } catch (error) {
    closePairs(first);
    throw error;
  }
}

function closePairs(...pairs: Pair[]): void {
  for (const { channel, peer } of pairs) {
    channel.close();
    peer.close();
  }
}
