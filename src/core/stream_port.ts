import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import type { SocketOptions } from "../engine/socket_options.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import type { TlsInfo } from "../tls/tls_info.js";
import type { ConnectionCallbacks } from "./connection_callbacks.js";
import type { OwnTick } from "./tick_queue.js";

/** Where one life of a connection stands, in order: from `closing` on it takes no orders. */
export const State = { connecting: 0, open: 1, closing: 2, closed: 3 } as const;
export type State = (typeof State)[keyof typeof State];

/** TLS on a connection, as those outside of it see it. */
export interface StreamTls {
  /** The result of the handshake; undefined before it is done. */
  readonly info: TlsInfo | undefined;
  /** The session that came last, to be resumed; undefined before one came. */
  readonly session: Buffer | undefined;
}

/**
 * One life of a connection, as a claimant (a stream, an iterator), a protocol class or a kit may use it: the only way from
 * those into what carries the connection. `Connection.portOf` gives it.
 *
 * No call but `call` and `handlerFailed` calls back: what follows from one is reported in a later turn.
 */
export interface StreamPort {
  // State --------------------------------------------------------------------------------------------------------

  /** Where this life stands; it only ever grows. */
  readonly state: State;
  /** Whether it was ever open: a connect may fail. */
  readonly wasOpened: boolean;
  /** Why it ends, from the moment that is known; the first reason given stands. */
  readonly reason: CloseReason | undefined;
  /** TLS, from `startTls` on; undefined on a plain connection. */
  readonly tls: StreamTls | undefined;
  /** Whether the connection's settings leave it open for writing after the peer's FIN. */
  readonly allowsHalfOpen: boolean;
  /** Whether the connection's settings set TCP_NODELAY when it opens. */
  readonly hasNoDelay: boolean;
  /** Resolves when it is open, rejects with the connect's error when it never will be. */
  opened(): Promise<void>;
  /** The peer's address: undefined before it is open, still there after it has closed. */
  remoteAddress(): SocketAddress | undefined;
  /** Our own address, on the same terms. */
  localAddress(): SocketAddress | undefined;

  // The user -----------------------------------------------------------------------------------------------------

  /**
   * From now on `claimant` is called in the connection's place, and passes on what is the connection's business. It gets data
   * that is its own, and decides what the peer's FIN means. Once in a life: throws `ERR_EM_CLAIMED` after that,
   * `ERR_EM_CLOSED` where the connection is closing or closed, `ERR_EM_INPUT_DISCARDED` where input was lost before.
   */
  claim(claimant: ConnectionCallbacks): void;
  /**
   * As `claim`, for what stands in every connection of a class from its first moment: it gets views of the engine's memory, where that
   * lends any, and `release` gives its place up.
   */
  precede(claimant: ConnectionCallbacks): void;
  /** The connection is called again, with data that is its own, and can be claimed. The peer's FIN is still reported, and ends nothing. */
  release(): void;
  /** Calls the user as every callback is called; returns what that did, undefined where it threw, which has been handled. */
  call<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): unknown;
  /**
   * Treats an error as one thrown by a callback: `onError` may take it, otherwise the connection ends with it, after writing where it has
   * a last word.
   */
  handlerFailed(error: unknown, hasLastWord?: boolean): void;
  /** Treats an error as the rejection of a callback's promise: as `handlerFailed`, but one that says only that it has ended is nobody's. */
  operationFailed(error: unknown, hasLastWord?: boolean): void;
  /** Marks an error as saying nothing but that the connection has ended, if it is ending: not the program's mistake then. */
  asEnd<E>(error: E): E;

  // Input --------------------------------------------------------------------------------------------------------

  /** Bytes received. */
  readonly bytesIn: number;
  /** No `receiveData` and no `receiveEnd` from this moment until `resume`. */
  pause(): void;
  /** What came in meanwhile is delivered in a later turn. */
  resume(): void;

  // Output -------------------------------------------------------------------------------------------------------

  /** Sends bytes, which are copied or written when it returns. False: stop producing, `drained` or the end follows. */
  sendBytes(data: Uint8Array): boolean;
  /** Sends text, on the same terms. */
  sendString(text: string, encoding: BufferEncoding): boolean;
  /** Bytes sent and not yet with the kernel, file bytes apart. */
  outboundSize(): number;
  /** Bytes handed to the kernel, file bytes apart. */
  bytesOut(): number;
  /** Bytes that were sent and that the end of the connection has overtaken; 0 until it has ended. */
  readonly unsentAtEnd: number;
  /** Has `drained` called when everything sent is with the kernel. */
  awaitFlushed(): void;
  /** Writes what is queued now, as far as the kernel takes it without blocking. */
  flush(): void;

  // Ending -------------------------------------------------------------------------------------------------------

  /** Sends the FIN after what is queued; data may still come in. */
  halfClose(): void;
  /** Sends everything, then closes: `closeConnectionAfterWriting`. */
  finish(): void;
  /** The same, and it ends for that reason: what was sent before is its last word. */
  finishFor(reason: CloseReason): void;
  /** Closes now, or calls off the connect that is under way; unsent output is dropped. */
  close(): void;
  /** Resets the connection, or calls off the connect that is under way. */
  abort(): void;
  /** Ends it with `tls-error`: so many bytes came in clear after the point where TLS begins. */
  refusePlaintext(bytes: number): void;

  // The socket, and time -----------------------------------------------------------------------------------------

  /** Changes options of an open connection's socket. Throws SystemError where the kernel refuses. */
  setOptions(options: SocketOptions & { keepAliveOff?: boolean }): void;
  /** When bytes last moved in either direction, on the clock of `now`; 0 when it is not open. */
  lastActivity(): number;
  /** The reactor's time, read afresh, in milliseconds. */
  now(): number;
  /** The reactor's time, read once in a turn. */
  turnTime(): number;
  /** Calls back once after `delay` ms, outside of the program's timers; it goes on when the connection has ended. */
  addOwnTimer(delay: number, callback: TimerCallback): Timer;
  /** Runs in the reactor's next ticks, at its place among them; a stop does not drop it. */
  ownTick(tick: OwnTick): void;
}
