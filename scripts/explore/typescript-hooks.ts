/**
 * Module hooks (node:module, register): TypeScript is compiled, file by file and without a look at
 * its types, as it is loaded.
 */
import { readFileSync } from 'node:fs';
import type { InitializeHook, LoadHook } from 'node:module';
import { fileURLToPath } from 'node:url';
import type typescript from 'typescript';

let compiler: typeof typescript;

export const initialize: InitializeHook<{ readonly compiler: string }> = async (data) => {
  const loaded = (await import(data.compiler)) as { default: typeof typescript };
  compiler = loaded.default;
  if (typeof compiler.transpileModule !== 'function') {
    throw new Error('this typescript cannot be used from JavaScript: install tsx, or use Node 22.18 or newer');
  }
};

export const load: LoadHook = async (url, context, next) => {
  const { pathname } = new URL(url);
  if (!url.startsWith('file:') || !/\.m?ts$/.test(pathname)) return await next(url, context);
  const file = fileURLToPath(url);
  const { outputText, diagnostics = [] } = compiler.transpileModule(readFileSync(file, 'utf8'), {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: {
      module: compiler.ModuleKind.ESNext,
      target: compiler.ScriptTarget.ES2022,
      inlineSourceMap: true,
      verbatimModuleSyntax: true,
    },
  });
  const [first] = diagnostics;
  if (first !== undefined) {
    const { line, character } = first.file?.getLineAndCharacterOfPosition(first.start ?? 0) ?? {
      line: 0,
      character: 0,
    };
    const message = compiler.flattenDiagnosticMessageText(first.messageText, '\n');
    throw new SyntaxError(`${message}\n    at ${file}:${line + 1}:${character + 1}`);
  }
  return { format: 'module', source: outputText, shortCircuit: true };
};
