import { constants } from "node:os";

/** The negative errno of an error of Node's. Those of its own making have none: they mean a descriptor it cannot use. */
export function errnoOf(error: NodeJS.ErrnoException): number {
  return error.errno ?? -constants.errno.EINVAL;
}
