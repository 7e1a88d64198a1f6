import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { Worker } from "node:worker_threads";
import {
  type ConnectAddress,
  type ConnectOptions,
  type Listener,
  Reactor,
  type ReactorOptions,
  type ServerAddress,
  type ServerOptions,
  type TlsContext,
} from "eventmachine";
import { Fifo } from "./fifo.js";
import type { EngineSuite, Medium } from "./harness.js";
import { clientContext, serverContext } from "./pki.js";
import { Recorder, type Script, type Witness } from "./recorder.js";

/** How long `until` waits, on the reactor's clock: what is waited for takes a moment, on a starved machine many times that. */
const WAIT_LIMIT = 30_000;

export type Place = { host: string; port: number } | { path: string | Buffer };

/** A listener of recorders. */
export interface Served {
  readonly listener: Listener;
  /** Where to connect to. */
  readonly at: Place;
  /** What it has accepted, in order. */
  readonly peers: Recorder[];
  /** The nth connection accepted, as soon as there is one. */
  peer(index?: number): Promise<Recorder>;
}

export interface PairOptions {
  client?: Script;
  server?: Script;
  connect?: ConnectOptions;
  listen?: ServerOptions;
}

export interface Pair {
  readonly client: Recorder;
  readonly server: Recorder;
  readonly served: Served;
}

/** One of each for all trials: that is what contexts are for. */
const SERVER_TLS = serverContext();
const CLIENT_TLS = clientContext();

/** One test's world: a reactor, helpers to fill it with peers, and the check that everything in it ended in order. */
export class Trial implements Witness {
  readonly engine: EngineSuite;
  readonly reactor: Reactor;
  readonly recorders: Recorder[] = [];
  readonly violations: string[] = [];
  #medium: Medium = "tcp";
  #folder: string | undefined;
  #paths = 0;
  readonly #cleanUps: (() => Promise<void>)[] = [];
  /** What the trial's reactor finds when it resolves a name; other names are not there. */
  readonly names = new Map<string, () => Promise<readonly string[]>>();

  constructor(engine: EngineSuite, options: ReactorOptions = {}) {
    this.engine = engine;
    this.reactor = this.makeReactor({ resolver: (host) => this.#resolve(host), ...options });
  }

  makeReactor(options: ReactorOptions = {}): Reactor {
    return new Reactor({ engine: this.engine.name, ...options });
  }

  /** The medium of `serve` and `pair` from here on. */
  over(medium: Medium): this {
    this.#medium = medium;
    return this;
  }

  /** The options that make a server, or a client, one of the medium. */
  get serverTls(): { tls?: TlsContext } {
    return this.#medium === "tls" ? { tls: SERVER_TLS } : {};
  }

  get clientTls(): { tls?: TlsContext } {
    return this.#medium === "tls" ? { tls: CLIENT_TLS } : {};
  }

  async #resolve(host: string): Promise<readonly string[]> {
    const found = this.names.get(host);
    if (found === undefined) throw Object.assign(new Error(`there is no ${host}`), { code: "ENOTFOUND" });
    return found();
  }

  // Peers --------------------------------------------------------------------------------------------------------

  /** Listens on 127.0.0.1, port 0 (or a fresh path), unless the options say otherwise. */
  async serve(script: Script = {}, options: ServerOptions | ServerAddress = {}): Promise<Served> {
    const place = this.#medium === "unix" ? { path: this.path() } : { host: "127.0.0.1", port: 0 };
    const tls = this.serverTls;
    const address = {
      ...tls,
      ...("port" in options || "path" in options ? options : { ...place, ...options }),
    } as ServerAddress;
    const peers: Recorder[] = [];
    const announced: Script = {
      ...script,
      name: script.name ?? "server",
      postInit: (me) => {
        peers.push(me);
        return script.postInit?.(me);
      },
    };
    const listener = await this.reactor.startServer(address, Recorder, this as Witness, announced);
    return {
      listener,
      at: placeOf(listener),
      peers,
      peer: async (index = 0) => {
        await this.until(() => peers.length > index, `connection ${index} is accepted`);
        return peers[index] as Recorder;
      },
    };
  }

  /** Connects a recorder. */
  dial(at: Place | Served, script: Script = {}, options: ConnectOptions = {}): Recorder {
    const place = "at" in at ? at.at : at;
    const tls = this.clientTls;
    const address: ConnectAddress = { ...place, ...tls, ...options };
    return this.reactor.connect(address, Recorder, this as Witness, { name: "client", ...script });
  }

  /** Two ends of one connection, both open, and secured where that is the medium. */
  async pair({ client: ours = {}, server: theirs = {}, connect, listen }: PairOptions = {}): Promise<Pair> {
    const served = await this.serve(theirs, listen);
    const client = this.dial(served, ours, connect);
    await client.opened;
    const server = await served.peer();
    if (this.#medium === "tls") await Promise.all([client.secured, server.secured]);
    return { client, server, served };
  }

  /** A port of 127.0.0.1 that nobody listens on. */
  async deadPort(): Promise<number> {
    const listener = await this.reactor.startServer({ host: "127.0.0.1", port: 0 }, Recorder, this as Witness);
    const { port } = listener;
    await listener.close();
    return port as number;
  }

  /**
   * A port of 127.0.0.1 that answers nothing: its listener stands still, its accept queue is full, and so the kernel
   * drops what knocks. Nothing else on loopback is silent.
   */
  async silentPort(): Promise<number> {
    const port = await this.stillListener({ backlog: 1 });
    // The kernel takes one more than the backlog.
    // Plain in any medium: they only fill the queue.
    const fillers = [1, 2].map((n) => this.dial({ host: "127.0.0.1", port }, { name: `filler ${n}` }, { tls: false }));
    await Promise.all(fillers.map((filler) => filler.opened));
    return port;
  }

  /** The port of a listener in a thread that stands still: nothing is accepted of what waits there. */
  async stillListener(options: ServerOptions): Promise<number> {
    const gate = new SharedArrayBuffer(4);
    const workerData = { engine: this.engine.name, gate, options };
    const worker = new Worker(new URL("./silent_listener.js", import.meta.url), { workerData });
    const [port] = (await once(worker, "message")) as [number];
    this.#cleanUps.push(async () => {
      const ended = once(worker, "exit");
      Atomics.store(new Int32Array(gate), 0, 1);
      Atomics.notify(new Int32Array(gate), 0);
      await ended;
    });
    return port;
  }

  /** Has a server of Node's listen on 127.0.0.1, until the trial ends; returns its port. */
  async listen(server: Server): Promise<number> {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    server.unref();
    this.#cleanUps.push(async () => void server.close());
    return (server.address() as AddressInfo).port;
  }

  /** A path for a socket or a file, in a folder that goes with the test. */
  path(name = `s${this.#paths++}`): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), "em-"));
    return join(this.#folder, name);
  }

  /** A pipe, whose ends are closed when the trial is over, where they are open still. */
  fifo(): Fifo {
    const fifo = new Fifo(this.path());
    this.#cleanUps.push(async () => fifo.close());
    return fifo;
  }

  // Time ---------------------------------------------------------------------------------------------------------

  now(): number {
    return this.reactor.now();
  }

  /** Resolves when the condition holds, asked in every turn and at least once a millisecond. */
  async until(condition: () => boolean, what: string, limit = WAIT_LIMIT): Promise<void> {
    const { reactor } = this;
    const begun = reactor.now();
    for (let round = 0; !condition(); round++) {
      if (reactor.now() - begun > limit) throw new Error(`${what}: not within ${limit} ms\n${this.describe()}`);
      if (round < 20) await this.turn();
      else await this.sleep(1);
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.reactor.addTimer(ms, () => resolve()));
  }

  turn(): Promise<void> {
    return new Promise((resolve) => this.reactor.nextTick(() => resolve()));
  }

  /** Long enough for whatever is on its way on this machine: to see that something does not happen. */
  async settle(ms = 30): Promise<void> {
    await this.sleep(ms);
    for (let count = 0; count < 5; count++) await this.turn();
  }

  /** Waits until all recorders, or those given, have ended. */
  async allUnbound(...which: Recorder[]): Promise<void> {
    const awaited = which.length === 0 ? this.recorders : which;
    await this.until(() => awaited.every((recorder) => recorder.isUnbound), "every connection is unbound");
  }

  /** Keeps the thread busy. */
  block(ms: number): void {
    const end = this.reactor.now() + ms;
    while (this.reactor.now() < end);
  }

  // Running ------------------------------------------------------------------------------------------------------

  async runRule(body: (trial: Trial) => unknown, limit: number): Promise<void> {
    const { reactor } = this;
    try {
      await reactor.run(async () => {
        const passed = new Promise<never>((_, reject) =>
          reactor.addTimer(limit, () => reject(new Error(`the rule took over ${limit} ms\n${this.describe()}`))),
        );
        await Promise.race([(async () => body(this))(), passed]);
        reactor.stop();
      });
    } finally {
      await this.cleanUp();
    }
    this.checkEnded();
  }

  /** Nothing may be left, and no rule may have been broken. */
  checkEnded(): void {
    assert.deepEqual(this.violations, []);
    for (const recorder of this.recorders) {
      if (!recorder.log.includes("postInit")) continue;
      assert.equal(recorder.reasons.length, recorder.lives, `${recorder.label}: one unbind a life\n${this.describe()}`);
    }
    assert.equal(this.reactor.connectionCount, 0, "no connection is left");
    assert.equal(this.reactor.timerCount, 0, "no timer is left");
    assert.equal(this.reactor.isRunning, false);
  }

  async cleanUp(): Promise<void> {
    for (const cleanUp of this.#cleanUps) await cleanUp();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
  }

  /** The test failed: nothing of it may keep the process. */
  giveUp(): void {
    this.reactor.stop();
    this.reactor.unref();
  }

  describe(): string {
    const lines = this.recorders
      .slice(0, 20)
      .map((each) => `  ${each.label}: ${each.order.join(", ")}; ${each.bytes} bytes in; ${inspect(each)}`);
    return [`connections: ${this.reactor.connectionCount}`, ...lines].join("\n");
  }
}

function placeOf(listener: Listener): Place {
  const { address } = listener;
  if (address.family === "unix") return { path: address.path };
  const host = address.host === "::" || address.host === "0.0.0.0" ? "127.0.0.1" : address.host;
  return { host, port: address.port };
}
