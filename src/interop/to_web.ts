import { ReadableStream, WritableStream } from "node:stream/web";
import { types } from "node:util";
import { describe } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { type PromiseResolvers, withResolvers } from "../base/resolvers.js";
import { Connection } from "../connection/connection.js";
import { ChunkReader, failureOf } from "../core/chunk_reader.js";
import { State, type StreamPort } from "../core/stream_port.js";
import { checkConnection } from "./connection_duplex.js";

/** A connection as web streams: `toWeb` makes them. */
export interface WebStreams {
  /** What comes in, as fast as it is read; it ends with the peer's FIN. Cancelling it discards what still comes. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Takes bytes and text. `close` sends the FIN after all of it; `abort` resets the connection. */
  readonly writable: WritableStream<Uint8Array | string>;
}

/**
 * A connection as a pair of web streams, for `pipeTo`, `pipeThrough` and what the web's own APIs take. Each direction ends
 * for itself, and when both have ended the connection has: close `writable` also when `readable` has ended. A connection that fails errors both. The streams take the connection's data, as `toDuplex` does,
 * and on the same terms: it throws `ERR_EM_CLAIMED`, `ERR_EM_CLOSED` and `ERR_EM_NOT_ATTACHED`.
 *
 * ```ts
 * const { readable, writable } = toWeb(connect({ host: "127.0.0.1", port: 7000 }));
 * await readable.pipeThrough(new TransformStream()).pipeTo(writable);
 * ```
 */
export function toWeb(connection: Connection): WebStreams {
  checkConnection(connection);
  const link = new WebLink(connection, Connection.portOf(connection));
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await link.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => link.cancel(),
    },
    // One chunk is fetched when it is asked for: what waits is held by the connection, and bounded there.
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array | string>({
    start: (controller) => link.onFailure((error) => controller.error(error)),
    write: (chunk) => link.write(chunk),
    close: () => link.close(),
    abort: () => link.abort(),
  });
  return { readable, writable };
}

/** The reader of a loop, and the way out beside it. */
class WebLink extends ChunkReader {
  readonly #port: StreamPort;
  #drained: PromiseResolvers<void> | undefined;
  #failed: (error: unknown) => void = () => {};
  #isCancelled = false;
  #isClosed = false;

  constructor(connection: Connection, port: StreamPort) {
    super(connection, port, true);
    this.#port = port;
  }

  onFailure(failed: (error: unknown) => void): void {
    this.#failed = failed;
  }

  async write(chunk: Uint8Array | string): Promise<void> {
    if (typeof chunk !== "string" && !types.isUint8Array(chunk)) {
      throw new ArgumentError(`a chunk must be bytes or text, not ${describe(chunk)}`);
    }
    const port = this.#port;
    const goOn = typeof chunk === "string" ? port.sendString(chunk, "utf8") : port.sendBytes(chunk);
    if (!goOn) await this.#whenDrained();
  }

  /** All that was written is with the kernel, and the FIN after it. */
  async close(): Promise<void> {
    const port = this.#port;
    this.#isClosed = true;
    await this.#whenOpen();
    port.halfClose();
    if (port.outboundSize() > 0) {
      port.awaitFlushed();
      await this.#whenDrained();
    }
    this.#endIfUnused();
  }

  abort(): void {
    this.#port.abort();
  }

  /** Nobody reads any more: what comes is thrown away, so that the peer's end is still noticed. */
  cancel(): void {
    this.#isCancelled = true;
    this.#port.resume();
    this.#endIfUnused();
  }

  #endIfUnused(): void {
    if (this.#isCancelled && this.#isClosed) this.#port.finish();
  }

  async #whenOpen(): Promise<void> {
    if (this.#port.state === State.connecting) await this.#port.opened();
  }

  #whenDrained(): Promise<void> {
    if (this.#port.state > State.open) return Promise.reject(this.#port.asEnd(ended(this.#port.reason)));
    this.#drained = withResolvers();
    return this.#drained.promise;
  }

  override receiveData(data: Buffer): void {
    if (!this.#isCancelled) super.receiveData(data);
  }

  override drained(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  override unbind(reason: CloseReason): unknown {
    const error = this.#port.asEnd(failureOf(reason) ?? ended(reason));
    if (reason.kind === "peer-closed" || reason.kind === "exited") this.#drained?.resolve();
    else this.#drained?.reject(error);
    this.#drained = undefined;
    this.#failed(error);
    return super.unbind(reason);
  }
}

function ended(reason: CloseReason | undefined): StateError {
  return new StateError("ERR_EM_CLOSED", `the connection has ended (${reason?.kind ?? "closing"})`);
}
