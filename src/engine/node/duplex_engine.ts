import { constants } from "node:os";
import type { Duplex } from "node:stream";
import type { Capability } from "../capabilities.js";
import type { StreamEngine } from "../engine.js";
import type { Handle, StreamEvents } from "../streams.js";
import { NodeStream, type StreamSettings, type StreamSink } from "./node_stream.js";
import { inetEnds } from "./socket_ends.js";
import { StreamCalls } from "./stream_calls.js";
import { destroyedUnder } from "./stream_ends.js";
import { FOREIGN } from "./stream_kind.js";
import { guardWrites } from "./throwing_streams.js";
import type { Turn } from "./turn.js";

/** The handle of a stream: each has an engine of its own, which does not ask. */
export const ONLY: Handle = 0;

/** What becomes of the stream; while `closed` is delivered, `failure` says what it failed with. */
export type DuplexSink = StreamSink & Pick<StreamEvents, "connected">;

/**
 * The stream commands of the engine contract over one stream that somebody else has made: any Duplex of bytes.
 *
 * Such a stream may answer within the very call that writes to it, and a reactor must never be entered from inside a command:
 * every event waits for a turn of its own, and what is written leaves when the turn that wrote it has ended.
 */
export class DuplexEngine extends StreamCalls implements StreamEngine {
  readonly name = "duplex";
  readonly capabilities: ReadonlySet<Capability> = new Set();
  /** A stream that is destroyed has not finished. */
  readonly closesInOrder = false;
  readonly #turn: Turn;
  readonly #stream: NodeStream;

  constructor(duplex: Duplex & { connecting?: boolean }, settings: StreamSettings, turn: Turn, sink: DuplexSink) {
    super();
    this.#turn = turn;
    const stream = new NodeStream(ONLY, duplex, FOREIGN, settings, turn, sink, () => {});
    this.#stream = stream;
    guardWrites(duplex);
    // The driver ends both directions; else Node would end ours with the peer's, before what is still to be written.
    if (duplex.allowHalfOpen === false) duplex.allowHalfOpen = true;
    duplex.on("close", () => destroyedUnder(stream, resetByOthers()));
    const opened = (): void => {
      if (stream.hasEnded) return;
      turn.defer(() => {
        if (!stream.hasEnded) sink.connected(ONLY);
      });
      stream.open(inetEnds(duplex), true);
    };
    // A socket that still connects says so; other streams are as open as they will be.
    if (duplex.connecting === true) duplex.once("connect", opened);
    else opened();
  }

  protected stream(): NodeStream {
    return this.#stream;
  }

  /** What the stream failed with: one of the system's errors has an errno. */
  get failure(): NodeJS.ErrnoException | undefined {
    return this.#stream.failure;
  }

  totalOutbound(): number {
    return this.#turn.unsent;
  }

  flush(): void {
    this.#stream.flush();
  }

  // TLS: a stream that is to be secured is given to node:tls first ----------------------------------------------------

  startTls(): never {
    throw this.unsupported("tls");
  }

  answerServerName(): void {}
  answerVerify(): void {}

  tlsState(): undefined {
    return undefined;
  }

  tlsFailure(): never {
    throw this.unsupported("tls");
  }
}

/** To the connection, a stream that somebody else destroys is reset. */
function resetByOthers(): NodeJS.ErrnoException {
  const error = new Error("the stream was destroyed");
  return Object.assign(error, { code: "ECONNRESET", errno: -constants.errno.ECONNRESET, syscall: "read" });
}
