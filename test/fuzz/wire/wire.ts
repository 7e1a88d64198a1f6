import type { Server, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection, Reactor, type TlsContext } from "eventmachine";
import { excess, takeFigures } from "../../support/figures.js";
import { clientContext, serverContext } from "../../support/pki.js";
import { checkNothingLeft, descriptors, type Round } from "../round.js";
import { type Corpus, gather, NAME } from "./corpus.js";
import { junk, mutateBytes, mutateHello, strayRecord } from "./mutate.js";
import { assault, dial, gone, honest, honestServer, listen, tamperedClient, tamperedServer } from "./peers.js";
import { type Attack, AttackPlan } from "./plan.js";
import { HANDSHAKE_TIMEOUT, LIFETIME, MESSAGE, Target } from "./target.js";

/** Attacks at a time. */
const LANES = 40;

/** How long the last connections may take to end. */
const WIND_DOWN = HANDSHAKE_TIMEOUT + LIFETIME + 8_000;

/** From so many attacks on, memory is compared; before, it grows what grows once. */
const WARM_UP = 500;

/**
 * The wire: hellos, records and whole servers that are none, against our TLS servers and clients, with honest connections
 * beside them that must not notice. Every connection ends in time and with a typed reason, and memory stays.
 */
export async function wire(round: Round): Promise<void> {
  const corpus = await gather();
  await sleep(100);
  const before = descriptors();
  await new Siege(round, corpus).run();
  await checkNothingLeft(round, before);
}

class Siege {
  readonly #round: Round;
  readonly #corpus: Corpus;
  readonly #plan: AttackPlan;
  readonly #reactor: Reactor;
  readonly #clientTls: TlsContext = clientContext({ handshakeTimeout: HANDSHAKE_TIMEOUT });
  /** What the hostile server does to whoever connects next. */
  readonly #due: ((socket: Socket) => void)[] = [];
  #servers: Server[] = [];
  #ports = { ours: 0, hostile: 0, honest: 0 };
  #left: number;
  #isOver = false;

  constructor(round: Round, corpus: Corpus) {
    this.#round = round;
    this.#corpus = corpus;
    this.#plan = new AttackPlan(round.seed);
    this.#left = round.count;
    this.#reactor = new Reactor({ engine: round.engine });
    this.#reactor.onError((error) => round.report.wrong(`onError got ${(error as Error)?.stack ?? error}`));
  }

  async run(): Promise<void> {
    await this.#reactor.run(async () => {
      await this.#open();
      const honest = [this.#honestClients(), this.#honestServers()];
      try {
        await this.#besiege();
      } finally {
        this.#isOver = true;
        await Promise.all(honest);
        for (const server of this.#servers) server.close();
      }
      await this.#windDown();
      this.#reactor.stop();
    });
  }

  /** All attacks; memory is compared from the end of the warm-up on. */
  async #besiege(): Promise<void> {
    await this.#attackWith(Math.min(WARM_UP, this.#left));
    const before = await takeFigures();
    await this.#attackWith(this.#left);
    for (const what of excess(before, await takeFigures(), this.#round.engine as "native" | "portable")) {
      if (!what.startsWith("descriptors")) this.#round.report.wrong(what);
    }
  }

  async #open(): Promise<void> {
    const { report } = this.#round;
    const tls = serverContext({ handshakeTimeout: HANDSHAKE_TIMEOUT, alpn: ["x", "http/1.1"] });
    const at = { host: "127.0.0.1", port: 0, tls, lifetimeTimeout: LIFETIME, lingerTimeout: 500 };
    const listener = await this.#reactor.startServer(at, Target, report, MESSAGE);
    const hostile = await listen((socket) => {
      const act = this.#due.shift();
      if (act === undefined) socket.destroy();
      else act(socket);
    });
    const honestPeer = await honestServer();
    this.#servers = [hostile.server, honestPeer.server];
    this.#ports = { ours: listener.port as number, hostile: hostile.port, honest: honestPeer.port };
  }

  /** So many attacks more, some at a time. */
  async #attackWith(count: number): Promise<void> {
    let left = count;
    this.#left -= count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await this.#attack();
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  async #attack(): Promise<void> {
    const { journal, report } = this.#round;
    const attack = this.#plan.next();
    const { kind, finale, pieces, at, fromServer } = attack;
    journal.note(`${kind} ${finale} ${pieces} ${at} ${fromServer}`);
    report.count(`attacks: ${kind}`);
    if (kind === "hello")
      await this.#assail(mutateHello(attack.random.pick(this.#corpus.hellos), attack.random), attack);
    else if (kind === "junk") await this.#assail(nonsense(attack), attack);
    else if (kind === "tamperedServer") await this.#outlast(tamperedClient(this.#ports.ours, attack), attack);
    else await this.#lure(attack);
  }

  async #assail(bytes: Buffer, attack: Attack): Promise<void> {
    const socket = dial(this.#ports.ours);
    assault(socket, bytes, attack);
    await this.#outlast(socket, attack);
  }

  async #outlast(socket: Socket, { kind, finale }: Attack): Promise<void> {
    if (!(await gone(socket))) this.#round.report.wrong(`the server has not ended a ${kind} that would ${finale}`);
  }

  /** Has our client connect to who means no good; waits for the client's end. */
  #lure(attack: Attack): Promise<void> {
    const { kind, random } = attack;
    this.#due.push((socket) => {
      socket.resume();
      if (kind === "tamperedClient") tamperedServer(socket, attack);
      else if (kind === "hostile") assault(socket, nonsense(attack), attack);
      else {
        let flight = random.pick(this.#corpus.flights);
        for (let changes = random.between(0, 3); changes > 0; changes--) flight = mutateBytes(flight, random);
        socket.once("data", () => assault(socket, flight, attack));
      }
    });
    const expected = kind === "tamperedClient" ? MESSAGE : Buffer.alloc(0);
    const { report } = this.#round;
    return new Promise((resolve) => {
      const address = { host: "127.0.0.1", port: this.#ports.hostile, lifetimeTimeout: LIFETIME, lingerTimeout: 500 };
      const tls = { context: this.#clientTls, serverName: NAME };
      this.#reactor.connect({ ...address, tls }, Target, report, expected, resolve);
    });
  }

  async #windDown(): Promise<void> {
    const end = performance.now() + WIND_DOWN;
    while (this.#reactor.connectionCount > 0) {
      if (performance.now() > end) {
        this.#round.report.wrong(`${this.#reactor.connectionCount} connections have not ended`);
        return;
      }
      await sleep(10);
    }
  }

  // Beside it ----------------------------------------------------------------------------------------------------

  async #honestClients(): Promise<void> {
    while (!this.#isOver) {
      try {
        await honest(this.#ports.ours);
        this.#round.report.count("honest clients");
      } catch (error) {
        this.#round.report.wrong(`an honest client: ${(error as Error).message}`);
      }
      await sleep(5);
    }
  }

  async #honestServers(): Promise<void> {
    while (!this.#isOver) {
      const address = { host: "127.0.0.1", port: this.#ports.honest, lifetimeTimeout: 20_000 };
      const tls = { context: this.#clientTls, serverName: NAME };
      const connection = this.#reactor.connect({ ...address, tls }, HonestClient);
      const reason = await connection.closed;
      const got = connection.got;
      if (reason.kind === "peer-closed" && got === MESSAGE.length) this.#round.report.count("honest servers");
      else this.#round.report.wrong(`an honest server: ${reason.kind} after ${got} bytes`);
      await sleep(5);
    }
  }
}

class HonestClient extends Connection {
  got = 0;
  override receiveData(data: Buffer): void {
    this.got += data.length;
  }
}

function nonsense({ random }: Attack): Buffer {
  if (random.oneIn(3)) return junk(random, random.size(20_000));
  return Buffer.concat(Array.from({ length: random.between(1, 6) }, () => strayRecord(random)));
}
