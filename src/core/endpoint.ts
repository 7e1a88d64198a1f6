import type { DatagramInfo, Peer } from "../engine/datagrams.js";
import type { Ended, Handle } from "../engine/streams.js";
import type { Member } from "./members.js";

/** What the reactor's table has for a handle: a connection's transport, a listening socket, an attempt. */
export abstract class Endpoint {
  /** Itself, where the reactor has to end it; undefined for what goes with somebody else, as an attempt does with its dialer. */
  get member(): Member | undefined {
    return undefined;
  }

  onListening(_handle: Handle): void {}
  onAccepted(_handle: Handle, _ipv4: number, _port: number): void {}
  onConnected(_handle: Handle): void {}
  onData(_chunk: Buffer, _start: number, _end: number): void {}
  onEnd(): void {}
  onWritable(): void {}
  onFileSent(): void {}
  onRelayed(): void {}
  onTlsServerName(_name: string): void {}
  onTlsVerify(): void {}
  onSecured(): void {}
  onTlsSession(_session: Buffer): void {}
  onTlsKeyLog(_line: string): void {}
  onDatagram(_chunk: Buffer, _start: number, _end: number, _sender: Peer, _info: DatagramInfo | undefined): void {}
  onSendFailed(_errno: number, _syscall: string, _peer: Peer | undefined): void {}
  onReady(_readable: boolean, _writable: boolean): void {}
  abstract onClosed(handle: Handle, ended: Ended, errno: number, syscall: string): void;
}

/** The endpoint of a handle that nobody wants any more and that only waits for its `closed`. */
class Discarded extends Endpoint {
  override onClosed(): void {}
}

export const DISCARDED: Endpoint = new Discarded();
