import { checkInteger } from "../base/checks.js";
import { descriptorLimit } from "../engine/select.js";

/** The most a limit can be: the number of a descriptor is an int of C's. */
const MOST = 2 ** 31 - 1;

/**
 * Sets how many descriptors, connections and files alike, this process may have, for all of it: the soft limit, and the hard one where that is
 * lower. Returns how many they are then; without a number it only says so. It can be called at any time, also outside of `run`. Node raises the soft
 * limit to the hard one when it starts, so that only a privileged process can raise it further.
 *
 * Throws ArgumentError for what is no whole number from 1, SystemError where the system does not allow it (`EPERM`), and UnsupportedError where the
 * portable engine serves (capability `descriptorLimit`). (set_descriptor_table_size and set_rlimit_nofile, which ignored what failed.)
 */
export function setDescriptorTableSize(size?: number): number {
  return descriptorLimit(size === undefined ? 0 : checkInteger(size, "size", 1, MOST));
}
