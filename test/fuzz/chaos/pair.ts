import type { ChaosConnection } from "./chaos_connection.js";
import { Flow } from "./flow.js";

export type Medium = "tcp" | "unix" | "tls" | "unix-tls";

/** One side of a pair: the object that has it now, for a descriptor can be handed from one to the next. */
export class End {
  readonly pair: Pair;
  readonly side: "client" | "server";
  readonly out: Flow;
  readonly in: Flow;
  connection: ChaosConnection | undefined;
  /** Everything it was given to send, and the FIN behind it, will be sent unless something fails. */
  endsWhole = true;
  isHalfClosed = false;
  /** It closes when everything is written: whatever is sent now goes nowhere. */
  isFinishing = false;

  constructor(pair: Pair, side: "client" | "server", out: Flow, into: Flow) {
    this.pair = pair;
    this.side = side;
    this.out = out;
    this.in = into;
  }

  get other(): End {
    return this.side === "client" ? this.pair.server : this.pair.client;
  }

  toString(): string {
    return `#${this.pair.id}.${this.side} (${this.pair.medium})`;
  }
}

/** One connection, with both of its ends in this process: what one sends is known when it comes to the other. */
export class Pair {
  readonly id: number;
  readonly medium: Medium;
  readonly client: End;
  readonly server: End;
  /** One end has begun TLS and the other does not know: what comes from now on is anybody's guess. */
  isSpoiled = false;

  constructor(id: number, medium: Medium) {
    this.id = id;
    this.medium = medium;
    const up = new Flow();
    const down = new Flow();
    this.client = new End(this, "client", up, down);
    this.server = new End(this, "server", down, up);
  }
}
