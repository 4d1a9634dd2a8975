/** Completion for shells, made from the table of commands. */
import { COMMON_OPTIONS, type CommandSpec, type OptionSpec, type OptionSpecs } from './command-line.js';

export const SHELLS = ['bash', 'zsh'] as const;
export type Shell = (typeof SHELLS)[number];

const PROGRAM = 'node-hmm';
const FUNCTION = '_node_hmm';

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function optionsOf({ options }: CommandSpec): [string, OptionSpec][] {
  return Object.entries({ ...options, ...COMMON_OPTIONS } as OptionSpecs);
}

function wordsFor({ choices, completes }: OptionSpec): readonly string[] {
  return choices ?? (typeof completes === 'object' ? completes : []);
}

/** The script that a shell sources: `source <(node-hmm completion bash)`. */
export function completionScript(shell: Shell, commands: readonly CommandSpec[]): string {
  return shell === 'bash' ? bash(commands) : zsh(commands);
}

/** bash 3.2 is the oldest that it is for: macOS has it. */
function bash(commands: readonly CommandSpec[]): string {
  const reply = (words: readonly string[]) => `COMPREPLY=( $(compgen -W ${quoted(words.join(' '))} -- "$cur") )`;
  const files = (kind: 'file' | 'folder') => `COMPREPLY=( $(compgen -${kind === 'file' ? 'f' : 'd'} -- "$cur") )`;
  const valueCase = ([name, option]: [string, OptionSpec]): string[] => {
    if (option.type === 'boolean') return [];
    const { completes } = option;
    const action = completes === 'file' || completes === 'folder' ? files(completes) : reply(wordsFor(option));
    return [`        --${name}) ${action}; return ;;`];
  };
  const commandCase = (spec: CommandSpec): string[] => {
    const names = optionsOf(spec).map(([name]) => `--${name}`);
    const operands: Record<CommandSpec['operands'], string> = {
      none: reply(names),
      files: files('file'),
      words: reply(spec.words ?? []),
      // A program, and then what it takes.
      command: 'COMPREPLY=( $(compgen -c -f -- "$cur") )',
    };
    return [
      `    ${spec.name})`,
      ...(spec.operands === 'command'
        ? [
            '      for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do',
            `        [ "$word" = -- ] && { ${operands.command}; return; }`,
            '      done',
          ]
        : []),
      '      case "$prev" in',
      ...optionsOf(spec).flatMap(valueCase),
      '      esac',
      '      case "$cur" in',
      `        -*) ${reply(names)} ;;`,
      `        *) ${operands[spec.operands]} ;;`,
      '      esac',
      '      ;;',
    ];
  };
  return `${[
    `# bash completion for ${PROGRAM}: source <(${PROGRAM} completion bash)`,
    `${FUNCTION}() {`,
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" word',
    '  COMPREPLY=()',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    ${reply([...commands.map(({ name }) => name), 'help', '--help', '--version'])}`,
    '    return',
    '  fi',
    '  case "${COMP_WORDS[1]}" in',
    ...commands.flatMap(commandCase),
    `    help) ${reply(commands.map(({ name }) => name))} ;;`,
    '  esac',
    '}',
    `complete -o filenames -F ${FUNCTION} ${PROGRAM}`,
  ].join('\n')}\n`;
}

/** Of a text in _arguments and _describe: brackets and colons have a meaning there. */
function escaped(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, '\\$&').replaceAll('\n', ' ');
}

function zsh(commands: readonly CommandSpec[]): string {
  const action = (option: OptionSpec): string => {
    const { value = 'value', completes } = option;
    const words = wordsFor(option);
    const what = completes === 'file' ? '_files' : completes === 'folder' ? '_files -/' : '';
    return `:${escaped(value)}:${words.length > 0 ? `(${words.join(' ')})` : what}`;
  };
  const argument = ([name, option]: [string, OptionSpec]): string => {
    const { type, help, multiple } = option;
    const spec = `--${name}[${escaped(help)}]`;
    return quoted(`${multiple === true ? '*' : ''}${type === 'boolean' ? spec : spec + action(option)}`);
  };
  const operands = ({ operands: kind, words }: CommandSpec): string[] => {
    if (kind === 'files') return [quoted('*:file:_files')];
    if (kind === 'words') return [quoted(`:word:(${(words ?? []).join(' ')})`)];
    return kind === 'command' ? [quoted('(-):command: _command_names -e'), quoted('*::arguments: _normal')] : [];
  };
  const describe = (indent: string) => [
    `${indent}commands=(`,
    ...commands.map(({ name, summary }) => `${indent}  ${quoted(`${name}:${escaped(summary)}`)}`),
    `${indent})`,
    `${indent}_describe command commands`,
  ];
  return `${[
    `#compdef ${PROGRAM}`,
    `# zsh completion for ${PROGRAM}: source <(${PROGRAM} completion zsh), after compinit`,
    `${FUNCTION}() {`,
    '  local -a commands',
    '  if (( CURRENT == 2 )); then',
    ...describe('    '),
    '    return',
    '  fi',
    '  local command=$words[2]',
    '  shift words',
    '  (( CURRENT-- ))',
    '  case $command in',
    ...commands.flatMap((spec) => [
      `    ${spec.name})`,
      `      _arguments -S \\`,
      ...[...optionsOf(spec).map(argument), ...operands(spec)].map(
        (line, index, all) => `        ${line}${index === all.length - 1 ? '' : ' \\'}`,
      ),
      '      ;;',
    ]),
    '    help)',
    ...describe('      '),
    '      ;;',
    '  esac',
    '}',
    // Sourced, or found in fpath.
    `if [ "$funcstack[1]" = ${FUNCTION} ]; then ${FUNCTION} "$@"; else compdef ${FUNCTION} ${PROGRAM}; fi`,
  ].join('\n')}\n`;
}
