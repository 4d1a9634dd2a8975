/** What README.md and docs/explorer.md show is what the explorer prints. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { explore, formatResult } from 'node-hmm/explore';
import { expect, it } from 'vitest';
import { MUTANTS } from './mutants/index.js';

const ROOT = new URL('../../', import.meta.url);

/** The first piece of code of a section, and what stands under it. */
function example(file: string, section: string): { code: string; printed: string } {
  const text = readFileSync(new URL(file, ROOT), 'utf8');
  const match = /\n```ts\n(.*?)```\n\n```\n(.*?)```\n/s.exec(text.slice(text.indexOf(`\n## ${section}\n`)));
  if (match === null) throw new Error(`${file} has no example under '${section}'`);
  return { code: match[1]!, printed: match[2]! };
}

it('docs/explorer.md: the example prints what stands under it', () => {
  const { code, printed } = example('docs/explorer.md', 'A race, found');
  const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-docs-'));
  try {
    const program = path.join(folder, 'example.mjs');
    const entry = (name: string): string => `'${new URL(`dist/lib/${name}.js`, ROOT).href}'`;
    writeFileSync(
      program,
      code.replaceAll("'node-hmm/explore'", entry('explore/index')).replaceAll("'node-hmm'", entry('index')),
    );
    expect(spawnSync(process.execPath, [program], { encoding: 'utf8' })).toMatchObject({ stdout: printed, stderr: '' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('README.md: so does a driver that forgot readRetry', async () => {
  const { printed } = example('README.md', 'Find the race, replay it');
  expect(`${formatResult(await explore(MUTANTS[0]!.scenario))}\n`).toBe(printed);
});
