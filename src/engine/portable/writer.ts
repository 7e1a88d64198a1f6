import type { Socket } from "node:net";
import { Ended } from "../streams.js";
import { FileRange } from "./file_range.js";
import { OutputQueue } from "./output_queue.js";
import type { Scratch } from "./scratch.js";

/** What happened to the output; told from flushes and from node:net's callbacks, never inside a command. */
export interface WriterOwner {
  /** So many bytes from memory, and so many of files, are with the kernel. */
  wrote(bytes: number, fileBytes: number): void;
  /** Nothing is queued and nothing is with the socket. */
  outputDone(): void;
  fileSent(): void;
  fileFailed(ended: Ended, errno: number, syscall: string): void;
}

/**
 * The most the socket is given at once. It counts a write as unsent until the last byte is with the kernel, so this is
 * how exact `unsent` is for a peer that does not keep up.
 */
const PIECE_SIZE = 64 * 1024;

/**
 * One connection's way out: a queue, and at most one piece of it with the node:net socket. libuv tries each write at
 * once, so the socket normally has nothing left when its `write` returns; what the kernel did not take is waited for.
 */
export class Writer {
  readonly #owner: WriterOwner;
  readonly #queue: OutputQueue;
  #socket: Socket | undefined;
  /** Whether the socket takes a write while it is made. Under TLS it never does, and the memory must last. */
  #isPrompt = true;
  readonly #onWritten = (error?: Error | null): void => this.#written(error);
  /** The piece with the socket: bytes from memory, or of a file. Both 0: it has none. */
  #pending = 0;
  #pendingOfFile = 0;
  /** Set while nothing may be handed over: not open, a piece under way, a file being read, stopped. */
  #blocked = true;
  #stopped = false;

  constructor(owner: WriterOwner, scratch: Scratch) {
    this.#owner = owner;
    this.#queue = new OutputQueue(scratch);
  }

  /** The socket is connected, and under TLS secured. */
  open(socket: Socket, isPrompt: boolean): void {
    this.#socket = socket;
    this.#isPrompt = isPrompt;
    this.#blocked = false;
  }

  /** Bytes not with the kernel, file bytes apart; the number stands still once stopped. */
  get unsent(): number {
    return this.#queue.bytes + this.#pending;
  }

  get isDone(): boolean {
    return this.#queue.isEmpty && !this.#blocked;
  }

  /** True when enough has gathered to be worth a system call before the turn ends. */
  get isReady(): boolean {
    return !this.#blocked && this.#queue.bytes >= PIECE_SIZE;
  }

  write(data: Uint8Array): void {
    this.#queue.append(data, this.#isPrompt && !this.#blocked);
  }

  writeText(text: string, encoding: BufferEncoding): number {
    return this.#queue.appendText(text, encoding, this.#isPrompt && !this.#blocked);
  }

  sendFile(fd: number, offset: number, length: number): void {
    this.#queue.appendFile(new FileRange(fd, offset, length));
  }

  /** Hands over what is queued, as far as the kernel takes it. */
  flush(): void {
    while (!this.#blocked && !this.#queue.isEmpty) {
      const file = this.#queue.file;
      if (file === undefined) this.#handOver();
      else if (file.isDone) this.#fileDone();
      else this.#readFile(file);
    }
    if (this.isDone) this.#owner.outputDone();
  }

  /** Nothing further leaves or is told. What is unsent is still known. */
  stop(): void {
    this.#stopped = true;
    this.#blocked = true;
  }

  #handOver(): void {
    const before = this.#queue.bytes;
    const taken = this.#queue.take(PIECE_SIZE);
    const size = before - this.#queue.bytes;
    if (Array.isArray(taken) ? this.#putAll(taken) : this.#put(taken)) {
      this.#queue.release();
      this.#owner.wrote(size, 0);
    } else {
      this.#pending = size;
      this.#block();
    }
  }

  /** Returns whether the kernel has taken it all. */
  #put(view: Buffer): boolean {
    const socket = this.#socket as Socket;
    socket.write(view, this.#onWritten);
    return hasTakenAll(socket);
  }

  #putAll(views: Buffer[]): boolean {
    const socket = this.#socket as Socket;
    socket.cork();
    for (const view of views) socket.write(view, this.#onWritten);
    socket.uncork();
    return hasTakenAll(socket);
  }

  #block(): void {
    this.#blocked = true;
    this.#queue.keep();
  }

  /** The socket calls this for every write, also for those that were through when `write` returned. */
  #written(error: Error | null | undefined): void {
    const bytes = this.#pending;
    const fileBytes = this.#pendingOfFile;
    // A failure is told by the socket's own error event.
    if (this.#stopped || error || bytes + fileBytes === 0 || this.#socket?.writableLength !== 0) return;
    this.#pending = 0;
    this.#pendingOfFile = 0;
    this.#owner.wrote(bytes, fileBytes);
    const file = this.#queue.file;
    if (fileBytes > 0 && file !== undefined) this.#continueFile(file);
    else this.#unblock();
  }

  #unblock(): void {
    this.#blocked = false;
    this.flush();
  }

  // Files --------------------------------------------------------------------------------------------------------

  #readFile(file: FileRange): void {
    this.#block();
    file.read((piece) => {
      if (this.#stopped) return;
      if (piece === "truncated") this.#owner.fileFailed(Ended.fileTruncated, 0, "");
      else if (piece instanceof Error) this.#owner.fileFailed(Ended.error, piece.errno ?? 0, piece.syscall ?? "read");
      else this.#putPiece(file, piece);
    });
  }

  #putPiece(file: FileRange, piece: Buffer): void {
    if (this.#put(piece)) {
      this.#owner.wrote(0, piece.length);
      this.#continueFile(file);
    } else {
      this.#pendingOfFile = piece.length;
    }
  }

  #continueFile(file: FileRange): void {
    if (file.isDone) {
      this.#fileDone();
      this.#unblock();
    } else {
      this.#readFile(file);
    }
  }

  #fileDone(): void {
    this.#queue.shiftFile();
    this.#owner.fileSent();
  }
}

function hasTakenAll(socket: Socket): boolean {
  return socket.writableLength === 0 && socket.errored === null;
}
