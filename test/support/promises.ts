import { fileURLToPath } from "node:url";
import ts from "typescript";

/**
 * Everything of the public face that gives a promise, or an iteration whose steps are promises, by name (`Pool.perform`,
 * `sleep`): read from the declarations, so that what is added there is found here.
 */
export function givingPromises(): string[] {
  const entry = fileURLToPath(import.meta.resolve("eventmachine")).replace(/\.js$/, ".d.ts");
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    lib: ["lib.esnext.full.d.ts"],
    types: ["node"],
    skipLibCheck: true,
    noEmit: true,
  });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`no declarations in ${entry}`);
  const found = new Set<string>();

  const givesPromise = (type: ts.Type): boolean => {
    if (type.isUnion()) return type.types.some(givesPromise);
    const name = type.symbol?.name;
    return (
      name === "Promise" || name === "AsyncGenerator" || name === "AsyncIterator" || name === "AsyncIterableIterator"
    );
  };
  const note = (name: string, type: ts.Type): void => {
    const signatures = type.getCallSignatures();
    const results = signatures.length === 0 ? [type] : signatures.map((signature) => signature.getReturnType());
    if (results.some(givesPromise)) found.add(name);
  };
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    if (symbol.flags & ts.SymbolFlags.Function) note(exported.name, checker.getTypeOfSymbol(symbol));
    if (!(symbol.flags & ts.SymbolFlags.Class)) continue;
    const prefixed: [string, ts.Type][] = [
      ["", checker.getDeclaredTypeOfSymbol(symbol)],
      ["static ", checker.getTypeOfSymbol(symbol)],
    ];
    for (const [prefix, type] of prefixed) {
      for (const member of type.getProperties()) {
        const [declaration] = member.declarations ?? [];
        if (declaration === undefined || !isOurs(declaration)) continue;
        const owner = ts.isClassLike(declaration.parent)
          ? (declaration.parent.name?.text ?? exported.name)
          : exported.name;
        const name = member.name.replace(/^__@(\w+)@\d+$/, "[$1]");
        note(`${prefix}${owner}.${name}`, checker.getTypeOfSymbol(member));
      }
    }
  }
  return [...found].sort();

  function isOurs(node: ts.Node): boolean {
    return !node.getSourceFile().fileName.includes("node_modules");
  }
}
