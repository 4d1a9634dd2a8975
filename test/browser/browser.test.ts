/**
 * The package in a browser: three bundlers make a page of it without a word of configuration or of complaint, and the page
 * says in Chromium what the same program says in Node.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { BUNDLERS, Project, bundleForNode, serveByVite, type Bundle } from './bundlers.js';
import { chromiumPath, launch, serve } from './chromium.js';
import { report, type Report } from './app/report.js';

const chromium = chromiumPath();
const NO_CHROMIUM = 'there is no Chromium: install the package chromium, or set CHROMIUM to its path';
const REASON = 'HMM is a part of Linux, and this is a browser';

const project = new Project();
afterAll(() => project.remove());

const inNode = report('simulation');

/** What the page at `url` leaves in globalThis.finished. Nothing may be on the browser's console. */
async function finished<T>(url: string): Promise<T> {
  const browser = await launch(chromium!);
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // Chromium asks every site for an icon, and Vite's server says that it is there.
    if (message.location().url.endsWith('/favicon.ico') || message.text().startsWith('[vite]')) return;
    complaints.push(message.text());
  });
  await page.goto(url);
  await page.waitForFunction('globalThis.finished !== undefined');
  const said = await page.evaluate<T>('globalThis.finished');
  expect(complaints).toEqual([]);
  return said;
}

/** What the page at `url` reports must be what Node does. */
async function check(url: string): Promise<void> {
  const said = await finished<Report>(url);
  expect(said.opened).toEqual({ backend: 'simulation', release: 'simulation-6.12', reason: REASON });
  expect(said.kernel).toEqual({
    code: 'ERR_HMM_NO_KERNEL',
    message: expect.stringContaining(REASON) as string,
  });
  expect(said.workers).toMatch(/worker_threads.*browser.*shard/s);
  const { memory, explored } = await inNode;
  expect({ memory: said.memory, explored: said.explored }).toEqual({ memory, explored });
}

function needChromium(skip: (reason: string) => void): void {
  if (chromium !== undefined) return;
  if (process.env['HMM_TEST_REQUIRE_ALL'] === '1') throw new Error(NO_CHROMIUM);
  skip(NO_CHROMIUM);
}

it('in Node the program finds and passes the drivers that it should', async () => {
  const { explored, memory } = await inNode;
  expect(explored).toMatchObject({
    right: expect.stringMatching(/^passed: /) as string,
    wrong: expect.stringMatching(/^failed: stale-entry/) as string,
    shards: expect.stringMatching(/^passed: /) as string,
  });
  expect(memory).toMatchObject({ read: [1, 2, 3], migrated: 4, valid: true });
});

describe.each(Object.keys(BUNDLERS))('%s', (name) => {
  let bundled: Promise<Bundle> | null = null;
  const bundle = (): Promise<Bundle> => (bundled ??= BUNDLERS[name]!(project, 'page.js'));

  it('bundles both entries without configuration, without a warning', async () => {
    expect((await bundle()).complaints).toEqual([]);
  });

  it.each(['node-hmm', 'node-hmm/explore'])('bundles %s alone', async (entry) => {
    const file = `${entry.replace('/', '-')}.js`;
    project.write(file, `import * as all from '${entry}';\nglobalThis.finished = Promise.resolve(Object.keys(all));\n`);
    expect((await BUNDLERS[name]!(project, file, `dist-${name}-${file}`)).complaints).toEqual([]);
  });

  it('runs in Chromium', async ({ skip }) => {
    needChromium(skip);
    const { folder, complaints } = await bundle();
    expect(complaints).toEqual([]);
    const served = await serve(folder);
    onTestFinished(() => served.close());
    await check(served.url);
  });
});

it('vite, while developing: runs in Chromium', async ({ skip }) => {
  needChromium(skip);
  const served = await serveByVite(project);
  onTestFinished(() => served.close());
  await check(served.url);
  expect(served.complaints).toEqual([]);
});

it('Web Workers explore a shard each', async ({ skip }) => {
  needChromium(skip);
  for (const name of ['worker.js', 'shards.js']) project.provide(name);
  const { folder, complaints } = await BUNDLERS['esbuild']!(project, 'worker.js', 'dist-shards');
  expect(complaints).toEqual([]);
  expect((await BUNDLERS['esbuild']!(project, 'shards.js', 'dist-shards')).complaints).toEqual([]);
  const served = await serve(folder);
  onTestFinished(() => served.close());
  const { explored } = await inNode;
  expect(await finished<string>(served.url)).toBe((explored as { shards: string }).shards);
});

it('esbuild bundles both entries for Node, too, and they run there', async () => {
  project.write(
    'node.js',
    `import { report } from './report.js';\nconsole.log(JSON.stringify(await report('simulation')));\n`,
  );
  const { folder, complaints } = await bundleForNode(project, 'node.js');
  expect(complaints).toEqual([]);
  const { stdout } = await promisify(execFile)(process.execPath, [`${folder}/program.mjs`]);
  const { memory, explored } = await inNode;
  expect(JSON.parse(stdout)).toMatchObject({ memory, explored });
});
