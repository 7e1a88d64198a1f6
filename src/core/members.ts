import type { CloseReason } from "../base/close_reason.js";
import type { Endpoint } from "./endpoint.js";

/** What a reactor holds and has to end before its run is over: a connection, a listening socket. */
export interface Member {
  /** Which came first: a stop ends the oldest first. */
  readonly age: number;
  /** Whether it brings new members: a drain shuts it down last, when its delay is over. */
  readonly takesNew: boolean;
  /** Whether others need it for as long as they go on: a drain tells it, and neither waits for it nor ends it. */
  readonly outlivesDrain?: boolean;
  /** A drain begins: it is to end when what is under way is done, at once where that is nothing and `closeIdle` says so. */
  shutdown(closeIdle: boolean): void;
  /** Ends now; the first reason given stands. */
  end(reason: CloseReason): void;
}

/** Everything a reactor holds, in one place, for the stop and the drain. */
export class Members {
  readonly #carried: () => Iterable<Endpoint>;
  readonly #others = new Set<Member>();

  /** `carried`: the endpoints of the engine's handles, which are kept there already. */
  constructor(carried: () => Iterable<Endpoint>) {
    this.#carried = carried;
  }

  /** Holds a member that has no handle, or none yet. */
  add(member: Member): void {
    this.#others.add(member);
  }

  delete(member: Member): void {
    this.#others.delete(member);
  }

  /** All of them, the oldest first; a copy, so that ending while walking is safe. */
  all(): Member[] {
    const found = new Set(this.#others);
    for (const { member } of this.#carried()) if (member !== undefined) found.add(member);
    return [...found].sort((a, b) => a.age - b.age);
  }
}
