import { checkBoolean } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError, EventMachineError, StateError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { lookAfter } from "../base/outcome.js";
import { isThenable } from "../base/thenable.js";

import { Deferrable } from "./deferrable.js";
import type { StreamSink } from "./stream_sink.js";

/** How `IOStreamer` and `FileStreamer` send. */
export interface StreamerOptions {
  /** Frames each piece as an HTTP/1.1 chunk, and ends with the last chunk. Default false. */
  httpChunks?: boolean;
}

const OPTIONS: Names<StreamerOptions> = { httpChunks: true };

type Source = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>;

/** Sinks that a streamer sends into. */
const taken = new WeakSet<StreamSink>();

/**
 * Sends what a source gives into a connection, or anything else with `sendData` and `drained`, as fast as that takes it:
 * a piece more than its high-water mark is under way at most. It succeeds with the number of bytes (characters, for text)
 * when the last piece has been sent, and fails with what the source threw, and with `ERR_EM_CLOSED` when the sink has
 * closed or `stop` was called; the source is closed then. (EventMachine's IOStreamer.)
 *
 * ```ts
 * const bytes = await new IOStreamer(connection, createReadStream("/var/log/syslog"));
 * ```
 */
export class IOStreamer extends Deferrable<number, unknown> {
  readonly #sink: StreamSink;
  readonly #source: AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string>;
  readonly #httpChunks: boolean;
  #sent = 0;
  #isOver = false;
  #goOn: (() => void) | undefined;
  #giveBack: () => void = () => {};

  /** Throws ArgumentError for what is no sink or no source, `ERR_EM_ALREADY_STARTED` where another streamer is at work. */
  constructor(sink: StreamSink, source: Source, options: StreamerOptions = {}) {
    super();
    checkOptions(options, OPTIONS);
    const httpChunks = checkBoolean(options.httpChunks ?? false, "httpChunks");
    if (typeof sink?.sendData !== "function") throw new ArgumentError(`sink must have sendData, not ${describe(sink)}`);
    if (taken.has(sink)) throw new StateError("ERR_EM_ALREADY_STARTED", "another streamer sends into this sink");
    this.#sink = sink;
    this.#source = open(source);
    this.#httpChunks = httpChunks;
    lookAfter(this.#run());
  }

  /** Bytes (characters, for text) sent so far, without the frames of chunks. */
  get bytesSent(): number {
    return this.#sent;
  }

  /** Sends nothing more. Harmless when it is over. */
  stop(): void {
    this.#end(new EventMachineError("ERR_EM_CLOSED", "the streamer was stopped"));
  }

  async #run(): Promise<void> {
    this.#giveBack = this.#standIn();
    const closed = () => this.#end(new EventMachineError("ERR_EM_CLOSED", "the sink closed before all was sent"));
    try {
      lookAfter(this.#sink.closed?.then(closed, closed));
      while (!this.#isOver) {
        const step = await this.#source.next();
        if (this.#isOver) return;
        if (step.done === true) break;
        if (!this.#send(step.value)) await this.#room();
      }
      if (this.#isOver) return;
      if (this.#httpChunks) this.#sink.sendData("0\r\n\r\n");
    } catch (error) {
      this.#end(error);
      return;
    }
    this.#isOver = true;
    this.#giveBack();
    this.succeed(this.#sent);
  }

  #send(piece: Uint8Array | string): boolean {
    if (piece.length === 0) return true;
    this.#sent += piece.length;
    if (!this.#httpChunks) return this.#sink.sendData(piece);
    const length = typeof piece === "string" ? new TextEncoder().encode(piece).length : piece.length;
    this.#sink.sendData(`${length.toString(16)}\r\n`);
    this.#sink.sendData(piece);
    return this.#sink.sendData("\r\n");
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#goOn = resolve;
    });
  }

  /** Takes the place of the sink's `drained`; returns how to give it back. */
  #standIn(): () => void {
    const sink = this.#sink;
    const isOwn = Object.hasOwn(sink, "drained");
    const theirs = sink.drained;
    taken.add(sink);
    sink.drained = () => {
      this.#wake();
      return theirs?.call(sink);
    };
    return () => {
      taken.delete(sink);
      if (isOwn && theirs !== undefined) sink.drained = theirs;
      else delete sink.drained;
    };
  }

  #wake(): void {
    const goOn = this.#goOn;
    this.#goOn = undefined;
    goOn?.();
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#giveBack();
    this.#wake();
    // Not awaited: a source that hangs holds nothing up. The failure that counts is known.
    try {
      const left = this.#source.return?.();
      if (isThenable(left)) left.then(undefined, () => {});
    } catch {}
    this.fail(error);
  }
}

function open(source: Source): AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string> {
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
    if (Symbol.iterator in source) return source[Symbol.iterator]();
  }
  throw new ArgumentError(`source must be iterable, not ${describe(source)}`);
}
