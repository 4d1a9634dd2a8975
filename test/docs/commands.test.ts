/**
 * Every command block of the documents says in a comment before it where it runs, and is run there:
 *
 *     run: project                   in an empty project in which the package is installed
 *     run: clone                     in this clone
 *     run: project, machine          ... and boots kernels: only with HMM_TEST_BOOT=1, which takes minutes
 *     run: never, WHY                not at all
 *
 * `, uses FILE` puts a program of the documents or of setups/ there before; `, status N` says how the last command ends, if not
 * with 0. `prints: TEXT` must be in what is printed.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BLOCKS, ROOT, placeOf, type Block } from './markdown.js';
import { Project, run } from './project.js';

interface Command {
  readonly block: Block;
  readonly where: 'project' | 'clone' | 'never';
  readonly why: string;
  readonly machine: boolean;
  readonly uses: readonly string[];
  readonly status: number;
}

const SHELL = ['sh', 'bash', 'shell', 'console'];

/** @throws if the block does not say where it runs */
function classified(block: Block): Command {
  const text = block.directives.get('run') ?? '';
  const [where = '', ...rest] = text.split(', ');
  const said = { machine: false, uses: [] as string[], status: 0 };
  if (where === 'never') {
    if (rest.length === 0) throw new Error(`${placeOf(block)}: "never" needs a reason`);
    return { block, where, why: rest.join(', '), ...said };
  }
  if (where !== 'project' && where !== 'clone') {
    throw new Error(`${placeOf(block)}: no comment before it says where it runs (test/docs/commands.test.ts)`);
  }
  for (const word of rest) {
    const status = /^status (\d+)$/.exec(word)?.[1];
    const file = /^uses (\S+)$/.exec(word)?.[1];
    if (word === 'machine') said.machine = true;
    else if (status !== undefined) said.status = Number(status);
    else if (file !== undefined) said.uses.push(file);
    else throw new Error(`${placeOf(block)}: "${word}" is not known (test/docs/commands.test.ts)`);
  }
  return { block, where, why: '', ...said };
}

const blocks = BLOCKS.filter(({ language }) => SHELL.includes(language));

/** All commands, without those that do not say where: the first test tells of them. */
const commands = blocks.flatMap((block) => {
  try {
    return [classified(block)];
  } catch {
    return []; // told by the test below
  }
});

it('every block says where it runs', () => {
  expect(blocks.length).toBeGreaterThan(5);
  for (const block of blocks) classified(block);
});

it('blocks in a language that nobody runs are none that somebody should', () => {
  const others = BLOCKS.map(({ language }) => language).filter((language) => !SHELL.includes(language));
  expect([...new Set(others)].sort()).toEqual(['', 'ts']);
});

it('a block without a comment, or with an unknown word in it, is refused', () => {
  const block = (text?: string): Block => ({
    document: 'x.md',
    line: 1,
    language: 'sh',
    code: 'true\n',
    directives: new Map(text === undefined ? [] : [['run', text]]),
    printed: null,
  });
  expect(() => classified(block())).toThrow('x.md:1: no comment before it says where it runs');
  expect(() => classified(block('somewhere'))).toThrow('no comment');
  expect(() => classified(block('never'))).toThrow('needs a reason');
  expect(() => classified(block('clone, machines'))).toThrow('"machines" is not known');
  expect(classified(block('project, machine, uses a.mjs, status 2'))).toMatchObject({
    where: 'project',
    machine: true,
    uses: ['a.mjs'],
    status: 2,
  });
});

describe('runs as it says', () => {
  let project: Project;
  beforeAll(() => {
    project = new Project('linked');
  });
  afterAll(() => project.remove());

  for (const command of commands.filter(({ where }) => where !== 'never')) {
    const { block, where, machine, uses, status } = command;
    const timeout = machine ? 1_800_000 : 60_000;
    it(`${placeOf(block)}: ${block.code.split('\n')[0]}`, { timeout }, async ({ skip }) => {
      if (machine && process.env['HMM_TEST_BOOT'] !== '1') skip('it boots kernels: HMM_TEST_BOOT=1 runs it');
      for (const name of uses) project.provide(name);
      const folder = where === 'clone' ? ROOT : project.folder;
      // Each command must succeed, but where the last one is to fail those before it may, too.
      const shell = ['-c', status === 0 ? `set -e\n${block.code}` : block.code];
      const ended = await run('bash', shell, folder);
      const output = `${ended.stdout}${ended.stderr}`;
      expect(ended.status, output).toBe(status);
      const prints = block.directives.get('prints');
      if (prints !== undefined) expect(output).toContain(prints);
    });
  }
});
