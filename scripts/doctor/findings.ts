/**
 * ok: it is there, and works. later: it is not there, and nothing has to be done, because it is
 * fetched or built when it is first used. optional: it is not there, and nothing here needs it.
 * missing: something does not work without it.
 */
export type State = 'ok' | 'later' | 'optional' | 'missing';

/** One thing that `doctor` looked at. */
export interface Finding {
  readonly name: string;
  readonly state: State;
  /** What was found, or why not. */
  readonly detail: string;
  /** What to do about it; only where something can be done. */
  readonly advice?: string;
}

function finding(state: State) {
  return (name: string, detail: string, advice?: string): Finding => ({
    name,
    state,
    detail,
    ...(advice === undefined ? {} : { advice }),
  });
}

export const ok = finding('ok');
export const later = finding('later');
export const optional = finding('optional');
export const missing = finding('missing');

/** A table for people: state, name, detail, and the advice below. */
export function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  return findings
    .map(({ name, state, detail, advice }) => {
      const line = `${state.padEnd(8)}  ${name.padEnd(width)}  ${detail}\n`;
      return advice === undefined ? line : `${line}${' '.repeat(10 + width + 2)}→ ${advice}\n`;
    })
    .join('');
}

/** What follows from the findings, for a reader in a hurry. */
export function summary(findings: readonly Finding[]): string {
  const works = (name: string): boolean => findings.find((each) => each.name === name)?.state === 'ok';
  const lacking = findings.filter(({ state }) => state === 'missing').map(({ name }) => name);
  if (!works('Node.js') || !works('simulation')) return `Nothing works yet: ${lacking.join(', ')} missing.`;
  if (works('addon') && works('module')) return 'Works here: the simulation and the real kernel.';
  if (lacking.length === 0) {
    return 'Works here: the simulation. The real kernel is a virtual machine away: node-hmm vm -- COMMAND…';
  }
  return `Works here: the simulation. Not the real kernel, for which ${lacking.join(', ')} ${lacking.length > 1 ? 'are' : 'is'} missing.`;
}

/** @returns the exit status */
export function statusOf(findings: readonly Finding[]): number {
  return findings.some(({ state }) => state === 'missing') ? 1 : 0;
}
