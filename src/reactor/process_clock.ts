import type { Cancellable, Clock } from "../base/clock.js";

/** The longest delay that Node's own timers take. */
const LONGEST = 2 ** 31 - 1;

/** The process's own time, for who waits where no reactor runs. */
export const processClock: Clock = {
  now: () => performance.now(),
  nextTick: (callback) => {
    setImmediate(callback);
  },
  addTimer(delay, callback): Cancellable {
    const deadline = performance.now() + delay;
    let timer: NodeJS.Timeout;
    const arm = () => {
      const left = deadline - performance.now();
      timer = setTimeout(
        () => {
          // Node's timers may be early by a fraction of a millisecond, and take no longer delay than theirs.
          if (performance.now() < deadline) arm();
          else callback();
        },
        Math.min(LONGEST, Math.max(0, Math.ceil(left))),
      );
    };
    arm();
    const cancel = () => clearTimeout(timer);
    return { cancel, [Symbol.dispose]: cancel };
  },
};
