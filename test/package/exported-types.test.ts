/** Every type that a public signature names can be named by users, too: it is exported by an entry of the package. */
import path from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';

const ENTRIES = ['dist/lib/index.d.ts', 'dist/lib/explore/index.d.ts'].map((name) => path.resolve(name));

/** Names of declarations that are reachable from what the entries export, and that no entry exports. */
function hiddenTypes(entries: readonly string[]): string[] {
  const program = ts.createProgram([...entries], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: [],
  });
  const checker = program.getTypeChecker();
  const resolved = (symbol: ts.Symbol): ts.Symbol =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const exported = new Set(
    entries.flatMap((entry) => {
      const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!;
      return checker.getExportsOfModule(module).map(resolved);
    }),
  );
  const hidden = new Set<string>();
  const isOurs = (symbol: ts.Symbol): boolean =>
    (symbol.declarations ?? []).some((each) => !program.isSourceFileDefaultLibrary(each.getSourceFile()));
  const isParameter = (symbol: ts.Symbol): boolean => (symbol.flags & ts.SymbolFlags.TypeParameter) !== 0;
  const visit = (node: ts.Node, from: string): void => {
    if (isPrivate(node)) return;
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : ts.isImportTypeNode(node)
          ? node.qualifier
          : ts.isTypeQueryNode(node)
            ? node.exprName
            : undefined;
    const found = name && checker.getSymbolAtLocation(name);
    if (found !== undefined) {
      const symbol = resolved(found);
      if (isOurs(symbol) && !isParameter(symbol) && !exported.has(symbol)) hidden.add(`${from} → ${symbol.name}`);
    }
    node.forEachChild((child) => visit(child, from));
  };
  for (const symbol of exported) for (const declaration of symbol.declarations ?? []) visit(declaration, symbol.name);
  return [...hidden].sort();
}

/** Types keep the names of private members, without their types. */
function isPrivate(node: ts.Node): boolean {
  return (
    ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)
  );
}

/** Named by a definition, but not by what a user writes. */
const NOT_NEEDED = [
  // keyof typeof ERRNO: a value.
  'ErrnoCode → ERRNO',
  // Operation<MemoryFile>, which is exported as Operation.
  'PublicOperation → Operation',
];

it('every type that a signature names is exported', () => {
  expect(hiddenTypes(ENTRIES)).toEqual(NOT_NEEDED);
});
