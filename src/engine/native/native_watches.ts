import { constants } from "node:os";
import { SystemError } from "../../base/system_error.js";
import { tooManyHandles } from "../handle_limit.js";
import type { WatchInterest } from "../watches.js";
import { WatchFlag } from "./layout.js";

const ENFILE = -constants.errno.ENFILE;

export function watchFlags({ readable, writable }: WatchInterest): number {
  return (readable ? WatchFlag.readable : 0) | (writable ? WatchFlag.writable : 0);
}

/** What the addon answered to `watch`: a handle, or why there is none. */
export function watchHandle(answer: number): number {
  if (answer >= 0) return answer;
  if (answer === ENFILE) throw tooManyHandles();
  throw new SystemError(answer, "epoll_ctl");
}
