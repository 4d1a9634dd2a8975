import type { Progress } from '../tools.js';

/** A line of Kbuild's for a file that it makes: two spaces, the tool in capitals, perhaps [M], the file. */
const COMPILED = /^ {2}(?:CC|AS|HOSTCC)(?: \[M\])? +\S+/;

const INTERVAL_MS = 30_000;

/** Says now and then how far a build is: a compiler's every line would be a flood, and none a hang. */
export class CompileCounter {
  readonly #name: string;
  readonly #progress: Progress;
  readonly #now: () => number;
  readonly #start: number;
  #said: number;
  #files = 0;

  constructor(name: string, progress: Progress, now: () => number = () => performance.now()) {
    this.#name = name;
    this.#progress = progress;
    this.#now = now;
    this.#start = now();
    this.#said = this.#start;
  }

  see(line: string): void {
    if (!COMPILED.test(line)) return;
    this.#files++;
    if (this.#now() - this.#said < INTERVAL_MS) return;
    this.#said = this.#now();
    this.#say('so far');
  }

  end(): void {
    this.#say('in all');
  }

  #say(extent: string): void {
    const seconds = Math.round((this.#now() - this.#start) / 1000);
    const time = `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    this.#progress(`${this.#name}: ${this.#files} files compiled ${extent}, ${time}`);
  }
}
