import type { Reactor } from "./reactor.js";

const running = new Set<Reactor>();

/** Notes that a reactor of this thread runs, or that it does no more. */
export function noteRunning(reactor: Reactor, runs: boolean): void {
  if (runs) running.add(reactor);
  else running.delete(reactor);
}

/** The reactor of this thread that runs, where that is a single one. */
export function onlyRunning(): Reactor | undefined {
  if (running.size !== 1) return undefined;
  for (const reactor of running) return reactor;
  return undefined;
}
