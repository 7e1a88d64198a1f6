import { setTimeout as sleep } from "node:timers/promises";
import { EventMachineError } from "eventmachine";
import { Random } from "../../support/random.js";
import { actIn, perform } from "../chaos/operations.js";
import { Plan } from "../chaos/plan.js";
import { World } from "../chaos/world.js";
import { checkNothingLeft, descriptors, type Round } from "../round.js";
import { DatagramCrowd } from "./datagram_crowd.js";
import { scribble } from "./scribble.js";
import { loadBinding, type Shared, tapMemory } from "./shared_memory.js";

/** So many operations in one run of a reactor. */
const RUN = 1_000;

/** One in so many operations is a scribble; where there is one, more follow at once. */
const SCRIBBLES = 4;

/** How long one run may take: it waits in vain where the event, or the request for a turn, was overwritten that it waits for. */
const RUN_LIMIT = 6_000;

/**
 * Shared memory: the operations of chaos, while the words that JavaScript shares with the native core are overwritten, between
 * calls and within callbacks. What connections come to is anybody's guess, and whether the run ends: what JavaScript is to
 * be told may be gone. But the process lives, and a core that is closed gives back everything it has.
 */
export async function memory(round: Round): Promise<void> {
  const before = descriptors();
  const scribbler = new Scribbler(round);
  for (let left = round.count, run = 0; left > 0; left -= RUN, run++) {
    await scribbler.run(Math.min(RUN, left), round.seed + run);
  }
  await checkNothingLeft(round, before, scribbler.stuck);
}

/** Nothing that connections tell is a fault here. */
class ScribbledWorld extends World {
  override wrong(what: string): void {
    this.round.journal.note(`  noticed: ${what}`);
    this.round.report.count("noticed");
  }
}

class Scribbler {
  readonly #round: Round;
  /** Reactors that wait for what was overwritten: they are never collected. */
  stuck = 0;
  #shared: Shared | undefined;

  constructor(round: Round) {
    this.#round = round;
  }

  /** One reactor, from its start to its end. */
  async run(count: number, seed: number): Promise<void> {
    const { report, journal } = this.#round;
    report.count("runs of a reactor");
    journal.note(`run ${seed}`);
    const binding = loadBinding();
    const tap = tapMemory(binding, (shared) => {
      this.#shared = shared;
    });
    const world = new ScribbledWorld(this.#round);
    const random = new Random(seed);
    world.acting = (connection, callback, dice) => {
      if (random.oneIn(2)) this.#scribble(random);
      actIn(world, connection, callback, dice);
    };
    const running = world.reactor
      .run(async () => {
        tap.undo();
        await world.listenOnAll(random);
        const crowd = new DatagramCrowd(world, random, () => this.#scribble(random));
        await crowd.open();
        await this.#work(world, crowd, random, new Plan(seed), count);
        world.reactor.stop();
      })
      .catch((error: Error) => {
        report.count(`run was rejected: ${error instanceof EventMachineError ? error.code : error?.name}`);
      });
    if (!(await endsWithin(running, RUN_LIMIT))) {
      this.stuck++;
      report.count("runs that waited in vain");
      if (this.#shared !== undefined) binding.close(this.#shared.loop);
    }
    this.#shared = undefined;
    world.close();
  }

  async #work(world: World, crowd: DatagramCrowd, random: Random, plan: Plan, count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      if (random.oneIn(SCRIBBLES)) for (let more = random.between(1, 4); more > 0; more--) this.#scribble(random);
      if (random.oneIn(3)) crowd.act();
      const step = plan.next();
      if (step.op === "relisten") void world.relisten(step.dice);
      else if (step.op !== "stop" && step.op !== "drain" && step.op !== "collect")
        this.#attempt(() => perform(world, step));
      // Ticks are the reactor's, which has its own troubles.
      if (random.oneIn(20)) await sleep(random.oneIn(10) ? 1 : 0);
      else if (random.oneIn(10)) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#round.report.count(`threw: ${(error as Error)?.name}`);
    }
  }

  #scribble(random: Random): void {
    if (this.#shared === undefined) return;
    this.#round.journal.note(`  scribble: ${scribble(random, this.#shared)}`);
    this.#round.report.count("scribbles");
  }
}

async function endsWithin(work: Promise<unknown>, limit: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limit);
  });
  const ends = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return ends;
}
