import { Random } from "../../support/random.js";

/** What can be done to one end of a connection, or to the reactor, and how often in all of it. */
const WEIGHTS = {
  connect: 26,
  send: 20,
  sendText: 4,
  sendList: 3,
  sendMuch: 1,
  file: 3,
  pause: 4,
  resume: 7,
  halfClose: 3,
  close: 3,
  finish: 6,
  abort: 2,
  detach: 2,
  /** TLS on both ends, where nothing is under way. */
  upgrade: 2,
  /** TLS on one end at any moment: the other has agreed to nothing. */
  startTls: 1,
  reconnect: 4,
  /** The next callback of this end throws, or its promise is rejected. */
  arm: 3,
  deadline: 3,
  marks: 2,
  ask: 3,
  /** The step it carries is done later, from a tick or a timer. */
  tick: 4,
  timer: 4,
  cancel: 1,
} as const;

/** What comes once in so many steps. */
const RARE = { relisten: 400, collect: 900, stop: 1_000, drain: 4_000 } as const;

export type OpName = keyof typeof WEIGHTS | keyof typeof RARE;

/** One operation. What it comes to depends on the state that it finds; what it is, on the seed alone. */
export interface Step {
  readonly op: OpName;
  /** The pair of ends it is for. */
  readonly who: number;
  readonly side: "client" | "server";
  /** Bytes, where it has to do with bytes. */
  readonly size: number;
  /** From 0 to just under 1: every further choice. */
  readonly dice: number;
  /** What a tick or a timer does. */
  readonly later: Step | undefined;
}

/** So many pairs there are at a time. */
export const PAIRS = 60;

const OPS = Object.keys(WEIGHTS) as (keyof typeof WEIGHTS)[];
const TOTAL = Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0);

/** The steps of a seed: endless, and the same each time. */
export class Plan {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  next(): Step {
    const random = this.#random;
    for (const [op, every] of Object.entries(RARE)) if (random.oneIn(every)) return this.#step(op as OpName);
    return this.#step(this.#common());
  }

  #common(): OpName {
    let at = this.#random.between(1, TOTAL);
    for (const op of OPS) {
      at -= WEIGHTS[op];
      if (at <= 0) return op;
    }
    throw new Error("the weights do not add up");
  }

  #step(op: OpName): Step {
    const random = this.#random;
    const [who, side] = [random.between(0, PAIRS - 1), random.pick(["client", "server"] as const)];
    const size = 1 + random.size(op === "sendMuch" ? 600_000 : 20_000);
    const dice = random.next();
    const later = op === "tick" || op === "timer" ? this.#step(this.#common()) : undefined;
    return { op, who, side, size, dice, later };
  }
}
