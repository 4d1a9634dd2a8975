/** One thing that `doctor` looked at. */
export interface Finding {
  readonly name: string;
  /** "missing" limits what can be done; nothing of it stops the simulation. */
  readonly state: 'ok' | 'missing';
  /** What was found, or why not. */
  readonly detail: string;
  /** What to do about it; only where something can be done. */
  readonly advice?: string;
}

export function ok(name: string, detail: string): Finding {
  return { name, state: 'ok', detail };
}

export function missing(name: string, detail: string, advice?: string): Finding {
  return { name, state: 'missing', detail, ...(advice === undefined ? {} : { advice }) };
}

/** A table for people: state, name, detail, and the advice below. */
export function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  return findings
    .map(({ name, state, detail, advice }) => {
      const line = `${state.padEnd(7)}  ${name.padEnd(width)}  ${detail}\n`;
      return advice === undefined ? line : `${line}${' '.repeat(9 + width + 2)}→ ${advice}\n`;
    })
    .join('');
}
