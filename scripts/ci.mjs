// Everything that must pass before a change lands: the list of .ci/run. What each step costs stands in CONTRIBUTING.
// Steps that would disturb each other, or whose tests measure time, have a stage of their own.
import { fileURLToPath } from "node:url";
import { runStages } from "./stages.mjs";

const STAGES = [
  [{ name: "system packages", run: "bash .ci/packages; node --version" }],
  // What npm's scripts would do is done below, where a build that fails is an error. The layout is written before two builds read it.
  [{ name: "dependencies", run: "npm ci --ignore-scripts; node scripts/make_layout.mjs" }],
  [
    {
      name: "lint",
      run: `
        node_modules/.bin/biome ci --colors=off .
        clang-format --dry-run --Werror native/*/*.cc native/*/*.h
        node scripts/check_native_calls.mjs
        node scripts/check_native_includes.mjs
        npm run check:imports
        npm run check:repeats`,
    },
    {
      name: "types and API documentation",
      run: "npm run build:ts; npm run build:test; npm run check:docs; npm run docs:api",
    },
    { name: "native engine", run: "npm run build:native; node scripts/check_hardening.mjs" },
  ],
  [
    { name: "the README's demo: npm install && npm start", run: "bash .ci/demo" },
    { name: "native engine for sanitizers, built", run: "node scripts/install.mjs --sanitize" },
    { name: "native engine with faults, built", run: "node scripts/install.mjs --torture" },
  ],
  [{ name: "the README's tests: npm install && npm test", run: "npm test" }],
  [
    {
      name: "the same binary on other versions of Node, from the oldest supported on",
      run: "node scripts/test_nodes.mjs",
    },
    { name: "native engine with faults injected", run: "node scripts/test_torture.mjs" },
  ],
  [
    {
      name: "native engine under AddressSanitizer and UndefinedBehaviorSanitizer",
      run: "node scripts/test_sanitize.mjs",
    },
  ],
  // Alone: it measures how long connections take.
  [{ name: "soak", run: "node scripts/soak.mjs --seconds 45 --connections 400" }],
  [
    { name: "fuzzers", run: "node scripts/fuzz.mjs --seconds 75" },
    { name: "the package, installed with and without a compiler", run: "npm run check:package" },
  ],
];

const root = fileURLToPath(new URL("..", import.meta.url));
process.env.CI = "true";
process.exitCode = await runStages(STAGES, { cwd: root });
