import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CloseReason, type ConnectAddress, type Listener, Reactor, type TlsContext } from "eventmachine";
import { pattern } from "../../support/bytes.js";
import { clientContext, serverContext } from "../../support/pki.js";
import { Random } from "../../support/random.js";
import type { Round } from "../round.js";
import { BorrowingConnection, ChaosConnection, ChaosError, idOf, type Observer } from "./chaos_connection.js";
import { faultOfError, faultOfLife, faultOfReason, lossTo } from "./invariants.js";
import { type End, type Medium, Pair } from "./pair.js";
import { PAIRS } from "./plan.js";

const MEDIA: readonly Medium[] = ["tcp", "unix", "tls", "unix-tls"];

/** The test certificate's name. */
const NAME = "localhost";

export const FILE_SIZES = [0, 1, 5_000, 300_000] as const;

/** Short, so that nobody waits for a peer that is paused; long beside a turn of a busy machine. */
const LINGER = 500;

/** Everything there is in a round: the reactor, its listeners, the pairs, and what was seen of them. */
export class World implements Observer {
  readonly round: Round;
  readonly folder = mkdtempSync(join(tmpdir(), "em-chaos-"));
  readonly serverTls: TlsContext = serverContext();
  readonly clientTls: TlsContext = clientContext();
  reactor: Reactor;
  readonly pairs: (Pair | undefined)[] = new Array(PAIRS).fill(undefined);
  /** Does something from within a callback; the operations put themselves in. */
  acting: (connection: ChaosConnection, callback: string, random: Random) => void = () => {};
  readonly #byId = new Map<number, Pair>();
  readonly #listeners = new Map<Medium, Listener>();
  /** Those of this run of the reactor, and those that were living when it began. */
  readonly #connections = new Set<ChaosConnection>();
  readonly #reasons = new Map<End, CloseReason>();
  #ids = 0;
  #paths = 0;
  #areSpoiled = false;

  constructor(round: Round) {
    this.round = round;
    this.reactor = this.makeReactor();
    for (const size of FILE_SIZES) writeFileSync(this.file(size), pattern(size));
  }

  makeReactor(): Reactor {
    const reactor = new Reactor({ engine: this.round.engine });
    reactor.onError((error) => {
      if (!(error instanceof ChaosError)) this.wrong(`the reactor's onError got ${(error as Error)?.stack ?? error}`);
    });
    return reactor;
  }

  file(size: number): string {
    return join(this.folder, `file-${size}`);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  wrong(what: string): void {
    this.round.journal.note(`WRONG ${what}`);
    this.round.report.wrong(what);
  }

  // Listening ----------------------------------------------------------------------------------------------------

  async listenOnAll(random: Random): Promise<void> {
    for (const medium of MEDIA) await this.listen(medium, random.next());
  }

  async listen(medium: Medium, dice: number): Promise<void> {
    const isUnix = medium.startsWith("unix");
    const place = isUnix ? { path: join(this.folder, `s${this.#paths++}`) } : { host: "127.0.0.1", port: 0 };
    const tls = medium.endsWith("tls") ? { tls: this.serverTls } : {};
    const options = {
      allowHalfOpen: dice < 0.5,
      lingerTimeout: LINGER,
      ...(dice % 0.1 < 0.01 ? { maxConnections: 5 } : {}),
    };
    const Handler = dice % 0.01 < 0.005 ? BorrowingConnection : ChaosConnection;
    try {
      const listener = await this.reactor.startServer(
        { ...place, ...tls, ...options },
        Handler,
        this,
        new Random(dice * 2 ** 32),
      );
      this.#listeners.set(medium, listener);
    } catch (error) {
      this.expectTyped("startServer", error);
    }
  }

  async relisten(dice: number): Promise<void> {
    const medium = MEDIA[Math.floor(dice * MEDIA.length)] as Medium;
    const listener = this.#listeners.get(medium);
    try {
      await listener?.close();
    } catch (error) {
      this.expectTyped("listener.close", error);
    }
    if (this.reactor.isRunning && !this.reactor.isStopping) await this.listen(medium, dice);
  }

  // Pairs --------------------------------------------------------------------------------------------------------

  /** A new pair for that place; whoever was there goes on without the plan. */
  pairAt(who: number, dice: number): Pair {
    const medium = dice < 0.4 ? "tcp" : dice < 0.8 ? "unix" : dice < 0.93 ? "tls" : "unix-tls";
    const pair = new Pair(++this.#ids, medium);
    this.#byId.set(pair.id, pair);
    this.pairs[who] = pair;
    return pair;
  }

  addressFor(pair: Pair, dice: number): ConnectAddress | undefined {
    const listener = this.#listeners.get(pair.medium);
    if (listener === undefined) return undefined;
    const { address } = listener;
    const place = address.family === "unix" ? { path: address.path } : { host: address.host, port: address.port };
    const tls = pair.medium.endsWith("tls") ? { context: this.clientTls, serverName: NAME } : false;
    return { ...place, tls, lingerTimeout: LINGER, allowHalfOpen: dice % 0.1 < 0.05, connectTimeout: 10_000 };
  }

  tlsFor(end: End): object {
    return end.side === "server"
      ? { context: this.serverTls, role: "server" }
      : { context: this.clientTls, role: "client", serverName: NAME };
  }

  // What connections see -----------------------------------------------------------------------------------------

  watch(connection: ChaosConnection): void {
    this.#connections.add(connection);
  }

  /** Those that have not ended. */
  living(): ChaosConnection[] {
    return [...this.#connections].filter(({ isOver }) => !isOver);
  }

  spoil(pair: Pair): void {
    pair.isSpoiled = true;
    this.#areSpoiled = true;
  }

  link(connection: ChaosConnection, head: Buffer): void {
    const id = idOf(head);
    const pair = id === undefined ? undefined : this.#byId.get(id);
    if (pair === undefined) {
      if (!this.#areSpoiled) this.wrong(`a connection begins with ${head.toString("hex")}`);
      return;
    }
    if (pair.server.connection !== undefined) {
      this.wrong(`${pair.server} has been accepted twice`);
      return;
    }
    connection.end = pair.server;
    connection.random = new Random(this.round.seed ^ pair.id);
    pair.server.connection = connection;
  }

  took(end: End, data: Buffer): void {
    this.round.report.count("bytes", data.length);
    if (end.pair.isSpoiled) return;
    this.round.journal.note(`  < ${end} got ${data.length}`);
    const fault = end.in.take(data);
    if (fault === undefined) return;
    this.wrong(`${end}: ${fault}`);
    this.spoil(end.pair);
  }

  peerEnded(end: End): void {
    this.round.report.count("half-closes seen");
    this.round.journal.note(`  < ${end} has seen the FIN`);
    const { other } = end;
    if (!end.pair.isSpoiled && other.isHalfClosed && other.endsWhole && !this.#reasons.has(other) && !end.in.isQuiet) {
      // It sends no more, it has not failed, and its FIN is here: what is missing now comes no more.
      if (other.connection?.state === "open")
        this.wrong(`${end}: ${end.in.taken} of ${end.in.given} bytes before the FIN`);
    }
  }

  ended(connection: ChaosConnection, reason: CloseReason): void {
    const { report, engine } = this.round;
    report.count(`ended: ${reason.kind}`);
    this.round.journal.note(`  < ${connection.label} ended: ${reason.kind}`);
    const fault = faultOfReason(reason);
    if (fault !== undefined) this.wrong(`${connection.label}: ${fault}`);
    const { end } = connection;
    if (end === undefined || reason.kind === "detached") return;
    this.#reasons.set(end, reason);
    const others = this.#reasons.get(end.other);
    if (others === undefined) return;
    for (const loss of [lossTo(engine, end, reason, others), lossTo(engine, end.other, others, reason)]) {
      if (loss !== undefined) this.wrong(loss);
    }
    report.count("pairs that ended");
    this.#forget(end.pair);
  }

  #forget(pair: Pair): void {
    this.#byId.delete(pair.id);
    this.#reasons.delete(pair.client);
    this.#reasons.delete(pair.server);
  }

  act(connection: ChaosConnection, callback: string, random: Random): void {
    this.acting(connection, callback, random);
  }

  expectTyped(what: string, error: unknown): void {
    this.round.report.count(`refused: ${(error as { code?: string }).code}`);
    const fault = faultOfError(error);
    if (fault !== undefined) this.wrong(`${what}: ${fault}`);
  }

  /** The reactor has stopped: nothing may be left in it. */
  checkStopped(): void {
    for (const connection of this.#connections) {
      const fault = faultOfLife(connection);
      if (fault !== undefined) this.wrong(fault);
    }
    this.#connections.clear();
    this.#byId.clear();
    this.#reasons.clear();
    this.#listeners.clear();
    this.#areSpoiled = false;
    const { connectionCount, timerCount, isRunning } = this.reactor;
    if (connectionCount !== 0) this.wrong(`${connectionCount} connections are left`);
    if (timerCount !== 0) this.wrong(`${timerCount} timers are left`);
    if (isRunning) this.wrong("run has ended, and the reactor runs");
  }
}
