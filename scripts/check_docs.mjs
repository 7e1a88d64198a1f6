// Checks that whatever the package exports has a docstring: each function, class, type and constant, and each member of a class,
// an interface or an object type, also where it was inherited of a class that is not exported itself. One on either accessor of a
// pair serves both, one on an overload serves all; constructors are described by their class.
//
//   node scripts/check_docs.mjs [declarations]      default: dist/index.d.ts (npm run build:ts)
import { existsSync } from "node:fs";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));
const entry = resolve(process.argv[2] ?? `${root}dist/index.d.ts`);
if (!existsSync(entry)) {
  console.error(`${entry} is not there (npm run build:ts)`);
  process.exit(2);
}

const program = ts.createProgram([entry], {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  types: ["node"],
  typeRoots: [`${root}node_modules/@types`],
});
const checker = program.getTypeChecker();
const seen = new Set();
const missing = [];

const ours = ({ fileName }) => !fileName.includes("/node_modules/");
const isOpen = (declaration) =>
  !ts.isPrivateIdentifier(declaration.name ?? declaration) &&
  (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Private) === 0;

/** Looks at a symbol once, however it is reached. */
function check(symbol, owner) {
  const declarations = (symbol.declarations ?? []).filter((each) => ours(each.getSourceFile()) && isOpen(each));
  if (declarations.length === 0 || seen.has(declarations[0])) return;
  seen.add(declarations[0]);
  if (symbol.getDocumentationComment(checker).length > 0) return;
  const [{ name }] = declarations;
  const place = declarations[0].getSourceFile();
  const { line } = place.getLineAndCharacterOfPosition(declarations[0].getStart());
  const title = [...owner, name === undefined ? symbol.name : name.getText()].join(".");
  missing.push(`${title}  ${relative(process.cwd(), place.fileName)}:${line + 1}`);
}

function checkMembers(type, owner) {
  for (const member of checker.getPropertiesOfType(type)) check(member, owner);
}

const source = program.getSourceFile(entry);
for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(source))) {
  const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
  const owner = [exported.name];
  check(symbol, []);
  if (symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface)) {
    checkMembers(checker.getDeclaredTypeOfSymbol(symbol), owner);
  }
  if (symbol.flags & ts.SymbolFlags.Class) {
    const statics = checker.getTypeOfSymbol(symbol);
    checkMembers(statics, owner);
  }
  if (symbol.flags & ts.SymbolFlags.TypeAlias) {
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    if (type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) checkMembers(type, owner);
  }
}
for (const line of missing.sort()) console.log(line);
console.log(`${missing.length} of ${seen.size} have no docstring`);
process.exitCode = seen.size > 0 && missing.length === 0 ? 0 : 1;
