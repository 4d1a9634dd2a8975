/** A program as the source of a test, to be pasted into a file of test/conformance. */
import * as hmm from 'node-hmm';
import type { Log, Program, Step } from './program.js';

const PROTECTION = ['PROT_READ', 'PROT_WRITE', 'PROT_EXEC'] as const;
const REMAP = ['MREMAP_MAYMOVE', 'MREMAP_FIXED', 'MREMAP_DONTUNMAP'] as const;
const ADDRESSES = new Set(['at', 'length', 'newLength', 'to', 'offset']);

const MAPPING = ['MAP_POPULATE', 'MAP_LOCKED', 'MAP_NORESERVE', 'MAP_FIXED_NOREPLACE'] as const;

type Flag = (typeof PROTECTION | typeof REMAP | typeof MAPPING)[number];

function bits(value: number, names: readonly Flag[], none: string): string {
  const present = names.filter((name) => (value & hmm[name]) !== 0);
  return present.length === 0 ? none : present.join(' | ');
}

function constant(prefix: string, value: number): string {
  const found = Object.entries(hmm).find(([name, each]) => name.startsWith(prefix) && each === value);
  return found?.[0] ?? String(value);
}

function valueText(step: Step, key: string, value: unknown): string {
  if (typeof value === 'number') {
    if (key === 'protection') return bits(value, PROTECTION, 'PROT_NONE');
    if (key === 'advice') return constant('MADV_', value);
    if (key === 'flags') return step.op === 'mremap' ? bits(value, REMAP, '0') : bits(value, MAPPING, '0');
    if (ADDRESSES.has(key) && value >= 10) return `0x${value.toString(16)}`;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const fields = Object.entries(value).map(([name, each]) => `${name}: ${valueText(step, name, each)}`);
    return `{ ${fields.join(', ')} }`;
  }
  if (Array.isArray(value)) return `[${value.map((each) => valueText(step, key, each)).join(', ')}]`;
  return typeof value === 'string' ? `'${value}'` : String(value);
}

export function stepText(step: Step): string {
  return valueText(step, '', step);
}

/** @param log the kernel's */
export function testText(program: Program, log: Log, name: string): string {
  const quote = (line: string) => `'${line.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const rows = log.flatMap((lines, index) => {
    const step = program.steps[index];
    const text = step === undefined ? 'END' : stepText(step);
    return [`  [`, `    ${text},`, `    [${lines.map(quote).join(', ')}],`, `  ],`];
  });
  return [`shows(${quote(name)}, [`, ...rows, `]);`].join('\n');
}
