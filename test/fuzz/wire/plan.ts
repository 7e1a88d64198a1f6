import { Random } from "../../support/random.js";

const KINDS = {
  /** A mutated ClientHello to our server. */
  hello: 70,
  /** Stray records, or bytes that are none, to our server. */
  junk: 6,
  /** node:tls's client to our server, with one record of either side mutated on its way. */
  tamperedServer: 8,
  /** Our client to a server that answers with a mutated flight of another connection. */
  replay: 8,
  /** Our client to a server that answers with stray records or junk. */
  hostile: 3,
  /** Our client to node:tls's server, with one record of either side mutated on its way. */
  tamperedClient: 5,
} as const;

export type AttackKind = keyof typeof KINDS;

/** What a peer does when it has sent everything. */
export type Finale = "fin" | "reset" | "stay";

export interface Attack {
  readonly kind: AttackKind;
  readonly finale: Finale;
  /** In how many pieces its bytes are written. */
  readonly pieces: number;
  /** Which record is mutated, and whose: of those the server sends, or the client. */
  readonly at: number;
  readonly fromServer: boolean;
  /** Every further choice. */
  readonly random: Random;
}

/** One in so many stays until it is thrown out: that takes the whole deadline. */
const STAYERS = 60;

/** The attacks of a seed: the same each time. */
export class AttackPlan {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  next(): Attack {
    const random = this.#random;
    let at = random.between(1, 100);
    const kind = (Object.keys(KINDS) as AttackKind[]).find((name) => {
      at -= KINDS[name];
      return at <= 0;
    }) as AttackKind;
    const finale = random.oneIn(STAYERS) ? "stay" : random.oneIn(4) ? "reset" : "fin";
    const pieces = random.oneIn(5) ? random.between(2, 12) : 1;
    const seed = random.between(0, 2 ** 31 - 1);
    return { kind, finale, pieces, at: random.between(0, 7), fromServer: random.oneIn(2), random: new Random(seed) };
  }
}
