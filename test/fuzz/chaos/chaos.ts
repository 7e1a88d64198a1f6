import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../../support/random.js";
import { checkNothingLeft, collect, descriptors, type Round } from "../round.js";
import { ChaosError } from "./chaos_connection.js";
import { actIn, letGo, perform } from "./operations.js";
import { Plan, type Step } from "./plan.js";
import { World } from "./world.js";

/** How long connections may take to end that were all let go. */
const SETTLE_LIMIT = 20_000;

/** The most steps of one tick. */
const BURST = 40;

/**
 * Chaos: what the public face offers, done at random to some 60 connections in one process, whose both ends are known. The
 * reactor stops and starts again in between, in the middle of everything.
 */
export async function chaos(round: Round): Promise<void> {
  await warmUp(round);
  const before = descriptors();
  const world = new World(round);
  world.acting = (connection, callback, random) => actIn(world, connection, callback, random);
  try {
    await new Driver(world).drive();
  } finally {
    world.close();
  }
  world.pairs.fill(undefined);
  world.reactor = world.makeReactor();
  await checkNothingLeft(round, before);
}

/** What a process opens once, it opens now. */
async function warmUp(round: Round): Promise<void> {
  const world = new World(round);
  await world.reactor.run(async () => {
    await world.listenOnAll(new Random(1));
    world.reactor.stop();
  });
  world.close();
}

/** Takes steps from the plan, run after run of the reactor, until there were enough. */
class Driver {
  readonly #world: World;
  readonly #plan: Plan;
  /** Decides how the steps are laid out in time. */
  readonly #pace: Random;
  #left: number;

  constructor(world: World) {
    const { seed, count } = world.round;
    this.#world = world;
    this.#plan = new Plan(seed);
    this.#pace = new Random(seed ^ 0x9ace);
    this.#left = count;
  }

  async drive(): Promise<void> {
    const world = this.#world;
    while (this.#left > 0) {
      world.round.report.count("runs of a reactor");
      world.round.journal.note("run");
      try {
        await world.reactor.run(() => this.#live());
      } catch (error) {
        if (!(error instanceof ChaosError)) world.wrong(`run was rejected: ${(error as Error)?.stack ?? error}`);
      }
      world.checkStopped();
      if (this.#pace.oneIn(2)) world.reactor = world.makeReactor();
    }
  }

  /** The block of one run: returns when the reactor has been told to stop. */
  async #live(): Promise<void> {
    const { reactor } = this.#world;
    await this.#world.listenOnAll(this.#pace);
    while (this.#left > 0) {
      for (let steps = this.#pace.between(1, BURST); steps > 0 && this.#left > 0; steps--) {
        this.#left--;
        const step = this.#plan.next();
        if (step.op === "stop" || step.op === "drain") {
          await this.#end(step);
          return;
        }
        this.#take(step);
      }
      await this.#yield();
    }
    await this.#settle();
    reactor.stop();
  }

  #take(step: Step): void {
    const world = this.#world;
    if (step.op === "relisten") void world.relisten(step.dice);
    else if (step.op === "collect") collect();
    else perform(world, step);
  }

  /** Lets time pass in one of the ways there are. */
  async #yield(): Promise<void> {
    const { reactor } = this.#world;
    if (this.#pace.oneIn(30)) await sleep(this.#pace.between(0, 3));
    else if (this.#pace.oneIn(4)) await new Promise((resolve) => setImmediate(resolve));
    else await new Promise<void>((resolve) => reactor.nextTick(resolve));
  }

  async #end(step: Step): Promise<void> {
    const { reactor, round } = this.#world;
    round.journal.note(`${step.op} ${step.dice.toFixed(6)}`);
    round.report.count("operations");
    if (step.op === "drain") await reactor.drain(step.size % 200);
    else if (step.dice < 0.3) await this.#settle();
    else if (step.dice < 0.4) this.#world.reactor.addShutdownHook(() => perform(this.#world, this.#plan.next()));
    reactor.stop();
  }

  /** Lets everybody go, and waits: whoever stays has been forgotten. */
  async #settle(): Promise<void> {
    const world = this.#world;
    world.round.journal.note("settle");
    const end = performance.now() + SETTLE_LIMIT;
    while (world.reactor.connectionCount > 0) {
      for (const connection of world.living()) letGo(world, connection);
      await sleep(5);
      if (performance.now() < end) continue;
      const left = [...world.living()].map(({ label, state }) => `${label} ${state}`);
      world.wrong(`${world.reactor.connectionCount} connections do not end: ${left.slice(0, 5).join("; ")}`);
      return;
    }
  }
}
