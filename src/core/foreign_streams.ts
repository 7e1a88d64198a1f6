import { noCounters } from "../engine/counters.js";
import { Turn, type TurnEvents } from "../engine/node/turn.js";
import type { Endpoint } from "./endpoint.js";

/** The connections of a reactor that run over streams of Node's instead of its engine. */
export class ForeignStreams {
  readonly transports = new Set<Endpoint>();
  readonly turn: Turn;

  constructor(events: TurnEvents) {
    this.turn = new Turn(events, noCounters());
  }
}
