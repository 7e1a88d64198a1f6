import { checkBoolean, checkDuration } from "../base/checks.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { DRAIN_DEADLINE } from "../connection/reasons.js";
import type { Core } from "../core/core.js";
import type { Member } from "../core/members.js";

/** How long `drain` waits where it is not told. */
export const DRAIN_TIMEOUT = 10_000;

/** How `drain` goes. Times in milliseconds. */
export interface DrainOptions {
  /** How long to wait for connections to end, in milliseconds, the delay included. Default 10 s. */
  deadline?: number;
  /**
   * Go on accepting for so many milliseconds after `shutdownRequested`, so that a load balancer can notice before it is refused.
   * Connections accepted meanwhile are told when the delay is over. Default 0.
   */
  delay?: number;
  /** End connections at once whose `isIdle` says that nothing is under way. Default false. */
  closeIdle?: boolean;
}

/** How the connections of a drain ended: by themselves, or by its deadline or a stop. */
export interface DrainResult {
  /** Those that ended by themselves. */
  finished: number;
  /** Those that the deadline or a stop ended. */
  aborted: number;
}

const OPTIONS: Names<DrainOptions> = { deadline: true, delay: true, closeIdle: true };

/** `drain` takes a deadline alone, too. */
export function checkDrain(given: number | DrainOptions): Required<DrainOptions> {
  if (typeof given === "number") return { deadline: checkDuration(given, "deadline"), delay: 0, closeIdle: false };
  checkOptions(given, OPTIONS);
  const { deadline = DRAIN_TIMEOUT, delay = 0, closeIdle = false } = given;
  return {
    deadline: checkDuration(deadline, "deadline"),
    delay: checkDuration(delay, "delay"),
    closeIdle: checkBoolean(closeIdle, "closeIdle"),
  };
}

/** Has everything end by itself, and what has not by the deadline, for that reason. */
export async function drain(core: Core, options: Required<DrainOptions>): Promise<DrainResult> {
  const { deadline, delay, closeIdle } = options;
  const told = new Set<Member>();
  const tell = (newcomersToo: boolean) => {
    const members = core.members.all();
    if (newcomersToo) for (const member of members) if (member.takesNew) member.shutdown(closeIdle);
    for (const member of members) {
      if (member.takesNew || told.has(member)) continue;
      told.add(member);
      member.shutdown(closeIdle);
    }
  };
  const alreadyEnded = core.endedCount;
  const alreadyStopped = core.closedBy.stop ?? 0;
  const before = core.endedCount + core.connectionCount;
  await new Promise<void>((resolve) => {
    const timer = core.addTimer(deadline, () => resolve());
    const awaitEnds = () =>
      core.whenNoConnections(() => {
        timer.cancel();
        resolve();
      });
    tell(delay === 0);
    if (delay === 0) {
      awaitEnds();
      return;
    }
    const over = () => {
      pause.cancel();
      calledOff();
      tell(true);
      awaitEnds();
    };
    const pause = core.addTimer(Math.min(delay, deadline), over);
    const calledOff = core.atEnd(over);
  });
  const rest = core.members.all().filter(({ takesNew, outlivesDrain }) => !takesNew && outlivesDrain !== true);
  for (const member of rest) member.end(DRAIN_DEADLINE);
  const aborted = rest.length + (core.closedBy.stop ?? 0) - alreadyStopped;
  const total = Math.max(before, core.endedCount + core.connectionCount) - alreadyEnded;
  return { finished: total - aborted, aborted };
}
