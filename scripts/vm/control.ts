/** The conversation with the guest's first program; guest/guest.h describes its side. */

/** Of a terminal, in characters. */
export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
}

export interface Job {
  /** Path of the module to load, on the host. */
  readonly module?: string;
  readonly moduleParameters?: string;
  readonly cwd: string;
  /** Directories covered by an empty, writable file system. */
  readonly scratch: readonly string[];
  /** Paths below those that stay visible. */
  readonly keep: readonly string[];
  /** Directories mounted writable, in the order of QEMU's shares. */
  readonly writable: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Standard input comes from the host; else the command has none. */
  readonly input?: boolean;
  /** A terminal for the command's input and output; `error`: for its standard error as well. */
  readonly terminal?: WindowSize & { readonly error: boolean };
  readonly argv: readonly string[];
}

/** NUL-terminated strings, alternately key and value, ended by the key "end" with an empty value. */
export function encodeJob(job: Job): Buffer {
  const fields: [string, string][] = [];
  if (job.module !== undefined) fields.push(['module', job.module], ['parameters', job.moduleParameters ?? '']);
  fields.push(['cwd', job.cwd]);
  for (const path of job.scratch) fields.push(['scratch', path]);
  for (const path of job.keep) fields.push(['keep', path]);
  for (const path of job.writable) fields.push(['writable', path]);
  for (const [name, value] of Object.entries(job.env)) fields.push(['env', `${name}=${value}`]);
  if (job.terminal !== undefined) {
    fields.push(['terminal', `${job.terminal.rows} ${job.terminal.columns}`]);
    if (job.terminal.error) fields.push(['terminal-error', '']);
  } else if (job.input === true) {
    fields.push(['input', '']);
  }
  for (const argument of job.argv) fields.push(['arg', argument]);
  for (const [key, value] of fields) {
    if (value.includes('\0')) throw new TypeError(`the ${key} ${JSON.stringify(value)} contains a NUL character`);
  }
  return Buffer.from([...fields, ['end', '']].map(([key, value]) => `${key}\0${value}\0`).join(''));
}

/** What the host says after the job; guest/guest.h. */
export const HostLine = {
  endOfInput: (bytes: number) => `end-of-input ${bytes}\n`,
  resize: ({ rows, columns }: WindowSize) => `resize ${rows} ${columns}\n`,
  drained: 'drained\n',
} as const;

export type GuestMessage =
  | { readonly kind: 'boot'; readonly release: string }
  | { readonly kind: 'started' }
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: number }
  | { readonly kind: 'output'; readonly stdout: number; readonly stderr: number }
  | { readonly kind: 'unloaded' }
  | { readonly kind: 'loaded'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'done' };

/** @throws Error on a line that is none of the guest's. */
export function parseGuestLine(line: string): GuestMessage {
  const space = line.indexOf(' ');
  const kind = space < 0 ? line : line.slice(0, space);
  const rest = space < 0 ? '' : line.slice(space + 1);
  switch (kind) {
    case 'boot':
      return { kind, release: rest };
    case 'started':
    case 'unloaded':
    case 'done':
      return { kind };
    case 'exit':
      return { kind, code: Number(rest) };
    case 'signal':
      return { kind, signal: Number(rest) };
    case 'output': {
      const [stdout, stderr] = rest.split(' ').map(Number);
      if (stdout === undefined || stderr === undefined) break;
      return { kind, stdout, stderr };
    }
    case 'loaded':
    case 'failed':
      return { kind, reason: rest };
  }
  throw new Error(`the guest said ${JSON.stringify(line)}, which nobody understands`);
}

/** Cuts a stream of bytes into lines; a line may arrive in pieces. */
export class LineSplitter {
  #rest = '';
  readonly #decoder = new TextDecoder();

  push(chunk: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines;
  }
}
