import type { Reactor } from "./reactor.js";

/**
 * Which reactor module-level functions act on: the one whose callback is running, else the default one. The reactor sets
 * it when its turn begins and takes it back when the turn ends; turns of two reactors never overlap on one thread.
 */
let running: Reactor | undefined;

export function currentReactor(): Reactor | undefined {
  return running;
}

/** Makes a reactor the current one; returns the one before, to be set again. */
export function setCurrentReactor(reactor: Reactor | undefined): Reactor | undefined {
  const before = running;
  running = reactor;
  return before;
}
