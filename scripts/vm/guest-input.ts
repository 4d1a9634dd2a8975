import type { Readable } from 'node:stream';

import { HostLine, type WindowSize } from './control.js';

/** Standard input of the command. */
export interface GuestInput {
  readonly stream: Readable;
  /** Set: the command gets a terminal, in place of pipes. */
  readonly terminal?: HostTerminal;
}

/** The terminal that the command's is shown on. */
export interface HostTerminal {
  readonly size: () => WindowSize;
  /** Whether standard error is this terminal, too. */
  readonly error: boolean;
  /**
   * From now on every key is the command's, Ctrl-C as well, and `resized` is called when the window
   * changes.
   */
  readonly enter: (resized: () => void) => void;
  readonly leave: () => void;
  /** Ends the machine; the one key that is not the command's. */
  readonly escape: () => void;
}

/** Ctrl-], as of telnet: programs hardly use it. */
export const ESCAPE = 0x1d;

/** Where it goes: QEMU's ports. */
export interface InputPorts {
  readonly write: (chunk: Buffer) => boolean;
  readonly onDrain: (resume: () => void) => void;
  readonly say: (line: string) => void;
}

/** Passes the input on while the command runs, no faster than it is read. */
export class InputRelay {
  readonly #input: GuestInput;
  readonly #ports: InputPorts;
  readonly #fail: (error: unknown) => void;
  #bytes = 0;
  #started = false;
  #stopped = false;

  constructor(input: GuestInput, ports: InputPorts, fail: (error: unknown) => void) {
    this.#input = input;
    this.#ports = ports;
    this.#fail = fail;
  }

  /** The command runs: what was typed before waits in the stream. */
  start(): void {
    const { stream, terminal } = this.#input;
    this.#started = true;
    terminal?.enter(() => this.#ports.say(HostLine.resize(terminal.size())));
    // The window may have changed since the machine was told its size.
    if (terminal !== undefined) this.#ports.say(HostLine.resize(terminal.size()));
    stream.on('data', this.#take);
    stream.once('end', this.#end);
    stream.once('error', this.#fail);
    if (stream.readableEnded) this.#end();
  }

  /** The command has ended, or the machine. */
  stop(): void {
    if (!this.#started || this.#stopped) return;
    this.#stopped = true;
    const { stream, terminal } = this.#input;
    stream.off('data', this.#take).off('end', this.#end);
    stream.pause();
    terminal?.leave();
  }

  readonly #take = (chunk: Buffer): void => {
    const { stream, terminal } = this.#input;
    if (terminal !== undefined && chunk.includes(ESCAPE)) {
      terminal.escape();
      return;
    }
    this.#bytes += chunk.length;
    if (this.#ports.write(chunk)) return;
    stream.pause();
    this.#ports.onDrain(() => {
      if (!this.#stopped) stream.resume();
    });
  };

  readonly #end = (): void => {
    // A terminal that is gone takes this process with it (SIGHUP); there is no end to tell.
    if (!this.#stopped && this.#input.terminal === undefined) this.#ports.say(HostLine.endOfInput(this.#bytes));
  };
}
