import type { SocketAddress } from "../../base/addresses.js";
import { UnsupportedError } from "../../base/errors.js";
import type { Capability } from "../capabilities.js";
import type { SocketOptions } from "../socket_options.js";
import type { Handle } from "../streams.js";
import { errnoOf } from "./errno.js";
import type { NodeStream } from "./node_stream.js";
import { applyOptions, checkOptions } from "./socket_options.js";

/** What streams answer, and other sockets may answer too. */
export type SocketCalls = Pick<
  NodeStream,
  "outboundSize" | "lastRead" | "lastWrite" | "awaitWritable" | "pause" | "resume"
>;

/** The contract's calls to one open connection, for an engine whose connections are streams of Node's. */
export abstract class StreamCalls {
  abstract readonly name: string;
  abstract readonly capabilities: ReadonlySet<Capability>;
  readonly lending = undefined;

  /** The connection of this handle. */
  protected abstract stream(handle: Handle): NodeStream | undefined;

  /** Whatever this handle stands for that has a stream's calls. */
  protected socket(handle: Handle): SocketCalls | undefined {
    return this.stream(handle);
  }

  protected unsupported(capability: Capability): UnsupportedError {
    return new UnsupportedError(capability, this.name);
  }

  now(): number {
    return performance.now();
  }

  write(handle: Handle, data: Uint8Array): void {
    this.stream(handle)?.write(data);
  }

  writeOwned(handle: Handle, data: Buffer): void {
    this.stream(handle)?.writeOwned(data);
  }

  writeString(handle: Handle, text: string, encoding: BufferEncoding): number {
    return this.stream(handle)?.writeText(text, encoding) ?? 0;
  }

  sendFile(handle: Handle, fd: number, offset: number, length: number): void {
    this.stream(handle)?.sendFile(fd, offset, length);
  }

  outboundSize(handle: Handle): number {
    return this.socket(handle)?.outboundSize ?? 0;
  }

  awaitWritable(handle: Handle): void {
    this.socket(handle)?.awaitWritable();
  }

  setLowWaterMark(handle: Handle, bytes: number): void {
    this.stream(handle)?.setLowWaterMark(bytes);
  }

  pause(handle: Handle): void {
    this.socket(handle)?.pause();
  }

  resume(handle: Handle): void {
    this.socket(handle)?.resume();
  }

  holdBack(handle: Handle, chunk: Buffer, start: number, end: number): void {
    this.stream(handle)?.input.holdBack(chunk.subarray(start, end));
  }

  undelivered(handle: Handle): number {
    return this.stream(handle)?.undelivered ?? 0;
  }

  holdOpen(handle: Handle): void {
    this.stream(handle)?.holdOpen();
  }

  shutdown(handle: Handle): void {
    this.stream(handle)?.shutdown();
  }

  finish(handle: Handle): void {
    this.stream(handle)?.finish();
  }

  close(handle: Handle): void {
    this.stream(handle)?.close();
  }

  abort(handle: Handle): void {
    this.stream(handle)?.abort();
  }

  detach(_handle: Handle): void {
    throw this.unsupported("detach");
  }

  takeDetached(_handle: Handle): never {
    throw this.unsupported("detach");
  }

  setOptions(handle: Handle, options: SocketOptions & { keepAliveOff?: boolean }): void {
    checkOptions(options, this.capabilities, this.name);
    const stream = this.stream(handle);
    if (stream !== undefined && !stream.hasEnded) applyOptions(stream.stream, options);
  }

  getSocketOption(_handle: Handle, _level: number, _name: number, _size: number): never {
    throw this.unsupported("socketOptions");
  }

  setSocketOption(_handle: Handle, _level: number, _name: number, _value: Uint8Array): never {
    throw this.unsupported("socketOptions");
  }

  /** node:net keeps SO_ERROR to itself and reports it as the connection's failure: that is what this answers. */
  socketError(handle: Handle): number {
    const failure = this.stream(handle)?.failure;
    return failure === undefined ? 0 : errnoOf(failure);
  }

  /** Node does not tell. */
  unacknowledged(_handle: Handle): number {
    return 0;
  }

  localAddress(handle: Handle): SocketAddress | undefined {
    return this.stream(handle)?.localAddress;
  }

  remoteAddress(handle: Handle): SocketAddress | undefined {
    return this.stream(handle)?.remoteAddress;
  }

  peerCredentials(_handle: Handle): never {
    throw this.unsupported("peerCredentials");
  }

  lastRead(handle: Handle): number {
    return this.socket(handle)?.lastRead ?? 0;
  }

  lastWrite(handle: Handle): number {
    return this.socket(handle)?.lastWrite ?? 0;
  }

  /** node:tls makes the same end of both. */
  tlsTruncated(_handle: Handle): undefined {
    return undefined;
  }
}
