import type { Capability } from "./capabilities.js";
import type { EngineCounters } from "./counters.js";
import type { DatagramCommands, DatagramEvents } from "./datagrams.js";
import type { ProcessCommands } from "./processes.js";
import type { RelayCommands, RelayEvents } from "./relays.js";
import type { StreamCommands, StreamEvents } from "./streams.js";
import type { TlsCommands, TlsEvents, TlsStreamCommands } from "./tls.js";
import type { WatchCommands, WatchEvents } from "./watches.js";

/** The turn, seen from the engine: it enters the reactor, delivers events, leaves it, and later asks it for its ticks. */
export interface EngineEvents extends StreamEvents, TlsEvents, DatagramEvents, WatchEvents, RelayEvents {
  /** Before the first event of a batch. */
  enter(): void;
  /** After the last event of a batch. */
  leave(): void;
  /**
   * The deadline set by `setDeadline` has passed; the engine forgets it. What had come by `seenAt` has been delivered: a
   * connection is to be judged as of that moment, for a loop that is held up has not seen what came since.
   */
  timer(seenAt: number): void;
  /** After `requestTurn`: once the batch, process.nextTick and microtasks are through. */
  ticks(): void;
}

/** What a connection is given of the bytes that a `data` event lends; only while it is delivered. */
export interface Lending {
  /** The bytes themselves, gone when the event returns. */
  view(start: number, end: number): Buffer;
  /** A copy to keep for ever, which pins at most 8 KiB or twice its size. */
  copy(start: number, end: number): Buffer;
}

/** What an open connection needs of the engine under it. */
export interface StreamEngine
  extends Omit<StreamCommands, "listen" | "adoptListener" | "connect" | "adoptStream" | "oneWay">,
    TlsStreamCommands {
  readonly name: string;
  readonly capabilities: ReadonlySet<Capability>;
  /** Where `data` lends the engine's own memory until it returns; undefined where the receiver may keep the chunk. */
  readonly lending: Lending | undefined;
  /** Relays inside the engine; undefined where it has none. */
  readonly relays?: RelayCommands | undefined;
  /** Whether `close` ends a connection in order where both directions have ended or have nothing left to send. */
  readonly closesInOrder: boolean;
  /** Milliseconds on the monotonic clock (that of `performance.now()` on real engines), read afresh. */
  now(): number;
  /** Writes what is queued now as far as the kernel takes it, without blocking. */
  flush(): void;
}

/**
 * One engine serves one reactor, from `start` to `stop`. It is entered from Node's loop, delivers what has happened in
 * batches, and puts whatever was written on the wire before the loop blocks again.
 *
 * An event handler that throws is the reactor's business: events never throw into the engine.
 */
export interface Engine
  extends ProcessCommands,
    StreamCommands,
    TlsCommands,
    DatagramCommands,
    WatchCommands,
    StreamEngine {
  readonly name: "native" | "portable" | "simulated";

  /** Begins delivering. The engine keeps the process alive (`ref`) until told otherwise. */
  start(events: EngineEvents): void;
  /** Ends it, when every handle has had its `closed`. No event follows. (`close` is a handle's.) */
  stop(): void;
  ref(): void;
  unref(): void;

  /** Calls `timer` when this moment has passed; Infinity for never. One deadline at a time. */
  setDeadline(at: number): void;
  /** Sees to it that `ticks` is called, in the turn under way or a turn of its own. */
  requestTurn(): void;
  counters(): EngineCounters;
}
