import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";
import type { Responsible } from "../base/outcome.js";
import type { SystemError } from "../base/system_error.js";
import type { State } from "../core/stream_port.js";
import type { TransportCore } from "../core/transport_home.js";
import type { StreamEngine } from "../engine/engine.js";
import type { Handle } from "../engine/streams.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import type { TlsLife } from "./tls_life.js";
import type { Transport } from "./transport.js";

/** One life of a connection, whatever carries it: what `Connection` asks of a stream and of a datagram socket alike. */
export interface Life extends Responsible {
  readonly isStream: boolean;
  /** The connection's number. */
  id: number;
  readonly core: TransportCore;
  readonly engine: StreamEngine;
  readonly handle: Handle;
  readonly state: State;
  readonly settings: StreamSettings;
  readonly reason: CloseReason | undefined;
  readonly tls: TlsLife | undefined;
  readonly bytesIn: number;
  readonly bytesDiscarded: number;
  readonly isPaused: boolean;
  opened(): Promise<void>;
  closed(): Promise<CloseReason>;
  remoteAddress(): SocketAddress | undefined;
  localAddress(): SocketAddress | undefined;
  bytesOut(): number;
  idleTime(): number;
  sendBytes(data: Uint8Array): boolean;
  sendString(text: string, encoding: BufferEncoding): boolean;
  outboundSize(): number;
  discarded(bytes: number): void;
  pause(): void;
  resume(): void;
  /** Closes now, or calls off the connect that is under way. */
  close(): void;
  /** Sends everything, then closes. */
  finish(): void;
  abort(): void;
  adjust(changes: Partial<StreamSettings>): void;
  /** Sets something of the socket, at once or when it is open. */
  set(action: () => void): void;
  socketError(): SystemError | undefined;
  addTimer(delay: number, callback: TimerCallback): Timer;
  /** Notes of an error that it says nothing but that the connection has ended, if that is so. Returns it. */
  asEnd<E>(error: E): E;
}

/** The life of a datagram socket, which no stream's calls reach. */
export interface DatagramLife extends Life {
  readonly isStream: false;
  readonly tls: undefined;
}

export type AnyLife = Transport | DatagramLife;

/** What only a stream can do. */
export function notAStream(method: string): StateError {
  return new StateError("ERR_EM_NOT_A_STREAM", `${method} is for streams, and this connection is a datagram socket`);
}
