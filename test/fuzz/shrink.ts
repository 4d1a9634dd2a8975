/** Makes a program that shows a divergence small: what can be left out is, and what can be simpler becomes so. */
import { PAGE, type Program, type Step } from './program.js';

/** Runs a program on both sides. @returns whether they still differ */
export type Diverges = (program: Program) => Promise<boolean>;

function withSteps(program: Program, steps: readonly Step[]): Program {
  return { ...program, steps };
}

/**
 * Leaves out runs of steps, long ones first, until no single step can go; then simplifies what is left, step by step.
 * @param program diverges after its last step
 */
export async function shrink(program: Program, diverges: Diverges): Promise<Program> {
  let current = program;
  for (;;) {
    const smaller = await simplify(await leaveOut(current, diverges), diverges);
    if (smaller === current) return current;
    current = smaller;
  }
}

async function leaveOut(program: Program, diverges: Diverges): Promise<Program> {
  let current = program;
  for (let size = Math.ceil(current.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    // From the end: what comes later depends on what came before, not the other way round.
    for (let start = current.steps.length - size; start > -size; start -= size) {
      const from = Math.max(start, 0);
      const left = [...current.steps.slice(0, from), ...current.steps.slice(start + size)];
      if (left.length === current.steps.length || left.length === 0) continue;
      const candidate = withSteps(current, left);
      if (await diverges(candidate)) current = candidate;
    }
  }
  return current;
}

async function simplify(program: Program, diverges: Diverges): Promise<Program> {
  let current = program;
  for (let index = 0; index < current.steps.length; index++) {
    for (const simpler of simplerSteps(current.steps[index]!)) {
      const candidate = withSteps(
        current,
        current.steps.map((step, at) => (at === index ? simpler : step)),
      );
      if (await diverges(candidate)) current = candidate;
    }
  }
  return current;
}

/** Each changes one thing, and only to what it is not yet: or shrinking would not end. */
function* simplerSteps(step: Step): Iterable<Step> {
  if (step.op === 'insert' && step.reaction !== undefined) {
    const { reaction: _, ...plain } = step;
    yield plain;
  }
  if (step.op === 'fault' && step.owner !== undefined) {
    const { owner: _, ...plain } = step;
    yield plain;
  }
  if (step.op === 'fault' && step.requests.length > 0) yield { ...step, requests: [], mask: 'none' };
  if (step.op === 'mmap' && step.flags !== 0) yield { ...step, flags: 0 };
  if (step.op === 'mmap' && step.backing === 'file-shared') {
    const { file: _file, offset: _offset, ...plain } = step;
    yield { ...plain, backing: 'shared' };
  }
  if ('length' in step && 'at' in step && step.op !== 'mremap') {
    const least = step.op === 'write' || step.op === 'read' || step.op === 'store' || step.op === 'load' ? 1 : PAGE;
    if (step.length > least) yield { ...step, length: least };
    const half = Math.floor(step.length / 2 / PAGE) * PAGE;
    if (half > least) yield { ...step, length: half };
  }
}
