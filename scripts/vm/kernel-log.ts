/** Reads the kernel's console: what is a splat, and what to show of it. */

/** Lines that no healthy run prints; matched after the time stamp has been removed. */
const SPLAT_PATTERNS: readonly RegExp[] = [
  /\bBUG:/,
  /\bkernel BUG at\b/,
  /^WARNING:/,
  /\bKASAN:/,
  /\bUBSAN:/,
  /\bpossible .*(?:dependency|locking|deadlock)/,
  /\binconsistent lock state/,
  /\bINFO: suspicious RCU|\bsuspicious RCU usage/,
  /\bunreferenced object 0x/,
  // A checker that has turned itself off finds nothing any more, which must not look like nothing to find.
  /\bkmemleak: Kernel memory leak detector disabled/,
  /\bturning off the locking correctness validator/,
  /\btrying to register non-static key/,
  /\bgeneral protection/,
  /\bOops\b/,
  /\bhung task/,
  /\bblocked for more than/,
  /\brefcount_t:/,
  /\bsleeping function called/,
  /\bKernel panic - not syncing/,
];

/** Lines shown of one splat: a lockdep report or a stack trace, not the whole log. */
const SPLAT_LINES = 60;

const PREFIX = /^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[[^\]]*\])? ?/;

function isSplatLine(line: string): boolean {
  const text = line.replace(PREFIX, '');
  return SPLAT_PATTERNS.some((pattern) => pattern.test(text));
}

/**
 * Finds the splats in a kernel log.
 * @param log the console's output; CR LF and LF line ends.
 * @returns each splat with its report: up to its own end mark, the next splat after it, or 60 lines.
 */
export function findSplats(log: string): string[] {
  const lines = log.split(/\r?\n/);
  const splats: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (!isSplatLine(lines[i] ?? '')) continue;
    let end = i + 1;
    while (end < lines.length && end - i < SPLAT_LINES && !(lines[end - 1] ?? '').includes('---[ end ')) end++;
    const report = lines.slice(i, end);
    while (report.length > 1 && report.at(-1)?.trim() === '') report.pop();
    splats.push(report.join('\n'));
    i = end - 1;
  }
  return splats;
}

export function logTail(log: string, lines = 40): string {
  const all = log.replaceAll('\r\n', '\n').trimEnd().split('\n');
  return all.slice(-lines).join('\n');
}

export function hasPanicked(log: string): boolean {
  return log.includes('Kernel panic - not syncing');
}

/**
 * A translated processor that got no timer interrupt any more: the kernel finds it idle with a
 * timer that is overdue, and waits for it for ever. Seen under QEMU 10.0.2 in one boot of some 350,
 * on a busy host.
 */
export function hasLostTimer(log: string): boolean {
  return log.includes("kthread timer wakeup didn't happen") && log.includes('Possible timer handling issue on cpu=');
}

/**
 * Faults of QEMU's, not of the kernel's, if the processors are translated. Before 8.1 it may run a
 * stale translation of code that the kernel is just patching, when several processors run in
 * parallel: the kernel then dies of its own breakpoint ("int3"). It patches most while it boots;
 * seen there in up to one boot of twenty, the more the busier the host. Where its clock counts
 * instructions, the first program's first one, "xor %ebp, %ebp" (31 ed), which cannot fault, ends
 * in a general protection fault: one boot of thirty.
 */
export function hasTranslatorFault(splats: readonly string[]): boolean {
  return splats.some(
    (splat) =>
      /\bint3: /.test(splat) ||
      (splat.includes('Attempted to kill init!') && /exc_general_protection[^]*Code: .*<31> ed/.test(splat)),
  );
}
