import { DuplexTurn, type TurnSink } from "../engine/duplex/duplex_turn.js";
import type { Endpoint } from "./endpoint.js";

/** The connections of a reactor that run over streams of Node's instead of its engine. */
export class ForeignStreams {
  readonly transports = new Set<Endpoint>();
  readonly turn: DuplexTurn;

  constructor(sink: TurnSink) {
    this.turn = new DuplexTurn(sink);
  }
}
