import type { Readable, Writable } from "node:stream";
import { type DuplexEvents, type DuplexSettings, DuplexStream } from "../engine/duplex/duplex_stream.js";
import type { Turn } from "../engine/node/turn.js";
import { ChildPipes } from "./child_pipes.js";

/** The three pipes of a child; `errors` where its standard error is received. */
export interface ChildStreams {
  readonly input: Writable;
  readonly output: Readable;
  readonly errors: Readable | null;
}

/** What the pipes of a child have come to, and what the connection asks of the child itself. */
export interface EngineOwner extends DuplexEvents {
  onErrorOutput(chunk: Buffer): void;
  /** Everything of its standard error has been delivered. */
  onErrorOutputEnd(): void;
  readerLeft(): void;
  /** Something has changed that its end may wait for. */
  changed(): void;
  terminate(): void;
  kill(): void;
}

/**
 * The commands of the engine contract over the pipes of a child process: input and output are one stream, standard error another beside
 * it. Closing ends the child, and its output is read and discarded until it has exited.
 */
export class ChildEngine extends DuplexStream {
  readonly #pipes: ChildPipes;
  readonly #errorPipes: ChildPipes | undefined;
  readonly #errors: DuplexStream | undefined;
  readonly #owner: EngineOwner;
  #isDiscarding = false;
  #isHalted = false;

  constructor(streams: ChildStreams, settings: DuplexSettings, turn: Turn, owner: EngineOwner) {
    const pipes = new ChildPipes(streams.input, streams.output, {
      readerLeft: () => owner.readerLeft(),
      outputOver: () => owner.changed(),
    });
    super(pipes, settings, turn, owner);
    this.#pipes = pipes;
    this.#owner = owner;
    if (streams.errors === null) return;
    this.#errorPipes = new ChildPipes(null, streams.errors, { readerLeft() {}, outputOver: () => owner.changed() });
    this.#errors = new DuplexStream(this.#errorPipes, settings, turn, {
      onConnected() {},
      onData: (chunk) => owner.onErrorOutput(chunk),
      onEnd: () => owner.onErrorOutputEnd(),
      onWritable() {},
      onFileSent() {},
      onClosed() {},
    });
  }

  /** Whether nobody wants the output any more. */
  get isDiscarding(): boolean {
    return this.#isDiscarding;
  }

  get isHalted(): boolean {
    return this.#isHalted;
  }

  /** Whether the pipes have ended, and nothing that was read of them waits. */
  get isDry(): boolean {
    if (!this.#pipes.isOver || this.#errorPipes?.isOver === false) return false;
    const waiting = this.#pipes.readableLength + (this.#errorPipes?.readableLength ?? 0);
    return waiting + this.undelivered() + (this.#errors?.undelivered() ?? 0) === 0;
  }

  override pause(): void {
    super.pause();
    this.#errors?.pause();
    this.#isHalted = true;
    this.#owner.changed();
  }

  override resume(): void {
    super.resume();
    this.#errors?.resume();
    this.#isHalted = false;
    this.#owner.changed();
  }

  override lastRead(): number {
    return Math.max(super.lastRead(), this.#errors?.lastRead() ?? 0);
  }

  override finish(): void {
    super.finish();
    this.#errors?.finish();
    this.#isDiscarding = true;
    this.#owner.changed();
  }

  override close(): void {
    this.finish();
    this.#pipes.dropInput();
    this.#owner.terminate();
  }

  override abort(): void {
    this.finish();
    this.#pipes.dropInput();
    this.#owner.kill();
  }

  /** Closes the pipes. */
  release(): void {
    super.close();
    this.#errors?.close();
  }
}
