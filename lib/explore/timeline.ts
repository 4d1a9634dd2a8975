/** An execution as a reader follows it: one column a task, time downwards, and what changed under the step that changed it. */
import type { TraceStep } from './trace.js';

const WIDTH = 34;

/** @param tasks the columns, in order */
export function timeline(steps: readonly TraceStep[], tasks: readonly string[]): string {
  const columns = steps.some(({ task }) => !tasks.includes(task)) ? ['setup', ...tasks] : [...tasks];
  const width = Math.max(WIDTH, ...columns.map((column) => column.length + 2));
  const gutter = String(steps.length).length + 2;
  const lines = [`${' '.repeat(gutter)}${columns.map((column) => column.padEnd(width)).join('')}`.trimEnd()];
  const doing = new Map<string, string>();
  for (const step of steps) {
    const column = columns.indexOf(step.task);
    const indent = ' '.repeat(gutter + column * width);
    // The operation stands where it begins; the points inside it below, indented.
    if (step.operation !== doing.get(step.task) && step.at !== step.operation) {
      lines.push(`${indent}${step.operation}`);
    }
    doing.set(step.task, step.operation);
    const number = `${step.number}`.padStart(gutter - 2);
    const inner = step.at === step.operation ? step.at : `  ${step.at}`;
    const end = step.outcome === 'asleep' ? `, sleeps` : '';
    lines.push(`${number}  ${' '.repeat(column * width)}${inner}${end}`);
    for (const change of step.changes) lines.push(`${indent}    → ${change}`);
    if (step.outcome === 'ended') doing.delete(step.task);
  }
  return lines.join('\n');
}
