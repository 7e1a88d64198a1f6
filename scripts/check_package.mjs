// Packs the package, checks the tarball with publint and attw, and installs it into empty folders three ways:
//   no install scripts and no compiler    portable engine, and an error where the native one is asked for by name
//   install scripts, but no compiler      the install succeeds and says why the portable engine serves
//   install scripts and a compiler        native engine (Linux)
// In each an echo runs, by import, by require and by the command. It asks nothing of the network: there are no
// dependencies to fetch.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PATIENCE = 20_000;
const COMPILERS = ["g++", "gcc", "c++", "cc", "clang", "clang++", "make"];
const isWindows = process.platform === "win32";
const root = fileURLToPath(new URL("..", import.meta.url));
const { name, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const work = mkdtempSync(join(tmpdir(), `${name}-package-`));

const ECHO = `
class Echo extends Connection {
  receiveData(data) { this.sendData(data); }
}
class Client extends Connection {
  connectionCompleted() { this.sendData("over the wire"); }
  receiveData(data) { console.log(String(data)); stop(); }
}
run(async () => {
  const server = await startServer({ host: "127.0.0.1", port: 0 }, Echo);
  connect({ host: "127.0.0.1", port: server.port }, Client);
}).then(() => console.log(engineInfo().engine));
`;
const NAMES = "{ Connection, connect, engineInfo, run, startServer, stop }";

try {
  const tarball = pack();
  const withoutCompiler = { ...process.env, PATH: isWindows ? process.env.PATH : pathWithoutCompiler() };
  await checkInstall("no-scripts", tarball, ["--ignore-scripts"], withoutCompiler, "portable");
  if (!isWindows) {
    const said = await checkInstall("no-compiler", tarball, ["--foreground-scripts"], withoutCompiler, "portable");
    assert.match(said, /portable engine/, "the install says which engine will serve");
  }
  if (process.platform === "linux") await checkInstall("compiler", tarball, [], process.env, "native");
} finally {
  rmSync(work, { recursive: true, force: true });
}

function pack() {
  npm(["pack", "--pack-destination", work], { cwd: root });
  const tarball = join(work, `${name}-${version}.tgz`);
  step("publint");
  tool("publint", ["run", tarball, "--strict"]);
  step("attw");
  // esm-only: the package has one build, ES modules, which require() loads too (Node >= 20.19).
  tool("@arethetypeswrong/cli", [tarball, "--profile", "esm-only"]);
  return tarball;
}

/** Installs the tarball into an empty folder, runs the echo there in every way, and returns what the install said. */
async function checkInstall(label, tarball, flags, env, engine) {
  step(`install: ${label}`);
  const folder = join(work, label);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const said = npm(["install", "--offline", ...flags, tarball], { cwd: folder, env });
  writeFileSync(join(folder, "by_import.mjs"), `import ${NAMES} from "${name}";${ECHO}`);
  writeFileSync(join(folder, "by_require.cjs"), `const ${NAMES} = require("${name}");${ECHO}`);
  for (const script of ["by_import.mjs", "by_require.cjs"]) {
    const { stdout } = succeed(process.execPath, [script], { cwd: folder, env });
    assert.equal(stdout, `over the wire\n${engine}\n`, script);
  }
  const main = join(folder, "node_modules", name, "dist", "cli", "main.js");
  const info = JSON.parse(succeed(process.execPath, [main, "info", "--json"], { cwd: folder, env }).stdout);
  assert.equal(info.engine, engine);
  console.log(`${label}: ${info.engine}, for: ${info.why}`);
  if (engine === "portable") {
    const native = run(process.execPath, [main, "echo", "--listen", "127.0.0.1:0", "--engine", "native"], { env });
    assert.equal(native.status, 1, native.stderr);
  }
  // npm's own link to the command, as a shell finds it; on Windows that is a script of its shell's.
  await checkCommand(isWindows ? [process.execPath, main] : [join(folder, "node_modules", ".bin", name)], env);
  return said;
}

/** The installed command echoes, and drains at SIGTERM. */
async function checkCommand([command, ...args], env) {
  const server = spawn(command, [...args, "echo", "--listen", "127.0.0.1:0"], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => server.once("close", (code, signal) => resolve(code ?? signal)));
  const late = setTimeout(() => server.kill("SIGKILL"), PATIENCE);
  try {
    const [, port] = /^listening on 127\.0\.0\.1:(\d+)\n/.exec(await firstChunk(server.stdout)) ?? [];
    assert.ok(port, "the command says where it listens");
    const socket = connect({ host: "127.0.0.1", port: Number(port) });
    socket.write("through the command");
    assert.equal(await firstChunk(socket), "through the command");
    socket.end();
    server.kill("SIGTERM");
    const code = await ended;
    if (!isWindows) assert.equal(code, 0);
  } finally {
    clearTimeout(late);
    server.kill("SIGKILL");
  }
}

function firstChunk(stream) {
  return new Promise((resolve, reject) => {
    stream.once("data", (chunk) => resolve(String(chunk)));
    stream.once("end", () => reject(new Error("it ended without a word")));
    stream.once("error", reject);
  });
}

/** A PATH on which there is node, npm and a shell, and nothing that compiles. */
function pathWithoutCompiler() {
  const bin = join(work, "bin");
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, "node"));
  for (const program of ["npm", "sh"]) symlinkSync(find(program), join(bin, program));
  for (const compiler of COMPILERS) {
    assert.notEqual(
      spawnSync(compiler, ["--version"], { env: { PATH: bin } }).error,
      undefined,
      `${compiler} is hidden`,
    );
  }
  return bin;
}

function find(program) {
  const { stdout } = succeed("sh", ["-c", `command -v ${program}`]);
  return stdout.trim();
}

function npm(args, options) {
  const { stdout, stderr } = succeed("npm", args, { shell: isWindows, ...options });
  return stdout + stderr;
}

/** Runs a development dependency's command on a file and shows what it says. */
function tool(dependency, args) {
  const manifest = join(root, "node_modules", dependency, "package.json");
  const [bin] = Object.values(JSON.parse(readFileSync(manifest, "utf8")).bin);
  process.stdout.write(succeed(process.execPath, [join(dirname(manifest), bin), ...args]).stdout);
}

function succeed(command, args, options) {
  const result = run(command, args, options);
  assert.equal(result.status, 0, `${command} ${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return result;
}

function run(command, args, options) {
  const result = spawnSync(command, args, { encoding: "utf8", timeout: 15 * PATIENCE, ...options });
  if (result.error !== undefined) throw result.error;
  return result;
}

function step(title) {
  console.log(`-- ${title}`);
}
