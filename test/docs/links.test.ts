/** Every link of the documents that stays in the repository leads somewhere, and every file that they name is there. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { DOCUMENTS, ROOT, anchorsOf, linksOf, read, type Link } from './markdown.js';

/** Why a link leads nowhere; null if it leads somewhere. */
function broken({ document, target }: Link): string | null {
  if (/^https?:/.test(target)) return null;
  const [file = '', anchor] = target.split('#');
  const to = file === '' ? document : path.normalize(path.join(path.dirname(document), file));
  if (to.startsWith('..')) return 'it leaves the repository';
  if (!existsSync(path.join(ROOT, to))) return `there is no ${to}`;
  if (anchor === undefined) return null;
  if (statSync(path.join(ROOT, to)).isDirectory()) return `${to} is a folder and has no headings`;
  return anchorsOf(read(to)).has(anchor) ? null : `${to} has no heading #${anchor}`;
}

it.each(DOCUMENTS)('%s', (document) => {
  const wrong = linksOf(document).flatMap((link) => {
    const reason = broken(link);
    return reason === null ? [] : [`${document}:${link.line}: ${link.target}: ${reason}`];
  });
  expect(wrong).toEqual([]);
});

/** Files and folders of this repository, named in code. */
const NAMED = /`((?:lib|test|scripts|native|kernel-module|examples|bench|docs)\/[\w./-]+)`/g;

it.each(DOCUMENTS)('%s: files that it names are there', (document) => {
  const named = [...read(document).matchAll(NAMED)].map(([, name = '']) => name);
  expect(named.filter((name) => !existsSync(path.join(ROOT, name)))).toEqual([]);
});

describe('this test', () => {
  it('finds links, and not those in code', () => {
    const text = 'a [b](c.md#d) and `[e](f.md)`\n\n```md\n[g](h.md)\n```\n\n[i](https://example.org)\n';
    expect(linksOf('x.md', text).map(({ line, target }) => [line, target])).toEqual([
      [1, 'c.md#d'],
      [7, 'https://example.org'],
    ]);
  });

  it('makes anchors as GitHub does', () => {
    const text = '# The kernel’s calls, and `x`\n## A [link](b.md)\n## Same\n## Same\n```\n# no\n```\n### a_b-c & d\n';
    expect([...anchorsOf(text)]).toEqual(['the-kernels-calls-and-x', 'a-link', 'same', 'same-1', 'a_b-c--d']);
  });

  it('sees what is wrong', () => {
    const link = (target: string): Link => ({ document: 'docs/explorer.md', line: 1, target });
    expect(broken(link('fidelity.md#rates'))).toBeNull();
    expect(broken(link('../lib'))).toBeNull();
    expect(broken(link('fidelity.md#rate'))).toMatch(/no heading/);
    expect(broken(link('fidelty.md'))).toMatch(/there is no docs\/fidelty.md/);
    expect(broken(link('../../elsewhere.md'))).toMatch(/leaves/);
  });
});
