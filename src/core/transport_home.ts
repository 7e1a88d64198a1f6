import type { CloseReason, CloseReasonKind, ExitStatus } from "../base/close_reason.js";
import type { StreamEngine } from "../engine/engine.js";
import type { Handle } from "../engine/streams.js";
import type { Timer, TimerCallback, TimerHost } from "../timers/timer.js";
import type { EngineContexts } from "../tls/engine_contexts.js";
import type { CoreHost } from "./core_host.js";
import type { Endpoint } from "./endpoint.js";
import type { Member, Members } from "./members.js";
import type { OwnTick } from "./tick_queue.js";

/** What a transport needs of the reactor it lives in, whatever carries it. */
export interface TransportCore {
  readonly host: CoreHost;
  /** Whether new connections may begin: not from the moment a stop unbinds what is there. */
  readonly isAccepting: boolean;
  /** Between `open` and `close`. */
  readonly isOpen: boolean;
  readonly outboundLimit: number;
  /** Everything a stop has to end; a connection on its way may have no handle yet. */
  readonly members: Members;
  connectionCount: number;
  nextId(): number;
  now(): number;
  /** What had come by then was delivered when `addTimer` called back: the moment to judge a connection as of. */
  readonly seenAt: number;
  turnTime(): number;
  addTimer(delay: number, callback: TimerCallback): Timer;
  /** A tick of the library's own: a stop does not drop it. */
  ownTick(tick: OwnTick): void;
  /** Where the program's timers wait. */
  readonly timers: TimerHost;
  connectionEnded(kind: CloseReasonKind): void;
  checkIdle(): void;
}

/** A child process under a connection. */
export interface ProcessEnd {
  /** Its number; undefined where it could not be run. */
  readonly pid: number | undefined;
  /** How it exited; undefined until it has. */
  readonly exit: ExitStatus | undefined;
  /** What the connection's end is reported as, now that the process has exited. */
  describe(reason: CloseReason): CloseReason;
}

/** What carries a transport: the core with the reactor's engine, or the driver of one stream of Node's. */
export interface TransportHome {
  readonly core: TransportCore;
  readonly engine: StreamEngine;
  /** Where the connection is a child process: one that the program ends has ended when the process has. */
  readonly process: ProcessEnd | undefined;
  /** What the engine has made of TLS contexts; throws UnsupportedError where it has no TLS. */
  readonly tlsContexts: EngineContexts;
  /** The connection has opened: where the engine has a handle for it, that is what holds it from here on. */
  carries(member: Member): void;
  /** Every endpoint that the engine carries. */
  endpoints(): Endpoint[];
  /** What the engine still has to say of this handle concerns nobody. */
  forget(handle: Handle): void;
}
