import type { Readable, Writable } from "node:stream";
import { DuplexEngine, type DuplexSink, ONLY } from "../engine/node/duplex_engine.js";
import type { StreamSettings } from "../engine/node/node_stream.js";
import type { Turn } from "../engine/node/turn.js";
import { ChildPipes } from "./child_pipes.js";

/** The three pipes of a child; `errors` where its standard error is received. */
export interface ChildStreams {
  readonly input: Writable;
  readonly output: Readable;
  readonly errors: Readable | null;
}

/** What the pipes of a child have come to, and what the connection asks of the child itself. */
export interface EngineOwner extends DuplexSink {
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
export class ChildEngine extends DuplexEngine {
  readonly #pipes: ChildPipes;
  readonly #errorPipes: ChildPipes | undefined;
  readonly #errors: DuplexEngine | undefined;
  readonly #owner: EngineOwner;
  #isDiscarding = false;
  #isHalted = false;

  constructor(streams: ChildStreams, settings: StreamSettings, turn: Turn, owner: EngineOwner) {
    const pipes = new ChildPipes(streams.input, streams.output, {
      readerLeft: () => owner.readerLeft(),
      outputOver: () => owner.changed(),
    });
    super(pipes, settings, turn, owner);
    this.#pipes = pipes;
    this.#owner = owner;
    if (streams.errors === null) return;
    this.#errorPipes = new ChildPipes(null, streams.errors, { readerLeft() {}, outputOver: () => owner.changed() });
    this.#errors = new DuplexEngine(this.#errorPipes, settings, turn, {
      connected() {},
      data: (_handle, chunk) => owner.onErrorOutput(chunk),
      end: () => owner.onErrorOutputEnd(),
      writable() {},
      fileSent() {},
      closed() {},
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
    return waiting + this.undelivered(ONLY) + (this.#errors?.undelivered(ONLY) ?? 0) === 0;
  }

  override pause(): void {
    super.pause(ONLY);
    this.#errors?.pause(ONLY);
    this.#isHalted = true;
    this.#owner.changed();
  }

  override resume(): void {
    super.resume(ONLY);
    this.#errors?.resume(ONLY);
    this.#isHalted = false;
    this.#owner.changed();
  }

  override lastRead(): number {
    return Math.max(super.lastRead(ONLY), this.#errors?.lastRead(ONLY) ?? 0);
  }

  override finish(): void {
    super.finish(ONLY);
    this.#errors?.finish(ONLY);
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
    super.close(ONLY);
    this.#errors?.close(ONLY);
  }
}
