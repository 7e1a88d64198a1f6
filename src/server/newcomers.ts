import { Endpoint } from "../core/endpoint.js";
import type { Member } from "../core/members.js";

/** What new connections come of: a listening socket, a peer that has yet to say who it is. */
export abstract class Newcomers extends Endpoint implements Member {
  override get member(): Member {
    return this;
  }

  /** Behind every connection. */
  get age(): number {
    return Number.POSITIVE_INFINITY;
  }

  get takesNew(): boolean {
    return true;
  }

  abstract shutdown(): void;
  abstract end(): void;
}
