import type { Duplex } from "node:stream";
import { FileRange } from "./file_range.js";
import { OutputPieces } from "./output_pieces.js";
import type { StreamKind } from "./stream_kind.js";
import { asError, type Failing } from "./throwing_streams.js";

/** What happened to the output; told from flushes and from the stream's callbacks, never inside a command. */
export interface OutputOwner extends Failing {
  /** So many bytes from memory, and so many of files, have been taken by what the stream writes to. */
  wrote(bytes: number, fileBytes: number): void;
  /** Nothing is queued and nothing is with the stream. */
  outputDone(): void;
  fileSent(): void;
  /** A file ended before the end of its range. */
  fileTruncated(): void;
}

/** What waits to be written, in order: bytes, joined where they can be, and ranges of files. */
export interface Waiting {
  /** Bytes in memory, those taken not among them. */
  readonly bytes: number;
  readonly isEmpty: boolean;
  /** The range at the head, if it is one. */
  readonly file: FileRange | undefined;
  /** Copies bytes in. `brief`: they leave with this turn's flush, as far as one can know. */
  append(data: Uint8Array, brief: boolean): void;
  /** Encodes text in; returns how many bytes it made. */
  appendText(text: string, encoding: BufferEncoding, brief: boolean): number;
  appendFile(range: FileRange): void;
  /** Removes the range at the head. */
  shiftFile(): void;
  /**
   * Takes bytes from a head that is no file: at most `limit`, none behind a file, as one view or several. `release` or
   * `keep` says afterwards what became of them.
   */
  take(limit: number): Buffer | Buffer[];
  /** Nobody reads any more what was taken. */
  release(): void;
  /** What was taken is still read, and what is queued stays for later turns. */
  keep(): void;
}

/**
 * The most the stream is given at once. It counts a write as unsent until its last byte is taken, so this is how exact
 * `unsent` is for a peer that does not keep up.
 */
export const PIECE_SIZE = 64 * 1024;

/**
 * One connection's way out: a queue, and at most one piece of it with the stream.
 *
 * Its own methods are protected and not `#private`, which costs each instance less.
 */
export class Output {
  protected owner: OutputOwner;
  readonly #kind: StreamKind;
  #stream: Duplex | undefined;
  /** What is queued; made when there first is something. */
  protected queue: Waiting | undefined;
  readonly #onWritten = (error?: Error | null): void => this.written(error);
  /** Writes that the stream has not called back for. */
  #writesDue = 0;
  /** The piece with the stream: bytes from memory, or of a file. Both 0: it has none. */
  protected pending = 0;
  #pendingOfFile = 0;
  /** Set while nothing may be handed over: not open, a piece under way, a file being read, stopped. */
  protected isBlocked = true;
  #isStopped = false;

  constructor(owner: OutputOwner, kind: StreamKind) {
    this.owner = owner;
    this.#kind = kind;
  }

  /** Another is told from here on. */
  passTo(owner: OutputOwner): void {
    this.owner = owner;
  }

  /** The stream is connected, and under TLS secured. */
  open(stream: Duplex): void {
    this.#stream = stream;
    this.isBlocked = false;
  }

  /** Bytes that have not been taken, file bytes apart; the number stands still once stopped. */
  get unsent(): number {
    return this.queuedBytes + this.pending;
  }

  protected get queuedBytes(): number {
    return this.queue === undefined ? 0 : this.queue.bytes;
  }

  protected get isEmpty(): boolean {
    return this.queue === undefined || this.queue.isEmpty;
  }

  get isDone(): boolean {
    return !this.isBlocked && this.isEmpty;
  }

  /** True when enough has gathered to be worth a write before the turn ends, where that may be made in a command. */
  get isReady(): boolean {
    return this.#kind.isDirect && !this.isBlocked && this.queuedBytes >= PIECE_SIZE;
  }

  write(data: Uint8Array): void {
    this.theQueue().append(data, false);
  }

  writeOwned(data: Buffer): void {
    this.write(data);
  }

  writeText(text: string, encoding: BufferEncoding): number {
    return this.theQueue().appendText(text, encoding, false);
  }

  sendFile(fd: number, offset: number, length: number): void {
    this.theQueue().appendFile(new FileRange(fd, offset, length, this.#kind.keepsMemory));
  }

  protected theQueue(): Waiting {
    this.queue ??= new OutputPieces();
    return this.queue;
  }

  /** Hands over what is queued, as far as it is taken. */
  flush(): void {
    const { queue } = this;
    while (queue !== undefined && !this.isBlocked && !queue.isEmpty) {
      const { file } = queue;
      if (file === undefined) this.handOver(queue);
      else if (file.isDone) this.fileDone(queue);
      else this.readFile(queue, file);
    }
    if (this.isDone) this.owner.outputDone();
  }

  /** Nothing further leaves or is told. What is unsent is still known. */
  stop(): void {
    this.#isStopped = true;
    this.isBlocked = true;
  }

  protected handOver(queue: Waiting): void {
    const before = queue.bytes;
    const taken = queue.take(PIECE_SIZE);
    const size = before - queue.bytes;
    if (Array.isArray(taken) ? this.putAll(taken) : this.put(taken)) {
      queue.release();
      this.owner.wrote(size, 0);
    } else {
      this.pending = size;
      this.wait(queue);
    }
  }

  /** Returns whether all of it has been taken already. What a stream throws is its failure. */
  protected put(view: Buffer): boolean {
    const stream = this.#stream as Duplex;
    this.#writesDue++;
    try {
      stream.write(view, this.#onWritten);
    } catch (error) {
      this.owner.failed(asError(error));
      return false;
    }
    return this.hasTakenAll(stream);
  }

  protected putAll(views: Buffer[]): boolean {
    const stream = this.#stream as Duplex;
    this.#writesDue += views.length;
    try {
      stream.cork();
      for (const view of views) stream.write(view, this.#onWritten);
      stream.uncork();
    } catch (error) {
      this.owner.failed(asError(error));
      return false;
    }
    return this.hasTakenAll(stream);
  }

  protected hasTakenAll(stream: Duplex): boolean {
    return this.#writesDue === 0 || (stream.writableLength === 0 && stream.errored === null);
  }

  protected wait(queue: Waiting): void {
    this.isBlocked = true;
    queue.keep();
  }

  /** The stream calls this for every write, also for those that were through when `write` returned. */
  protected written(error: Error | null | undefined): void {
    // A failure is told by the stream's own error event.
    if (error) return;
    this.#writesDue--;
    const bytes = this.pending;
    const fileBytes = this.#pendingOfFile;
    if (this.#isStopped || bytes + fileBytes === 0 || this.#writesDue > 0) return;
    this.pending = 0;
    this.#pendingOfFile = 0;
    this.owner.wrote(bytes, fileBytes);
    const { queue } = this;
    const file = queue?.file;
    if (queue !== undefined && file !== undefined && fileBytes > 0) this.continueFile(queue, file);
    else this.unblock();
  }

  protected unblock(): void {
    this.isBlocked = false;
    this.flush();
  }

  // Files --------------------------------------------------------------------------------------------------------

  protected readFile(queue: Waiting, file: FileRange): void {
    this.wait(queue);
    file.read((piece) => {
      if (this.#isStopped) return;
      if (piece === "truncated") this.owner.fileTruncated();
      else if (piece instanceof Error) this.owner.failed(piece);
      else this.putPiece(queue, file, piece);
    });
  }

  protected putPiece(queue: Waiting, file: FileRange, piece: Buffer): void {
    if (this.put(piece)) {
      this.owner.wrote(0, piece.length);
      this.continueFile(queue, file);
    } else {
      this.#pendingOfFile = piece.length;
    }
  }

  protected continueFile(queue: Waiting, file: FileRange): void {
    if (file.isDone) {
      this.fileDone(queue);
      this.unblock();
    } else {
      this.readFile(queue, file);
    }
  }

  protected fileDone(queue: Waiting): void {
    queue.shiftFile();
    this.owner.fileSent();
  }
}
