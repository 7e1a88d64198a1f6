import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import {
  BufferedTokenizer,
  Channel,
  CommandRunner,
  Completion,
  ConditionVariable,
  Connection,
  ConnectionPool,
  connect,
  DatagramSocket,
  defer,
  drain,
  FileStreamer,
  frame,
  frames,
  IOStreamer,
  interval,
  LineCodec,
  LineText2,
  lines,
  Mutex,
  openDatagramSocket,
  openKeyboard,
  Pool,
  proxyHeader,
  Queue,
  Reactor,
  ReconnectPolicy,
  Resolver,
  reactor,
  relay,
  run,
  sleep,
  startProxy,
  startServer,
  stop,
  system,
  ThreadedResource,
  TlsContext,
  toDuplex,
} from "eventmachine";

/** Options of a name that means nothing, which the compiler would refuse. */
const TYPO = { misspelt: 1 } as object as Record<string, never>;

const bytes = (async function* () {})();
const sink = { sendData: () => true };
const events = { line() {}, binaryData() {}, endOfBinaryData() {}, lineTooLong() {} };
const module = new URL("data:text/javascript,export default () => ({})");

/** Every public call that takes an object of options, by its declaration; `connection` is open. */
const CALLS: Record<string, (options: Record<string, never>, connection: LineText2) => unknown> = {
  "BufferedTokenizer.constructor": (options) => new BufferedTokenizer(options),
  "Channel.constructor": (options) => new Channel(options),
  "Channel.pop": (options) => new Channel().pop(options),
  "Channel.stream": (options) => new Channel().stream(options),
  "Completion.constructor": (options) => new Completion(options),
  "ConditionVariable.wait": (options) => new ConditionVariable().wait(new Mutex(), options),
  "Connection.proxyIncomingTo": (options, connection) => connection.proxyIncomingTo(connection, options),
  "Connection.streamFileData": (options, connection) => connection.streamFileData("/etc/hostname", options),
  "Connection.startTls": (options, connection) => Connection.prototype.startTls.call(connection, options),
  "ConnectionPool.constructor": (options) => new ConnectionPool({ create: () => 1, size: 1, ...options }),
  "ConnectionPool.execute": (options) => new ConnectionPool({ create: () => 1, size: 1 }).execute(() => 1, options),
  "FileStreamer.constructor": (options) => new FileStreamer(sink, "/etc/hostname", options),
  "CommandRunner.constructor": (options) => new CommandRunner(options),
  "CommandRunner.run": (options) => new CommandRunner().run("true", options),
  defer: (options) => defer(() => 1, options),
  drain: (options) => drain(options),
  frame: (options) => frame(Buffer.alloc(1), options),
  frames: (options) => frames(bytes, options),
  interval: (options) => interval(1, options),
  "IOStreamer.constructor": (options) => new IOStreamer(sink, [], options),
  "LineCodec.constructor": (options) => new LineCodec(events, options),
  "LineText2.constructor": (options) => new LineText2(options),
  "LineText2.startTls": (options, connection) => connection.startTls(options),
  lines: (options) => lines(bytes, options),
  "Mutex.lock": (options) => new Mutex().lock(options),
  "Mutex.synchronize": (options) => new Mutex().synchronize(() => 1, options),
  "Pool.acquire": (options) => new Pool().add(1).acquire(options),
  "Pool.constructor": (options) => new Pool(options),
  "Pool.perform": (options) => new Pool().add(1).perform(() => 1, options),
  "ProxyServer.reconfigure": (options) =>
    withReactor(async (reactor) => {
      await using proxy = await reactor.startProxy({ listen: { host: "127.0.0.1", port: 0 }, backends: [] });
      proxy.reconfigure(options as never);
    }),
  "Queue.constructor": (options) => new Queue(options),
  "Queue.pop": (options) => new Queue().pop(options),
  "Reactor.constructor": (options) => new Reactor(options),
  "Reactor.defer": (options) => reactor().defer(() => 1, options),
  "Reactor.drain": (options) => new Reactor().drain(options),
  "Reactor.openKeyboard": (options) => withReactor((reactor) => reactor.openKeyboard(options)),
  openKeyboard: (options) => openKeyboard(options),
  "Reactor.startProxy": (options) => withReactor((reactor) => reactor.startProxy(options as never)),
  "Reactor.system": (options) => withReactor((reactor) => reactor.system("true", options)),
  "Reactor.run": (options) => new Reactor().run(() => {}, options),
  "DatagramSocket.joinMulticast": (options) => withSocket((socket) => socket.joinMulticast("239.77.1.9", options)),
  "DatagramSocket.leaveMulticast": (options) => withSocket((socket) => socket.leaveMulticast("239.77.1.9", options)),
  "ReconnectPolicy.constructor": (options) => new ReconnectPolicy(options),
  "Resolver.constructor": (options) => new Resolver(options),
  "Resolver.resolve": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolve("a.test", options),
  "Resolver.resolve4": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolve4("a.test", options),
  "Resolver.resolve6": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolve6("a.test", options),
  "Resolver.resolveCaa": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolveCaa("a.test", options),
  "Resolver.resolveMx": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolveMx("a.test", options),
  "Resolver.resolvePtr": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolvePtr("a.test", options),
  "Resolver.resolveService": (options) =>
    new Resolver({ nameservers: ["127.0.0.1:9"] }).resolveService("a.test", options),
  "Resolver.resolveSrv": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolveSrv("a.test", options),
  "Resolver.resolveTxt": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).resolveTxt("a.test", options),
  "Resolver.reverse": (options) => new Resolver({ nameservers: ["127.0.0.1:9"] }).reverse("192.0.2.1", options),
  proxyHeader: (options) => proxyHeader(options),
  relay: (options, connection) => relay(connection, connection, options),
  run: (options) => run(() => {}, options),
  startProxy: (options) => startProxy(options as never),
  sleep: (options) => sleep(1, options),
  system: (options) => system("true", options),
  "ThreadedResource.constructor": (options) => new ThreadedResource(module, options),
  "ThreadedResource.shutdown": async (options) => {
    const resource = new ThreadedResource(module);
    await resource.shutdown(options).finally(() => resource.terminate());
  },
  "TlsContext.constructor": (options) => new TlsContext(options),
  toDuplex: (options, connection) => toDuplex(connection, options),
};

async function withReactor(call: (reactor: Reactor) => unknown): Promise<void> {
  const reactor = new Reactor();
  await reactor.run(async () => {
    try {
      await call(reactor);
    } finally {
      reactor.stop();
    }
  });
}

async function withSocket(call: (socket: DatagramSocket) => void): Promise<void> {
  const socket = await openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramSocket);
  try {
    call(socket);
  } finally {
    socket.closeConnection();
  }
}

/** The public calls with a parameter of options, as the package's declarations tell them. */
function declaredCalls(): string[] {
  const entry = new URL("./index.d.ts", import.meta.resolve("eventmachine"));
  const found = new Set<string>();
  for (const [, names = "", file = ""] of readFileSync(entry, "utf8").matchAll(/export \{([^}]*)\} from "([^"]*)"/g)) {
    const values = names
      .split(",")
      .map((name) => name.trim())
      .filter((name) => /^\w+$/.test(name));
    const declarations = readFileSync(new URL(file.replace(/\.js$/, ".d.ts"), entry), "utf8");
    for (const value of values) {
      const isClass = new RegExp(`^export declare class ${value}\\b`, "m").test(declarations);
      const text = new RegExp(`^export declare (?:class|function) ${value}\\b[^]*?${isClass ? "^\\}" : ";$"}`, "gm");
      for (const [block] of declarations.matchAll(text)) {
        for (const [, name] of block.matchAll(
          // An address has options in it, too: conformance/option_names checks those.
          /^(?:export declare function | {4})(\w+)[^\n(]*\((?!address: ).*[oO]ptions\b/gm,
        )) {
          found.add(isClass ? `${value}.${name}` : `${name}`);
        }
      }
    }
  }
  return [...found].sort();
}

describe("names of options", () => {
  it("are known to be checked for every public call that takes some", () => {
    assert.deepEqual(declaredCalls(), Object.keys(CALLS).sort());
  });

  it("are refused where they mean nothing, with those that do, and so is what is no object", async () => {
    const wrong = { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT" };
    const refused = { ...wrong, message: /^options must not have "misspelt"; known are \w+/ };
    class Quiet extends LineText2 {}
    await run(async () => {
      const server = await startServer({ host: "127.0.0.1", port: 0 }, Quiet);
      const connection = connect({ host: "127.0.0.1", port: server.port as number }, Quiet);
      await connection.opened;
      for (const [name, call] of Object.entries(CALLS)) {
        await assert.rejects(async () => await call(TYPO, connection), refused, name);
        // Spread into other options, or said to be something else, a number has no names to be found wrong.
        if (name === "ConnectionPool.constructor" || name.endsWith(".startTls")) continue;
        // A number is a deadline there.
        if (/\bdrain$/.test(name)) continue;
        await assert.rejects(
          async () => await call(5 as never, connection),
          /(\.pop|\bdefer)$/.test(name) ? wrong : { ...wrong, message: /^options must be an object, not 5/ },
          name,
        );
      }
      stop();
    });
  });

  it("are refused among a thread's, which are Node's", () => {
    assert.throws(() => new ThreadedResource(module, { thread: TYPO }), {
      name: "ArgumentError",
      message: 'thread must not have "misspelt"; known are name, env, execArgv, resourceLimits',
    });
  });
});
