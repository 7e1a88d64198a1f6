import type { Writable } from "node:stream";
import type { Transport } from "../reactor/transport.js";
import type { Outgoing } from "./outgoing.js";

type Done = (error?: Error | null) => void;

/**
 * Ends a stream whose peer has ended, when nobody has anything more to write. node:tls and node:http2 work on any stream
 * but a socket of node:net through an adapter in JavaScript. They hear of the end by the stream's own event, and their
 * last word (TLS's close_notify, and whatever they had not sent yet) takes some ticks, and a setImmediate behind every write.
 * A stream that had ended itself in the next tick, as a Duplex does, would answer it with an error that node:net's
 * sockets, which TLS takes by their handle, never give.
 */
export class LastWord {
  readonly #stream: Writable;
  readonly #transport: Transport;
  readonly #outgoing: Outgoing;
  /** Writes begun so far. */
  #writes = 0;
  #written: number;

  constructor(stream: Writable, { transport, outgoing }: { transport: Transport; outgoing: Outgoing }) {
    this.#stream = stream;
    this.#transport = transport;
    this.#outgoing = outgoing;
    this.#written = this.#total;
  }

  /** The stream has told of the peer's end: whoever has something to say says it now. */
  await(): void {
    if (!this.#outgoing.behindWrite(this.#endIfSilent)) this.#endIfSilent();
  }

  get #total(): number {
    return this.#transport.bytesOut() + this.#transport.outboundSize();
  }

  /** Whether everything that the stream was given is with the kernel. */
  get isSent(): boolean {
    return this.#stream.writableLength === 0 && this.#transport.bytesOut() === this.#written;
  }

  /** The callback of a write, which is looked behind. */
  around(done: Done): Done {
    this.#writes++;
    return (error) => {
      this.#written = Math.max(this.#written, this.#total);
      done(error);
      this.#endIfSilent();
    };
  }

  readonly #endIfSilent = (): void => {
    const writes = this.#writes;
    setImmediate(() => {
      setImmediate(() => {
        const stream = this.#stream;
        // What is under way comes here again.
        if (writes === this.#writes && stream.writable) stream.end();
      });
    });
  };
}
