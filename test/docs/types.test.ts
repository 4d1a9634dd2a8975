/** Every program of the documents is right TypeScript, to each compiler that is supported, in a project that has no types but the package's. */
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { BLOCKS, isProgram, placeOf } from './markdown.js';
import { Project } from './project.js';

const require = createRequire(import.meta.url);

/** Names under which package.json has the compilers. */
const COMPILERS = ['typescript-5.9', 'typescript', 'typescript-7'];

const project = new Project('copied');
afterAll(() => project.remove());

for (const block of BLOCKS.filter(isProgram)) {
  // An import makes it a module, whose names are its own.
  project.write(`${placeOf(block).replace(/\W/g, '-')}.mts`, block.code);
}
project.write(
  'tsconfig.json',
  JSON.stringify({
    compilerOptions: { strict: true, skipLibCheck: false, target: 'es2022', module: 'nodenext', noEmit: true },
    include: ['*.mts'],
  }),
);

it.each(COMPILERS)('%s, strict, with the libraries checked', async (name) => {
  const compiler = path.join(path.dirname(require.resolve(`${name}/package.json`)), 'bin', 'tsc');
  const ended = await project.run(process.execPath, [compiler, '-p', '.', '--pretty', 'false']);
  expect(ended).toEqual({ status: 0, stdout: '', stderr: '' });
});

it('a mistake in a program is found by each of them', async () => {
  project.write('mistake.mts', "import { openHmm } from 'node-hmm';\nawait openHmm({ backend: 'qemu' });\n");
  for (const name of COMPILERS) {
    const compiler = path.join(path.dirname(require.resolve(`${name}/package.json`)), 'bin', 'tsc');
    const { status, stdout } = await project.run(process.execPath, [compiler, '-p', '.', '--pretty', 'false']);
    expect(status).not.toBe(0);
    expect(stdout).toMatch(/^mistake\.mts\(2,17\): error TS2322/);
  }
});
