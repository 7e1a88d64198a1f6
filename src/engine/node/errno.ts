import { constants } from "node:os";

/** The negative errno of an error of Node's. Those of its own making have none: they mean a descriptor it cannot use. */
export function errnoOf(error: NodeJS.ErrnoException): number {
  return error.errno ?? -constants.errno.EINVAL;
}

/** The system call that failed; where none did, what Node refused was to open something. */
export function syscallOf(error: NodeJS.ErrnoException): string {
  return error.syscall ?? (error.errno === undefined ? "open" : "read");
}
