import type { SocketAddress } from "../base/addresses.js";
import type { UnixName } from "../base/unix_name.js";
import type { SocketOptions } from "./socket_options.js";

/**
 * The stream facet of the contract between the reactor and its engines: listeners and connections.
 *
 * A handle is a whole number below 2^31. Its low 20 bits are a dense index, its high bits a generation, so that a stale
 * handle is harmless: a command on one does nothing, a question about one is answered with zero or undefined.
 */
export type Handle = number;

/** The part of a handle that indexes tables. */
export const HANDLE_INDEX_MASK = 0xfffff;

/** No handle has this value. */
export const NO_HANDLE: Handle = -1;

/** Why an engine ended a handle; `errno` of the `closed` event says more where it is an error. */
export const Ended = {
  /** By a command: `close`, `abort`, or `finish` seen through. */
  local: 0,
  /** The peer's FIN, and all queued output sent. */
  peer: 1,
  /** A system call failed; `errno` and `syscall` tell. Connects and listens fail like this too. */
  error: 2,
  /** `detach` went through; `takeDetached` has the descriptor. */
  detached: 3,
  /** A file being sent ended early. */
  fileTruncated: 4,
  /** TLS failed, before or after its handshake; `tlsFailure` tells why while `closed` is delivered. */
  tls: 5,
} as const;
export type Ended = (typeof Ended)[keyof typeof Ended];

/** The file of a Unix listener. */
export interface ListenFile {
  /** Absolute, so that it is found at the end too; it may be longer than a socket address carries. */
  readonly path: UnixName;
  /** Its permission bits; undefined for what the umask leaves. */
  readonly mode: number | undefined;
}

export interface ListenOptions extends SocketOptions {
  backlog: number;
  reusePort: boolean;
  ipv6Only: boolean;
  /** Accepted connections report the peer's FIN as `end` and stay open for writing. */
  halfOpen: boolean;
  acceptQuota: number;
  /** Infinity for none. */
  maxConnections: number;
  /** At `maxConnections`: leave newcomers waiting, or accept and close them. */
  whenFull: "pause" | "close";
  lowWaterMark: number;
  /** Of a Unix address that is a path. */
  file?: ListenFile;
}

export interface ConnectOptions extends SocketOptions {
  halfOpen: boolean;
  /** Bind to this address before connecting. */
  localAddress?: SocketAddress;
  lowWaterMark: number;
}

/** Commands: down. None of them calls an event; whatever follows from a command is delivered in a later turn. */
export interface StreamCommands {
  /**
   * Begins listening. Exactly one of `listening` and `closed` follows. With `file` the address is that file's name: nobody
   * can connect before it has its mode, and before the descriptor is closed the file is removed, if it is still the one
   * that was bound. A name that is taken fails with EADDRINUSE.
   */
  listen(address: SocketAddress, options: ListenOptions): Handle;
  /**
   * Begins accepting from a listening descriptor, which the engine owns from then on. `listening` or `closed` follows:
   * with EEXIST where the descriptor is owned already, and then it stays its owner's.
   */
  adoptListener(fd: number, options: ListenOptions): Handle;
  /** Begins connecting. `connected` or `closed` follows; until then the connection takes no `write`. */
  connect(address: SocketAddress, options: ConnectOptions): Handle;
  /**
   * Takes over a connected stream descriptor: a socket's, one end of a pipe, a terminal's. `connected` or `closed` follows, the latter as for
   * `adoptListener`, with EPERM for a file that is always ready, as regular files are.
   */
  adoptStream(fd: number, options: ConnectOptions): Handle;
  /** What an adopted descriptor can do alone; undefined where it goes both ways, or is none. What can only be written ends when its reader does. */
  oneWay(handle: Handle): "reads" | "writes" | undefined;

  /** Queues bytes. When it returns they are copied or with the kernel: the caller may reuse its buffer. */
  write(handle: Handle, data: Uint8Array): void;
  /** The same of bytes that nobody changes any more: they need not be copied. */
  writeOwned(handle: Handle, data: Buffer): void;
  /** Queues text; returns how many bytes it made. */
  writeString(handle: Handle, text: string, encoding: BufferEncoding): number;
  /**
   * Queues `length` bytes of an open file from `offset`, behind what is queued. `fileSent` follows when the last of them
   * is with the kernel; the engine neither closes the descriptor nor moves its position. Several ranges may be queued, with
   * writes between them: all leave in the order of the calls, and each range has its own `fileSent`.
   */
  sendFile(handle: Handle, fd: number, offset: number, length: number): void;
  /** Bytes queued and not yet with the kernel; file bytes do not count. Still answers while `closed` is delivered. */
  outboundSize(handle: Handle): number;
  /** The same over all connections. */
  totalOutbound(): number;
  /** Asks for one `writable` when the queue is at or below the low-water mark. Asking twice is asking once. */
  awaitWritable(handle: Handle): void;
  setLowWaterMark(handle: Handle, bytes: number): void;

  /** No `data` and no `end` until `resume`, from this very moment: what was read already is held back. */
  pause(handle: Handle): void;
  resume(handle: Handle): void;

  /**
   * Within `data` of a paused connection, or of one that is being detached: its bytes from `start` to `end`, the last of the chunk, are taken
   * back. They count as read and not delivered, and come again before everything else.
   */
  holdBack(handle: Handle, chunk: Buffer, start: number, end: number): void;

  /** Makes the connection half-open, as the option of the same meaning does; too late once the peer's FIN was acted upon. */
  holdOpen(handle: Handle): void;
  /** Sends the FIN behind what is queued; reading goes on. When the peer's FIN is there too, `closed(local)` follows. */
  shutdown(handle: Handle): void;
  /**
   * Sends what is queued, then the FIN, reads and discards until the peer's FIN, then closes. Only `fileSent` and `closed`
   * follow.
   */
  finish(handle: Handle): void;
  /** Drops queued output and closes at once. On a listener: stops accepting. Only `closed` follows. */
  close(handle: Handle): void;
  /**
   * Drops everything and resets the connection (RST). Only `closed` follows. The kernel has no reset for Unix sockets: the
   * peer there sees an end, or ECONNRESET if bytes of its own were never read.
   */
  abort(handle: Handle): void;
  /** Sends what is queued, then gives the descriptor up. Only `fileSent` and `closed(detached)` follow. */
  detach(handle: Handle): void;
  /** During `closed(detached)`: the descriptor, and the bytes read from it that were never delivered. */
  takeDetached(handle: Handle): { fd: number; unread: Buffer };

  /** Changes the kernel's options of an open connection; throws SystemError. */
  setOptions(handle: Handle, options: SocketOptions & { keepAliveOff?: boolean }): void;
  /** Any socket option by number; throws SystemError. Capability `socketOptions`. */
  getSocketOption(handle: Handle, level: number, name: number, size: number): Buffer;
  setSocketOption(handle: Handle, level: number, name: number, value: Uint8Array): void;
  /** SO_ERROR, as a negative errno, 0 for none. */
  socketError(handle: Handle): number;

  /**
   * How much of what the kernel was given the peer has not acknowledged, or on a Unix socket not read, in the kernel's own
   * measure; 0 where the engine cannot tell (capability `acknowledgement`) and for a stale handle.
   */
  unacknowledged(handle: Handle): number;

  /** Addresses; undefined where there is none (not connected, stale). Answered also while `closed` is delivered. */
  localAddress(handle: Handle): SocketAddress | undefined;
  remoteAddress(handle: Handle): SocketAddress | undefined;
  peerCredentials(handle: Handle): { pid: number; uid: number; gid: number };
  /** When the kernel last gave bytes, or took bytes; on the engine's clock, the time of opening where it never did. */
  lastRead(handle: Handle): number;
  lastWrite(handle: Handle): number;
}

/** Events: up. Delivered only from the engine's own turn, never inside a command. */
export interface StreamEvents {
  listening(handle: Handle): void;
  /**
   * A connection was accepted and is open. `port` >= 0: the peer is the IPv4 address `ipv4` (as a signed 32-bit number).
   * `port` -1: ask `remoteAddress`.
   */
  accepted(listener: Handle, handle: Handle, ipv4: number, port: number): void;
  connected(handle: Handle): void;
  /** Bytes `start` to `end` of `chunk`. Where the engine lends its buffers they are gone when the call returns. */
  data(handle: Handle, chunk: Buffer, start: number, end: number): void;
  /** The peer's FIN, on half-open connections only, after all data. */
  end(handle: Handle): void;
  writable(handle: Handle): void;
  fileSent(handle: Handle): void;
  /** Once for every handle ever opened, the last event of it. `errno` is negative, 0 where nothing failed. */
  closed(handle: Handle, ended: Ended, errno: number, syscall: string): void;
}
