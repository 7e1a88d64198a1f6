import { ReadableStream, WritableStream } from "node:stream/web";
import { types } from "node:util";
import { describe } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { type Settling, settling } from "../base/settling.js";
import { ChunkReader, failureOf } from "../connection/chunk_reader.js";
import { Connection } from "../connection/connection.js";
import * as reasons from "../connection/reasons.js";
import type { Transport } from "../connection/transport.js";
import { State } from "../connection/transport_state.js";
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
  const link = new WebLink(connection, Connection.transportOf(connection));
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
  readonly #transport: Transport;
  #drained: Settling<void> | undefined;
  #failed: (error: unknown) => void = () => {};
  #isCancelled = false;
  #isClosed = false;

  constructor(connection: Connection, transport: Transport) {
    super(connection, transport, true);
    this.#transport = transport;
  }

  onFailure(failed: (error: unknown) => void): void {
    this.#failed = failed;
  }

  async write(chunk: Uint8Array | string): Promise<void> {
    if (typeof chunk !== "string" && !types.isUint8Array(chunk)) {
      throw new ArgumentError(`a chunk must be bytes or text, not ${describe(chunk)}`);
    }
    const transport = this.#transport;
    const goOn = typeof chunk === "string" ? transport.sendString(chunk, "utf8") : transport.sendBytes(chunk);
    if (!goOn) await this.#whenDrained();
  }

  /** All that was written is with the kernel, and the FIN after it. */
  async close(): Promise<void> {
    const transport = this.#transport;
    this.#isClosed = true;
    await this.#whenOpen();
    transport.halfClose();
    if (transport.outboundSize() > 0) {
      transport.awaitFlushed();
      await this.#whenDrained();
    }
    this.#endIfUnused();
  }

  abort(): void {
    this.#transport.end(reasons.LOCAL_ABORT, "abort");
  }

  /** Nobody reads any more: what comes is thrown away, so that the peer's end is still noticed. */
  cancel(): void {
    this.#isCancelled = true;
    this.#transport.resume();
    this.#endIfUnused();
  }

  #endIfUnused(): void {
    if (this.#isCancelled && this.#isClosed) this.#transport.finish();
  }

  async #whenOpen(): Promise<void> {
    if (this.#transport.state === State.connecting) await this.#transport.opened();
  }

  #whenDrained(): Promise<void> {
    if (this.#transport.state > State.open) return Promise.reject(this.#transport.asEnd(ended(this.#transport.reason)));
    this.#drained = settling();
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
    const error = this.#transport.asEnd(failureOf(reason) ?? ended(reason));
    if (reason.kind === "peer-closed") this.#drained?.resolve();
    else this.#drained?.reject(error);
    this.#drained = undefined;
    this.#failed(error);
    return super.unbind(reason);
  }
}

function ended(reason: CloseReason | undefined): StateError {
  return new StateError("ERR_EM_CLOSED", `the connection has ended (${reason?.kind ?? "closing"})`);
}
