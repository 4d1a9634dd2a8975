/**
 * Every program of the documents, pasted into a file and run. On this machine by each release of Node that is supported; where
 * HMM_TEST_TARGET is 'kernel', those that open one, by this Node, on the kernel. It must end with 0, complain of nothing, and print what stands
 * under it.
 */
import { openHmm } from 'node-hmm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE_RELEASES, noNodeReleases, provideNode } from '../../scripts/testing/node-releases.js';
import { BLOCKS, blocksOf, isProgram, placeOf, type Block } from './markdown.js';
import { Project, skipFor } from './project.js';

const programs = BLOCKS.filter(isProgram);
const onKernel = process.env['HMM_TEST_TARGET'] === 'kernel';

/** Major of Node from which on the program's syntax is known; 0: any. */
function since({ directives }: Block): number {
  return Number(directives.get('node') ?? 0);
}

const project = new Project('linked');
afterAll(() => project.remove());

async function check(node: string, block: Block): Promise<void> {
  const name = `${placeOf(block).replace(/\W/g, '-')}.mjs`;
  const ended = await project.run(node, [project.program(block, name)]);
  expect(ended).toMatchObject({ status: 0, stderr: '' });
  if (block.printed !== null) expect(ended.stdout).toBe(block.printed);
}

it('there are programs in the documents, and their directives are known', () => {
  expect(programs.length).toBeGreaterThan(5);
  const known = ['node', 'setup', 'file'];
  // Each is run by some release.
  const newest = Math.max(...NODE_RELEASES.map((version) => Number(version.split('.')[0])));
  for (const block of programs) {
    for (const name of block.directives.keys()) expect(known, placeOf(block)).toContain(name);
    if (block.directives.has('node')) expect(since(block)).toBeGreaterThan(20);
    expect(since(block)).toBeLessThanOrEqual(newest);
  }
});

it('what a program prints, and the comments before it, are found', () => {
  const text =
    '<!-- node: 24 -->\n\n```ts\nx\n```\n\n```\n1\n```\n\n```\n2\n```\n\ntext\n\n```js\ny\n```\n\nand\n\n```\n3\n```\n';
  const found = blocksOf('a.md', text).map(({ code, printed, directives, line }) => [
    line,
    code,
    printed,
    directives.size,
  ]);
  expect(found).toEqual([
    [3, 'x\n', '1\n', 1],
    [11, '2\n', null, 0],
    [17, 'y\n', null, 0],
    [23, '3\n', null, 0],
  ]);
});

function testOnKernel(): void {
  it('openHmm() takes the kernel', async () => {
    const hmm = await openHmm();
    expect(hmm.backend).toBe('kernel');
    await hmm.close();
  });

  const major = Number(process.versions.node.split('.')[0]);
  // An exploration is the simulation's, whatever the machine.
  const others = programs.filter(({ code }) => /\bopenHmm\(/.test(code));
  it('is what several of them are for', () => expect(others.length).toBeGreaterThan(1));
  for (const block of others.filter((each) => since(each) <= major)) {
    it(placeOf(block), () => check(process.execPath, block));
  }
}

function testOn(version: string): void {
  let node = '';
  let missing = noNodeReleases();
  beforeAll(async () => {
    if (missing !== undefined) return;
    try {
      node = await provideNode(version, (line) => console.log(line));
    } catch (error) {
      missing = `Node ${version} cannot be fetched: ${String(error).split('\n')[0]}`;
    }
  }, 600_000);

  for (const block of programs.filter((each) => since(each) <= Number(version.split('.')[0]))) {
    it(placeOf(block), async ({ skip }) => {
      if (missing !== undefined) skipFor(missing, skip);
      await check(node, block);
    });
  }
}

if (onKernel) describe('on the kernel', testOnKernel);
else describe.each(NODE_RELEASES)('Node %s', testOn);
