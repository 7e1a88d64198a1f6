import { Connection, type EngineName, type Listener, Reactor } from "eventmachine";
import { Random } from "../../support/random.js";

/** How long a program's peers may take to notice what was done; it is their time only where something hangs. */
const LIMIT = 20_000;
const CLIENTS = 5;
const UNITS = 8;
const DEPTH = 3;

/** Where a unit begins. */
const PLACES = ["tick", "timer", "receiveData", "setImmediate", "setTimeout", "unbind", "microtask"] as const;
const ACTIONS = [
  "close",
  "abort",
  "finish",
  "reconnect",
  "connect",
  "tick",
  "tick",
  "closed",
  "pause",
  "resume",
  "throw",
  "send",
  "listen",
  "unlisten",
  "schedule",
] as const;

/**
 * One random program, and what came of it in order. A program is units: each begins in some callback, does local things
 * there, and goes on in ticks; then everything comes to rest. Its log must be the same on every engine.
 *
 * What hangs on the network is not in the order, for an engine may hear of it sooner or later. So within a unit only one end of a pair
 * is touched (which of two ends closes first is the network's word); what was begun in a step is touched in that step alone (it may
 * be open in the next); ends by the peer are noted when all is at rest, in the order of names; timers stand apart from ticks.
 */
export async function play(seed: number, engine: EngineName): Promise<string[]> {
  return new Program(seed, engine).play();
}

class Program {
  readonly log: string[] = [];
  readonly reactor: Reactor;
  readonly #random: Random;
  readonly #engine: EngineName;
  readonly #ends = new Map<string, End>();
  readonly #listeners: Listener[] = [];
  #port = 0;
  #names = 0;
  #ticks = 0;
  #pending = 0;
  /** Ends that the unit must leave alone: the other end of a pair, and what began in an earlier step. */
  #barred = new Set<End>();

  constructor(seed: number, engine: EngineName) {
    this.#random = new Random(seed);
    this.#engine = engine;
    this.reactor = new Reactor({ engine });
    this.reactor.onError((error) => this.note(`onError ${(error as Error).message}`));
  }

  note(what: string): void {
    this.log.push(what);
  }

  async play(): Promise<string[]> {
    const { reactor } = this;
    const program = this;
    class Accepted extends End {
      constructor() {
        super(program);
      }
    }
    await reactor.run(async () => {
      const listener = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Accepted);
      this.#port = listener.port;
      for (let count = 0; count < CLIENTS; count++) this.#connect();
      await this.#rest();
      for (let unit = 0; unit < UNITS; unit++) {
        this.note(`unit ${unit}`);
        await this.#unit();
        await this.#rest();
      }
      await this.#end();
    });
    this.note("run resolved");
    return this.log;
  }

  #connect(): End {
    const end = this.reactor.connect({ host: "127.0.0.1", port: this.#port }, End, this);
    end.label = `c${this.#names++}`;
    this.#ends.set(end.label, end);
    return end;
  }

  // Units --------------------------------------------------------------------------------------------------------

  async #unit(): Promise<void> {
    this.#barred.clear();
    const { reactor } = this;
    const place = this.#random.pick(PLACES);
    // A throw outside of the reactor's callbacks is Node's business.
    const begin = () => this.#step(0, !["setImmediate", "setTimeout", "microtask"].includes(place));
    this.note(`in ${place}`);
    let done: () => void = () => {};
    const begun = new Promise<void>((resolve) => (done = resolve));
    const unit = () => {
      done();
      begin();
    };
    const open = this.#open();
    const chosen = this.#random.next();
    const end = open[Math.floor(chosen * open.length)];
    if (place === "timer") reactor.addTimer(1, unit);
    else if (place === "setImmediate") setImmediate(unit);
    else if (place === "setTimeout") setTimeout(unit, 1);
    else if (place === "microtask") void Promise.resolve().then(unit);
    else if (place === "receiveData" && end?.peer !== undefined && !end.isPaused) {
      this.#bar(end);
      end.onData = unit;
      end.peer.sendData("unit");
    } else if (place === "unbind" && end !== undefined) {
      this.#bar(end);
      end.onUnbind = unit;
      end.closeConnection();
    } else reactor.nextTick(unit);
    await begun;
    while (this.#pending > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Ends that are open, by name. */
  #open(): End[] {
    return [...this.#ends.values()].filter((end) => end.state === "open" && !this.#barred.has(end));
  }

  /** The network decides which of two ends hears first: the other one is left alone. */
  #bar(end: End): void {
    if (end.peer !== undefined) this.#barred.add(end.peer);
  }

  #step(depth: number, mayThrow = true): void {
    const begun: End[] = [];
    let failure: Error | undefined;
    for (let left = this.#random.between(1, 5); left > 0 && failure === undefined; left--) {
      const action = this.#random.pick(ACTIONS);
      const open = [...this.#open(), ...begun.filter(({ state }) => state === "connecting")];
      const gone = [...this.#ends.values()].filter(
        (end) => end.state === "closed" && !end.label.endsWith("s") && !this.#barred.has(end),
      );
      const dice = this.#random.next();
      const end = open[Math.floor(dice * open.length)];
      const dead = gone[Math.floor(dice * gone.length)];
      if (action === "throw" && mayThrow) failure = new Error(`from step ${depth}`);
      else this.#act(action, depth, end, dead, begun);
    }
    for (const end of begun) this.#barred.add(end);
    if (failure !== undefined) throw failure;
  }

  #act(
    action: (typeof ACTIONS)[number],
    depth: number,
    end: End | undefined,
    dead: End | undefined,
    begun: End[],
  ): void {
    const { reactor } = this;
    if (action === "tick") this.#tick(depth);
    else if (action === "schedule") reactor.schedule(() => this.note("scheduled"));
    else if (action === "connect" && depth === 0) begun.push(this.#connect());
    else if (action === "reconnect" && depth === 0 && dead !== undefined) {
      this.note(`reconnect ${dead.label} ${dead.again(this.#port)}`);
      begun.push(dead);
    } else if (action === "listen") void this.#listen();
    else if (action === "unlisten") void this.#listeners.shift()?.close();
    if (end === undefined) return;
    if (action === "close" || action === "abort" || action === "finish") {
      this.#bar(end);
      this.note(`${action} ${end.label}`);
      if (action === "close") end.closeConnection();
      else if (action === "abort") end.abort();
      else {
        end.closeConnectionAfterWriting();
        // Its end is the peer's FIN now.
        this.#barred.add(end);
      }
    } else if (action === "closed")
      void end.closed.then(({ kind }) => end.isOurs(kind) && this.note(`${end.label} closed`));
    else if (action === "pause") end.pause();
    else if (action === "resume") end.resume();
    else if (action === "send") end.sendData("bytes");
  }

  #tick(depth: number): void {
    if (depth === DEPTH) return;
    const name = `tick ${this.#ticks++}`;
    this.#pending++;
    this.reactor.nextTick(() => {
      this.#pending--;
      this.note(name);
      this.#step(depth + 1);
    });
  }

  async #listen(): Promise<void> {
    this.#pending++;
    this.#listeners.push(await this.reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection));
    this.#pending--;
  }

  // Rest ---------------------------------------------------------------------------------------------------------

  /** Waits until every end knows what its peer knows, and notes what became of those whose peers ended them. */
  async #rest(): Promise<void> {
    const begun = performance.now();
    while (!this.#isAtRest()) {
      if (performance.now() - begun > LIMIT) throw new Error(`no rest on ${this.#engine}:\n${this.log.join("\n")}`);
      for (const end of this.#ends.values()) if (end.peer?.state !== "open") end.resume();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for (const end of [...this.#ends.values()].sort((a, b) => (a.label < b.label ? -1 : 1))) {
      if (end.theirs !== undefined) this.note(`${end.label} was ended: ${end.theirs}`);
      end.theirs = undefined;
    }
  }

  #isAtRest(): boolean {
    const open: End[] = [];
    for (const [name, end] of this.#ends) {
      if (name.endsWith("s")) continue;
      if (end.state === "connecting" || end.state === "closing") return false;
      if (end.state !== "open") continue;
      if (end.peer?.state !== "open") this.#pair(end);
      if (end.peer?.state !== "open") return false;
      open.push(end, end.peer);
    }
    return this.reactor.connectionCount === open.length;
  }

  readonly unpaired = new Set<End>();

  /** Two ends belong together by the port of the client. */
  #pair(client: End): void {
    const port = portOf(client.localAddress);
    for (const server of this.unpaired) {
      if (server.state !== "open" || portOf(server.remoteAddress) !== port) continue;
      this.unpaired.delete(server);
      server.label = `${client.label}s`;
      client.peer = server;
      server.peer = client;
      this.#ends.set(server.label, server);
    }
  }

  // The end ------------------------------------------------------------------------------------------------------

  /** A stop, or a drain before it, with hooks, and with everything that can be asked for in the last `unbind`s. */
  async #end(): Promise<void> {
    const { reactor } = this;
    this.#barred.clear();
    for (let left = this.#random.between(0, 3); left > 0; left--) {
      const isSlow = this.#random.oneIn(2);
      const name = `hook ${left}`;
      reactor.addShutdownHook(async () => {
        this.note(name);
        reactor.nextTick(() => this.note(`${name}'s tick`));
        if (isSlow) {
          await new Promise<void>((resolve) => reactor.nextTick(resolve));
          await new Promise<void>((resolve) => reactor.addTimer(1, () => resolve()));
        }
        this.note(`${name} ends`);
      });
    }
    for (const end of this.#open()) end.last = this.#random.pick(["", "reconnect", "connect", "tick", "throw"]);
    const drains = this.#random.oneIn(3);
    await new Promise<void>((resolve) => reactor.nextTick(resolve));
    if (drains) {
      const { finished, aborted } = await reactor.drain(1);
      this.note(`drained ${finished} ${aborted}`);
    }
    const [one] = this.#open();
    // Both ends: which of two hears of the other during the hooks is the network's word.
    one?.closeConnection();
    one?.peer?.closeConnection();
    reactor.nextTick(() => this.note("asked for before the stop"));
    reactor.stop();
    reactor.nextTick(() => this.note("asked for after the stop"));
  }
}

/** One end of a pair; it notes what it ended itself at once, and what its peer did later. */
class End extends Connection {
  label = "";
  peer: End | undefined;
  theirs: string | undefined;
  onData: (() => void) | undefined;
  onUnbind: (() => void) | undefined;
  last = "";
  readonly #program: Program;

  constructor(program: Program) {
    super();
    this.#program = program;
    program.unpaired.add(this);
  }

  /** Whether the end came by this side's own doing, and so in its place. */
  isOurs(kind: string): boolean {
    return (
      ["local-close", "local-abort", "handler-error", "connect-aborted", "stop", "drain-deadline"].includes(kind) &&
      !this.#finished
    );
  }

  #finished = false;

  override closeConnectionAfterWriting(): void {
    this.#finished = true;
    super.closeConnectionAfterWriting();
  }

  again(port: number): boolean {
    this.#finished = false;
    // The other end of the life before is nobody's peer now; paused, it would never notice.
    this.peer?.resume();
    this.peer = undefined;
    return this.reconnect({ host: "127.0.0.1", port });
  }

  override shutdownRequested(): void {
    this.#program.note(`${this.label} is asked to go`);
  }

  override receiveData(): void {
    const unit = this.onData;
    this.onData = undefined;
    unit?.();
  }

  override unbind({ kind }: { kind: string }): void {
    const program = this.#program;
    if (this.label === "") return;
    if (this.isOurs(kind)) program.note(`${this.label} unbind ${kind}`);
    // A reset right behind unread bytes may be an ordinary end to an engine without `promptReset`.
    else this.theirs = kind === "peer-reset" ? "peer-closed" : kind;
    const unit = this.onUnbind;
    this.onUnbind = undefined;
    unit?.();
    // While hooks are awaited a new connection is one like any other.
    if (kind !== "stop") return;
    if (this.last === "reconnect" && !this.label.endsWith("s")) {
      program.note(`reconnects: ${this.reconnect({ host: "127.0.0.1", port: 9 })}`);
    } else if (this.last === "connect") {
      program.note(`connects: ${program.reactor.connect({ host: "127.0.0.1", port: 9 }, Connection).state}`);
    } else if (this.last === "tick") program.reactor.nextTick(() => program.note(`${this.label}'s last tick`));
    else if (this.last === "throw") throw new Error(`${this.label}'s last`);
  }
}

function portOf(address: Connection["localAddress"]): number | undefined {
  return address === undefined || address.family === "unix" ? undefined : address.port;
}
