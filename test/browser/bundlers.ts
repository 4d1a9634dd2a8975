/** A project that has the package installed, and what bundlers without any configuration make of it. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build as esbuild, transformSync } from 'esbuild';
import { build as vite, createLogger, createServer, type Logger } from 'vite';
import webpack from 'webpack';
import type { Served } from './chromium.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

export interface Bundle {
  /** A folder with an index.html. */
  readonly folder: string;
  /** All that the bundler said. */
  readonly complaints: readonly string[];
}

/** A project in a folder of its own: node_modules holds what the package would, and nothing else. */
export class Project {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-browser-'));

  constructor() {
    const installed = path.join(this.folder, 'node_modules', 'node-hmm');
    mkdirSync(installed, { recursive: true });
    cpSync(path.join(ROOT, 'package.json'), path.join(installed, 'package.json'));
    cpSync(path.join(ROOT, 'dist', 'lib'), path.join(installed, 'dist', 'lib'), { recursive: true });
    writeFileSync(path.join(this.folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
    writeFileSync(path.join(this.folder, 'index.html'), html('./page.js'));
    for (const name of ['report', 'page']) {
      const source = readFileSync(path.join(import.meta.dirname, 'app', `${name}.ts`), 'utf8');
      // Only the types go: what is bundled is the program itself.
      this.write(`${name}.js`, transformSync(source, { loader: 'ts', target: 'es2022' }).code);
    }
  }

  /** Puts a program of app/ there that is JavaScript already. */
  provide(name: string): void {
    cpSync(path.join(import.meta.dirname, 'app', name), path.join(this.folder, name));
  }

  write(name: string, text: string): void {
    writeFileSync(path.join(this.folder, name), text);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

export const BUNDLERS: Readonly<Record<string, (project: Project, entry: string, to?: string) => Promise<Bundle>>> = {
  async esbuild({ folder: root }, entry, to = 'dist-esbuild') {
    const folder = path.join(root, to);
    const { errors, warnings } = await esbuild({
      entryPoints: [path.join(root, entry)],
      bundle: true,
      format: 'esm',
      outfile: path.join(folder, entry),
      absWorkingDir: root,
      logLevel: 'silent',
    }).catch((error: unknown) => error as { errors: { text: string }[]; warnings: { text: string }[] });
    if (errors.length === 0) writeFileSync(path.join(folder, 'index.html'), html(`./${entry}`));
    return { folder, complaints: [...errors, ...warnings].map(({ text }) => text) };
  },

  async vite({ folder: root }, entry, to = 'dist-vite') {
    const folder = path.join(root, to);
    const { complaints, customLogger } = listener();
    writeFileSync(path.join(root, 'index.html'), html(`./${entry}`));
    try {
      await vite({ root, configFile: false, logLevel: 'warn', customLogger, base: './', build: { outDir: folder } });
    } catch (error) {
      complaints.push(String(error));
    }
    return { folder, complaints };
  },

  async webpack({ folder: root }, entry, to = 'dist-webpack') {
    const folder = path.join(root, to);
    const bundle = await runWebpack(folder, {
      mode: 'production',
      context: root,
      entry: `./${entry}`,
      output: { path: folder, filename: 'page.js' },
    });
    if (bundle.complaints.length === 0) writeFileSync(path.join(folder, 'index.html'), html('./page.js'));
    return bundle;
  },
};

/** For Node, as a server is bundled: with the kernel backend, whose addon stays where it is installed. */
export async function bundleForNode({ folder: root }: Project, entry: string): Promise<Bundle> {
  const folder = path.join(root, 'dist-node');
  const { warnings } = await esbuild({
    entryPoints: [path.join(root, entry)],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: path.join(folder, 'program.mjs'),
    logLevel: 'silent',
  });
  return { folder, complaints: warnings.map(({ text }) => text) };
}

async function runWebpack(folder: string, configuration: webpack.Configuration): Promise<Bundle> {
  const compiler = webpack(configuration);
  const stats = await new Promise<webpack.Stats>((resolve, reject) => {
    compiler.run((error, made) => (made === undefined ? reject(error ?? new Error('no stats')) : resolve(made)));
  });
  const { errors = [], warnings = [] } = stats.toJson({ errors: true, warnings: true });
  return { folder, complaints: [...errors, ...warnings].map(({ message }) => message) };
}

/** Vite's server for development, which bundles only what the page depends on. */
export async function serveByVite({ folder: root }: Project): Promise<Served & { readonly complaints: string[] }> {
  const { complaints, customLogger } = listener();
  writeFileSync(path.join(root, 'index.html'), html('./page.js'));
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'warn',
    customLogger,
    server: { host: '127.0.0.1', port: 0 },
  });
  await server.listen();
  return { url: server.resolvedUrls!.local[0]!, complaints, close: () => server.close() };
}

/** Keeps what Vite has to complain of. */
function listener(): { complaints: string[]; customLogger: Logger } {
  const complaints: string[] = [];
  const customLogger = createLogger('silent');
  for (const level of ['warn', 'warnOnce', 'error'] as const) {
    customLogger[level] = (message) => void complaints.push(message);
  }
  return { complaints, customLogger };
}

function html(script: string): string {
  return `<!doctype html><meta charset="utf-8"><title>node-hmm</title><script type="module" src="${script}"></script>\n`;
}
