/** What README.md, CHANGELOG.md and docs/ contain that can be checked: programs, commands, links. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');

export const DOCUMENTS: readonly string[] = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(path.join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export interface Block {
  readonly document: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  /** 'ts', 'js', 'sh', …; '' for what a program prints, and for drawings. */
  readonly language: string;
  readonly code: string;
  /** HTML comments `<!-- name: value -->` right before it, by name. */
  readonly directives: ReadonlyMap<string, string>;
  /** What a program prints: the block without a language that comes right after it; null if there is none. */
  readonly printed: string | null;
}

export function read(document: string): string {
  return readFileSync(path.join(ROOT, document), 'utf8');
}

/** All fenced blocks of a document, in order. */
export function blocksOf(document: string, text = read(document)): Block[] {
  const blocks: Block[] = [];
  const directives = new Map<string, string>();
  const lines = text.split('\n');
  // The block that nothing but empty lines separates from where we are.
  let before: Block | null = null;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const directive = /^<!-- (\w+): (.*) -->$/.exec(line);
    const fence = /^( *)```(\w*)$/.exec(line);
    if (directive !== null) directives.set(directive[1]!, directive[2]!);
    else if (fence !== null) {
      const [, indent = '', language = ''] = fence;
      const end = lines.indexOf(`${indent}\`\`\``, at + 1);
      if (end < 0) throw new Error(`${document}:${at + 1}: the block does not end`);
      const code = `${lines
        .slice(at + 1, end)
        .map((each) => each.slice(indent.length))
        .join('\n')}\n`;
      if (language === '' && before !== null && isProgram(before)) {
        blocks[blocks.length - 1] = { ...before, printed: code };
        before = null;
      } else {
        before = { document, line: at + 1, language, code, directives: new Map(directives), printed: null };
        blocks.push(before);
      }
      directives.clear();
      at = end;
    } else if (line !== '') {
      directives.clear();
      before = null;
    }
  }
  return blocks;
}

export function isProgram({ language }: Block): boolean {
  return ['ts', 'js', 'typescript', 'javascript', 'mjs'].includes(language);
}

export const BLOCKS: readonly Block[] = DOCUMENTS.flatMap((document) => blocksOf(document));

export function placeOf({ document, line }: Block): string {
  return `${document}:${line}`;
}

export interface Link {
  readonly document: string;
  readonly line: number;
  readonly target: string;
}

/** The targets of the links of a document, those in its code left out. */
export function linksOf(document: string, text = read(document)): Link[] {
  return withoutCode(text)
    .split('\n')
    .flatMap((line, index) =>
      [...line.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ document, line: index + 1, target })),
    );
}

/** The anchors of a document's headings, as GitHub makes them. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  const fenced = text.replace(/^```[^]*?^```$/gm, '');
  for (const [, heading = ''] of fenced.matchAll(/^#{1,6} (.*)$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let again = 1; anchors.has(anchor); again++) anchor = `${slug}-${again}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The text with every block and every piece of code blanked, so that lines keep their numbers. */
export function withoutCode(text: string): string {
  const blank = (code: string): string => code.replace(/[^\n]/g, ' ');
  return text.replace(/^( *)```[^]*?^\1```$/gm, blank).replace(/`[^`\n]+`/g, blank);
}
