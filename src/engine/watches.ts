import type { Handle } from "./streams.js";

/**
 * The watch facet of the contract between the reactor and its engines: when a descriptor is ready that somebody else owns.
 *
 * A watch never reads, writes, changes or closes its descriptor. Whether there is such a thing is capability `watch`.
 */

/** What a watch is to report. */
export interface WatchInterest {
  readonly readable: boolean;
  readonly writable: boolean;
}

/**
 * Commands: down. As for streams, none calls an event, and one on a stale handle does nothing. `close` ends a watch: from that very
 * moment the engine does not refer to the descriptor, and only `closed` follows.
 */
export interface WatchCommands {
  /**
   * Begins watching. Throws SystemError where that cannot be, and then there is no handle: EBADF for what is no descriptor, EPERM for a
   * file that is always ready, as regular files are, EEXIST where a connection, a listener or a watch of any reactor has it.
   */
  watch(fd: number, interest: WatchInterest): Handle;
  /** Changes what is reported. */
  setWatchInterest(handle: Handle, interest: WatchInterest): void;
}

export interface WatchEvents {
  /**
   * The descriptor is ready for something that is watched, in every turn for as long as it is. An error or a hang-up is ready for
   * whatever is watched: it shows to who reads or writes.
   *
   * `closed(error, EBADF)` follows where the number does not stand for what was watched any more: at once where the engine notices, at
   * the latest after a second.
   */
  ready(handle: Handle, readable: boolean, writable: boolean): void;
}
