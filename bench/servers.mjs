// What can be measured: each server's command, and whether this machine has it. A server prints "listening on
// HOST:PORT" once it accepts, and its process is the one that is started, so that its CPU clock is the server's.
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readSync, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..");
const output = join(root, ".build", "bench");
const cli = join(root, "dist", "cli", "main.js");
const installed = join(process.env.BENCH_PEERS_DIR ?? "/tmp/eventmachine-bench-peers", "node_modules", ".bin");
const debianPython = "/usr/bin/python3"; // where Debian's packages live, whichever python3 comes first on PATH

const peer = (name) => join(here, "peers", name);
const served = (name) => join(here, "servers", name);

/** Compiles a C file of this folder and returns the path of the binary. */
function compileC(source, libraries = [], name = source.replace(/^.*\//, "").replace(/\.c$/, "")) {
  mkdirSync(output, { recursive: true });
  const binary = join(output, name);
  const flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, join(here, source)];
  execFileSync("gcc", [...flags, ...libraries], { stdio: ["ignore", "ignore", "pipe"] });
  return binary;
}

function compileGo(source) {
  mkdirSync(output, { recursive: true });
  const binary = join(output, source.replace(/^.*\//, "").replace(/\.go$/, ""));
  execFileSync("go", ["build", "-o", binary, join(here, source)], { stdio: ["ignore", "ignore", "pipe"] });
  return binary;
}

/** Finds a program on PATH or among those that setup.sh installed; a script that would start another process is refused. */
function program(name) {
  const folders = [installed, ...(process.env.PATH ?? "").split(delimiter)];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not installed`);
  const file = openSync(realpathSync(found), "r");
  const magic = Buffer.alloc(4);
  readSync(file, magic);
  closeSync(file);
  if (magic.toString("latin1") !== "\x7fELF") throw new Error(`${found} is not the program itself but a script`);
  return found;
}

function probe(command, ...args) {
  execFileSync(command, args, { stdio: "ignore" });
}

function ours(file, ...args) {
  if (!existsSync(file)) throw new Error("not built: npm run build");
  return [process.execPath, file, ...args];
}

const TLS_LIBRARIES = ["-lssl", "-lcrypto"];
let identity;

/** The paths of a certificate for ECDSA with P-256, and its key, made for this run. */
function tlsIdentity() {
  if (identity !== undefined) return identity;
  mkdirSync(output, { recursive: true });
  identity = [join(output, "certificate.pem"), join(output, "key.pem")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", identity[1]];
  const args = ["req", "-x509", ...key, "-out", identity[0], "-subj", "/CN=localhost", "-days", "30"];
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
  return identity;
}

function tlsEcho(engine, ...args) {
  const [certificate, key] = tlsIdentity();
  return echo(engine, "--tls-cert", certificate, "--tls-key", key, ...args);
}

const echo = (engine, ...args) => ours(cli, "echo", "--listen", "127.0.0.1:0", "--engine", engine, ...args);

function proxy(name, kind = name) {
  if (!["/usr/sbin", "/usr/local/sbin"].some((folder) => existsSync(join(folder, name)))) program(name);
  return [debianPython, peer("proxy.py"), kind];
}

const hello = (engine, face) => ours(served("http_hello.mjs"), engine, face);

// A relay's command is followed by the port of its backend.
// Each entry returns its command, and throws when this machine cannot run it.
const recipes = {
  native: { title: "eventmachine", node: true, command: () => echo("native") },
  "native-borrowed": { title: "eventmachine, borrowed views", node: true, command: () => echo("native", "--borrow") },
  "native-lines": { title: "eventmachine", node: true, command: () => echo("native", "--lines") },
  portable: { title: "eventmachine, portable", node: true, command: () => echo("portable") },
  c: { title: "C epoll loop", command: () => [compileC("peers/epoll_echo.c")] },
  "c-source": { title: "C source", command: () => [compileC("peers/epoll_source.c")] },
  relay: { title: "eventmachine, relay", node: true, command: () => ours(served("relay.mjs"), "native") },
  "relay-portable": { title: "the same, portable", node: true, command: () => ours(served("relay.mjs"), "portable") },
  "relay-c": { title: "C epoll relay", command: () => [compileC("peers/epoll_relay.c")] },
  "relay-haproxy": { title: "HAProxy", command: () => proxy("haproxy") },
  "relay-haproxy-splice": { title: "HAProxy, splice", command: () => proxy("haproxy", "haproxy-splice") },
  "relay-nginx": { title: "nginx stream", command: () => proxy("nginx") },
  "relay-node": { title: "node:net, pipe", node: true, command: () => [process.execPath, peer("node_relay.mjs")] },
  "udp-native": { title: "eventmachine", node: true, command: () => ours(served("datagram_echo.mjs")) },
  "udp-native-borrowed": {
    title: "eventmachine, borrowed views",
    node: true,
    command: () => ours(served("datagram_echo.mjs"), "--borrow"),
  },
  "udp-node": { title: "node:dgram", node: true, command: () => [process.execPath, peer("node_datagram_echo.mjs")] },
  "udp-flow": { title: "eventmachine", node: true, command: () => ours(served("datagram_flow.mjs")) },
  "udp-flow-borrowed": {
    title: "eventmachine, borrowed views",
    node: true,
    command: () => ours(served("datagram_flow.mjs"), "--borrow"),
  },
  "udp-flow-node": {
    title: "node:dgram",
    node: true,
    command: () => [process.execPath, peer("node_datagram_flow.mjs")],
  },
  "udp-idle": { title: "eventmachine, UDP", node: true, command: () => ours(served("datagram_idle.mjs")) },
  "udp-c": { title: "C recvmmsg loop", command: () => [compileC("peers/datagram_echo.c")] },
  libuv: { title: "libuv in C", command: () => [compileC("peers/libuv_echo.c", ["-luv"])] },
  node: { title: "node:net", node: true, command: () => [process.execPath, peer("node_echo.mjs")] },
  "node-http": { title: "node:http", node: true, command: () => [process.execPath, peer("node_http.mjs")] },
  "http-class": { title: "HttpConnection", node: true, command: () => hello("native", "class") },
  "http-fetch": { title: "serveHttp", node: true, command: () => hello("native", "fetch") },
  "http-fetch-global": {
    title: "serveHttp, global Response",
    node: true,
    command: () => hello("native", "fetch-global"),
  },
  "http-class-portable": {
    title: "HttpConnection, portable",
    node: true,
    command: () => hello("portable", "class"),
  },
  "http-fetch-portable": { title: "serveHttp, portable", node: true, command: () => hello("portable", "fetch") },
  "http-nginx": {
    title: "nginx",
    command() {
      if (!["/usr/sbin", "/usr/local/sbin"].some((folder) => existsSync(join(folder, "nginx")))) program("nginx");
      return [debianPython, peer("nginx_http.py")];
    },
  },
  "http-bun": { title: "Bun.serve", command: () => [program("bun"), peer("bun_http.js")] },
  "http-bridge": {
    title: "http.Server, toDuplex",
    node: true,
    command: () => ours(served("http_bridge.mjs"), "native"),
  },
  "http-bridge-portable": {
    title: "the same, portable",
    node: true,
    command: () => ours(served("http_bridge.mjs"), "portable"),
  },
  "node-lines": { title: "node:net", node: true, command: () => [process.execPath, peer("node_lines.mjs")] },
  "node-lines-corked": {
    title: "node:net, corked by hand",
    node: true,
    command: () => [process.execPath, peer("node_lines.mjs"), "--cork"],
  },
  "tls-native": { title: "eventmachine", node: true, command: () => tlsEcho("native") },
  "tls-native-borrowed": {
    title: "eventmachine, borrowed views",
    node: true,
    command: () => tlsEcho("native", "--borrow"),
  },
  "tls-portable": { title: "eventmachine, portable", node: true, command: () => tlsEcho("portable") },
  "tls-c": {
    title: "C epoll loop, OpenSSL",
    command: () => [compileC("peers/epoll_tls_echo.c", TLS_LIBRARIES), ...tlsIdentity()],
  },
  "tls-node": {
    title: "node:tls",
    node: true,
    command: () => [process.execPath, peer("node_tls_echo.mjs"), ...tlsIdentity()],
  },
  "tls-bun": { title: "Bun.listen, TLS", command: () => [program("bun"), peer("bun_echo.js"), ...tlsIdentity()] },
  bun: { title: "Bun.listen", command: () => [program("bun"), peer("bun_echo.js")] },
  deno: { title: "Deno.listen", command: () => [program("deno"), "run", "--no-config", "-A", peer("deno_echo.js")] },
  uvloop: {
    title: "uvloop",
    command() {
      probe(debianPython, "-c", "import uvloop");
      return [debianPython, peer("uvloop_echo.py")];
    },
  },
  ruby: {
    title: "Ruby EventMachine",
    command() {
      probe("ruby", "-e", 'require "eventmachine"');
      return [program("ruby"), peer("eventmachine_echo.rb")];
    },
  },
  go: { title: "Go", command: () => [compileGo("peers/go_echo.go")] },
  twisted: {
    title: "Twisted",
    command() {
      probe(debianPython, "-c", "import twisted");
      return [debianPython, peer("twisted_echo.py")];
    },
  },
};

/** The names `--peers` takes: servers that echo plainly, ours first. */
export const ECHO_SERVERS = [
  "native",
  "libuv",
  "node",
  "bun",
  "deno",
  "uvloop",
  "ruby",
  "go",
  "twisted",
  "portable",
  "c",
];

const prepared = new Map();

/** A server's title and command, compiled if need be; `missing` says why this machine cannot run it. */
export function server(name) {
  let known = prepared.get(name);
  if (known === undefined) {
    const { title, node = false, command } = recipes[name];
    try {
      known = { name, title, node, command: command(), missing: undefined };
    } catch (error) {
      const detail = error.stderr?.length ? String(error.stderr).trim().split("\n")[0] : error.message.split("\n")[0];
      known = { name, title, node, command: [], missing: detail };
    }
    prepared.set(name, known);
  }
  return known;
}

/** Those of them that also echo over TLS, as `tls-` and the name. */
export const TLS_SERVERS = ["native", "node", "bun", "portable"];

const loads = new Map();

/** The load generator's binary: for plain streams, "tls", "datagrams", or "datagram-flow". */
export function loadGenerator(kind) {
  let binary = loads.get(kind);
  if (binary === undefined) {
    if (kind === "tls") binary = compileC("load.c", ["-DTLS", ...TLS_LIBRARIES], "tls_load");
    else binary = compileC({ datagrams: "datagram_load.c", "datagram-flow": "datagram_flow.c" }[kind] ?? "load.c");
    loads.set(kind, binary);
  }
  return binary;
}
