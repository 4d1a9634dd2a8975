/** What is in the npm package: all that it refers to, and nothing that works in a clone only. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { describe, expect, it } from 'vitest';
import { project, run, tarball } from './support.js';

interface Manifest {
  readonly bin: Record<string, string>;
  readonly main: string;
  readonly types: string;
  readonly exports: object;
  readonly imports: object;
  readonly scripts: Record<string, string>;
  readonly keywords: readonly string[];
  readonly homepage: string;
  readonly bugs: { readonly url: string };
  readonly repository: { readonly type: string; readonly url: string };
}

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly (string | null)[];
  readonly sourceRoot?: string;
}

const manifest = JSON.parse(readFileSync(path.join(tarball.folder, 'package.json'), 'utf8')) as Manifest;
const names = tarball.files.map((file) => file.path);

function text(name: string): string {
  return readFileSync(path.join(tarball.folder, name), 'utf8');
}

/** All strings of nested conditions. */
function targets(value: unknown): string[] {
  return typeof value === 'string' ? [value] : Object.values(value as object).flatMap(targets);
}

/** Specifiers of static and dynamic imports, re-exports, worker files and types. */
function references(code: string): string[] {
  const forms = [
    /^\s*(?:import|export)\b[^'";]*?['"](\.[^'"]+)['"]/gm,
    /\b(?:import|require)\(\s*['"](\.[^'"]+)['"]/g,
    /\/\/\/ <reference path="([^"]+)"/g,
    /new Worker\(new URL\(['"](\.[^'"]+)['"]/g,
  ];
  return forms.flatMap((form) => [...code.matchAll(form)].map((match) => match[1]!));
}

it('its size is known, and within bounds', () => {
  console.log(
    `${names.length} files, ${Math.round(tarball.size / 1024)} KiB packed, ${Math.round(tarball.unpackedSize / 1024)} KiB unpacked`,
  );
  expect(tarball.size).toBeLessThan(1_500_000);
});

describe('package.json', () => {
  it.each([
    ['main', [manifest.main]],
    ['types', [manifest.types]],
    ['bin', targets(manifest.bin)],
    ['exports', targets(manifest.exports)],
    ['imports', targets(manifest.imports)],
  ])('%s names files that are there', (_, files) => {
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect([file, existsSync(path.join(tarball.folder, file))]).toEqual([file, true]);
  });

  it('an installation runs nothing', () => {
    for (const step of ['preinstall', 'install', 'postinstall']) expect(manifest.scripts).not.toHaveProperty(step);
    // Package managers take a folder with it for one that must be built.
    expect(names).not.toContain('binding.gyp');
  });

  it('says where it is from, in the form that registries read', () => {
    expect(manifest.keywords.length).toBeGreaterThan(3);
    const { pathname, host } = new URL(manifest.repository.url.replace(/^git\+/, ''));
    expect([manifest.repository.type, host, pathname.endsWith('/node-hmm.git')]).toEqual(['git', 'github.com', true]);
    const base = `https://${host}${pathname.replace(/\.git$/, '')}`;
    expect([manifest.homepage, manifest.bugs.url]).toEqual([`${base}#readme`, `${base}/issues`]);
  });

  it('cannot be published while the owner is not named', () => {
    const { status, stderr } = run(process.execPath, ['dist/scripts/prepublish.js'], process.cwd());
    expect(manifest.repository.url).toContain('/OWNER/');
    expect([status, stderr]).toEqual([1, expect.stringContaining('put the owner in place of OWNER')]);
  });

  it('publint has nothing to say', async () => {
    const { messages, pkg } = await publint({ pkgDir: tarball.folder, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });
});

describe('its files', () => {
  const code = names.filter((name) => /\.(?:[cm]?js|d\.ts)$/.test(name));

  it('refer only to each other', () => {
    expect(code.length).toBeGreaterThan(100);
    const missing = code.flatMap((name) =>
      references(text(name))
        // Types say .js for the .d.ts beside it.
        .map((specifier) => path.join(path.dirname(name), specifier))
        .filter((file) => !names.includes(name.endsWith('.d.ts') ? file.replace(/\.js$/, '.d.ts') : file))
        .map((file) => `${name} → ${file}`),
    );
    expect(missing).toEqual([]);
  });

  it('that name a source map have it, and the text that it leads to', () => {
    const mapped = code.flatMap((name) => {
      const map = /^\/\/# sourceMappingURL=(.+)$/m.exec(text(name))?.[1];
      return map === undefined ? [] : [[name, path.join(path.dirname(name), map)] as const];
    });
    expect(mapped.map(([, map]) => map).sort()).toEqual(names.filter((name) => name.endsWith('.map')).sort());
    // Everything that was compiled: a program would otherwise fail in lines that nobody has written.
    const compiled = code.filter((name) => name.startsWith('dist/'));
    expect(mapped.map(([name]) => name).sort()).toEqual(compiled.sort());
    const nowhere = mapped.flatMap(([, map]) => {
      const { sources, sourcesContent = [], sourceRoot = '' } = JSON.parse(text(map)) as SourceMap;
      expect([map, sources.length > 0]).toEqual([map, true]);
      return sources
        .map((source) => path.join(path.dirname(map), sourceRoot, source))
        .filter((file, index) => (sourcesContent[index] ?? '') === '' && !names.includes(file))
        .map((file) => `${map} → ${file}`);
    });
    expect(nowhere).toEqual([]);
  });

  it('types lead an editor to a source that is there', () => {
    const maps = names.filter((name) => name.endsWith('.d.ts.map'));
    expect(maps.length).toBeGreaterThan(50);
    for (const map of maps) {
      for (const source of (JSON.parse(text(map)) as SourceMap).sources) {
        expect([map, names.includes(path.join(path.dirname(map), source))]).toEqual([map, true]);
      }
    }
  });

  it('are none of a clone only', () => {
    const odd = names.filter(
      (name) =>
        !name.endsWith('.map') &&
        /(?:^|\/)(?:test|testing|bench|stress|selftests|lint|prebuild|prebuilt|prepare|prepublish|build)(?:[./]|$)|\.(?:tsbuildinfo|o|ko)$|\.test\./.test(
          name,
        ),
    );
    expect(odd).toEqual(
      ['addon/build', 'provision/own-kernel/build', 'vm/prepare'].map((name) => `dist/scripts/${name}.js`),
    );
  });

  it('are those that the README and the documents lead to', () => {
    for (const name of names.filter((each) => each.endsWith('.md'))) {
      for (const [, link] of text(name).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
        const target = path.join(path.dirname(name), link!);
        // The documents refer to tests of the repository, too.
        if (name !== 'README.md' && target.startsWith('test/')) continue;
        const there = names.some((each) => each === target || each.startsWith(`${target.replace(/\/$/, '')}/`));
        expect([name, link, there]).toEqual([name, link, true]);
      }
    }
  });

  it('have the binaries, and the program among them can be run', () => {
    const binaries = names.filter((name) => name.startsWith('prebuilds/'));
    expect(binaries.sort()).toEqual(
      ['hmm_mirror.glibc.node', 'hmm_mirror.musl.node', 'hmm_workload'].map((name) => `prebuilds/linux-x64/${name}`),
    );
    expect(statSync(path.join(tarball.folder, binaries.at(-1)!)).mode & 0o111).toBe(0o111);
  });

  it('every module of the commands can be loaded', { timeout: 120_000 }, () => {
    const consumer = project();
    try {
      const modules = names.filter((name) => /^dist\/scripts\/.*\.js$/.test(name) && name !== 'dist/scripts/cli.js');
      // Its start takes over the process that loads it.
      const loadable = modules.filter((name) => !/-(?:worker|hooks)\.js$/.test(name));
      const program = loadable.map((name) => `await import('./node_modules/node-hmm/${name}');`).join('\n');
      const ended = run(process.execPath, ['--input-type=module', '-e', program], consumer.folder);
      expect(ended).toEqual({ status: 0, stdout: '', stderr: '' });
    } finally {
      consumer.remove();
    }
  });
});

describe('where it is installed', () => {
  it('its examples run, and a stack trace names files that exist', { timeout: 120_000 }, () => {
    const consumer = project();
    try {
      for (const name of ['mirror-a-process', 'device-memory']) {
        const example = `node_modules/node-hmm/dist/examples/${name}.js`;
        const { status, stderr } = run(process.execPath, [example, '--backend', 'simulation'], consumer.folder);
        expect([name, status, stderr]).toEqual([name, 0, '']);
      }
      const program = `
        import { openHmm } from 'node-hmm';
        const hmm = await openHmm({ backend: 'simulation' });
        const space = await hmm.createAddressSpace();
        await space.read(4096, 8).catch((error) => { console.log(error.stack); console.log(error.cause?.stack ?? ''); });`;
      const { stdout } = run(
        process.execPath,
        ['--enable-source-maps', '--input-type=module', '-e', program],
        consumer.folder,
      );
      const frames = [...stdout.matchAll(/(?:file:\/\/)?(\/[^\s:()]+node-hmm\/[^\s:()]+):\d+:\d+/g)].map(
        ([, file]) => file!,
      );
      expect(frames.filter((file) => file.endsWith('.ts'))).not.toEqual([]);
      for (const file of frames) expect([file, existsSync(file)]).toEqual([file, true]);
    } finally {
      consumer.remove();
    }
  });

  it('require() works', () => {
    const consumer = project();
    try {
      const program =
        "console.log(typeof require('node-hmm').openHmm, typeof require('node-hmm/explore').explore, require('node-hmm/package.json').name)";
      const { status, stdout } = run(process.execPath, ['-e', program], consumer.folder);
      expect([status, stdout]).toEqual([0, 'function function node-hmm\n']);
    } finally {
      consumer.remove();
    }
  });

  it('fuzz, which is not in it, is refused with the reason', () => {
    const consumer = project();
    try {
      const cli = 'node_modules/node-hmm/dist/scripts/cli.js';
      const { status, stderr } = run(process.execPath, [cli, 'fuzz'], consumer.folder);
      expect([status, stderr]).toEqual([64, expect.stringContaining('works in a clone of the project')]);
      expect(run(process.execPath, [cli, '--help'], consumer.folder)).toMatchObject({ status: 0, stderr: '' });
    } finally {
      consumer.remove();
    }
  });
});
