import type { Handle } from "./streams.js";

/**
 * The relay facet of the contract between the reactor and its engines: what one connection receives goes to another's output
 * without an event. An engine that has none leaves it to whoever asks, by `data` and `write`.
 */
export interface RelayCommands {
  /**
   * From now on the bytes that `from` receives go to `to`, after what is queued there, and no `data` of `from` follows: until
   * `length` bytes have passed (Infinity for no end), which `relayed` reports, until `stopRelay`, or until either is closed. While
   * more than `buffer` bytes wait in `to`, `from` is not read. `to` is not written to meanwhile. When `to` closes first, `from` is
   * not read until `stopRelay`. The peer's end is reported as `end` or `closed` of `from`, when all before it is queued in `to`.
   *
   * Both are open, and `undelivered(from)` is 0. False where the engine cannot relay between these two; nothing has changed then.
   */
  startRelay(from: Handle, to: Handle, buffer: number, length: number): boolean;
  /** What `from` receives is reported as `data` again. Without effect where it is no source. */
  stopRelay(from: Handle): void;
  /** Bytes that the last relay from this connection has taken; also while `closed` is delivered. */
  relayedBytes(from: Handle): number;
}

export interface RelayEvents {
  /** The length of the relay from this connection has passed; what follows comes as `data`. */
  relayed(from: Handle): void;
}
