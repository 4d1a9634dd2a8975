import { COMMON_OPTIONS, type CommandSpec, type OptionSpecs } from './command-line.js';

const INDENT = 2;
const GAP = 2;
/** A name that is longer has its text on the next line. */
const WIDEST = 24;
const COLUMNS = 100;

/** Fills lines of at most `width` columns; the text's own line ends stay. */
export function wrapped(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    // What is indented is laid out already.
    if (paragraph.startsWith(' ')) return [paragraph];
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === '' ? word : `${line} ${word}`;
      }
    }
    return [...lines, line];
  });
}

/** Two columns: names, and what is to be said of each. */
export function columns(rows: readonly (readonly [name: string, text: string])[]): string {
  const width = Math.min(WIDEST, Math.max(...rows.map(([name]) => name.length)));
  const margin = ' '.repeat(INDENT + width + GAP);
  return rows
    .flatMap(([name, text]) => {
      const lines = wrapped(text, COLUMNS - margin.length);
      const beside = name.length <= width;
      const first = `${' '.repeat(INDENT)}${name.padEnd(width)}${' '.repeat(GAP)}${beside ? lines[0]! : ''}`.trimEnd();
      return [first, ...lines.slice(beside ? 1 : 0).map((line) => (margin + line).trimEnd())];
    })
    .join('\n');
}

function rowsOf(options: OptionSpecs): [string, string][] {
  return Object.entries(options).map(([name, { type, value = 'VALUE', help, multiple }]) => [
    type === 'boolean' ? `--${name}` : `--${name} ${value}`,
    multiple === true ? `${help}; may be repeated` : help,
  ]);
}

/** The whole help of a command. */
export function commandHelp({ usage, about, options, after }: CommandSpec): string {
  const lines = usage.map((line, index) => `${index === 0 ? 'Usage: ' : '       '}${line}`);
  return [
    ...lines,
    '',
    ...wrapped(about, COLUMNS),
    '',
    columns(rowsOf({ ...options, ...COMMON_OPTIONS })),
    ...(after === undefined ? [] : ['', ...wrapped(after, COLUMNS)]),
    '',
  ].join('\n');
}
