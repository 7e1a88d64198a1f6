import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import type { Deadlines } from "./deadlines.js";
import type { FileSends } from "./file_sends.js";
import type { LifePromises } from "./life_promises.js";
import type { LifeTimers } from "./life_timers.js";
import type { Linger } from "./linger.js";
import type { OpeningQueue } from "./opening_queue.js";
import type { Passing } from "./passing.js";
import type { TlsLife } from "./tls_life.js";

/** What few connections need, so that the others do not pay for it: each is made when it is first asked for. */
export interface TransportExtras {
  deadlines?: Deadlines;
  files?: FileSends;
  opening?: OpeningQueue | undefined;
  promises?: LifePromises;
  tls?: TlsLife;
  linger?: Linger;
  /** Timers of the program's that go with this life. */
  timers?: LifeTimers;
  /** The relay that takes its input, and the one that makes its output. */
  passing?: Passing | undefined;
  fedBy?: Passing | undefined;
  /** What came in beyond a relay's length while the program had paused. */
  held?: Buffer | undefined;
  /** Why the connection closes after writing, where that is not for the program's asking. */
  verdict?: CloseReason;
  /** Bytes that were sent by the program and not by the kernel, of a connection that is closed. */
  unsent?: number;
  /** What was read before the connection was made, and is not delivered yet: another's memory. */
  ahead?: Buffer | undefined;
  /** Bytes that came in while nobody took them. */
  discarded?: number;
  /** The addresses of a connection that is closed. */
  local?: SocketAddress | undefined;
  remote?: SocketAddress | undefined;
  /** The connection itself, where another has claimed its callbacks. */
  owner?: ConnectionCallbacks | undefined;
}
