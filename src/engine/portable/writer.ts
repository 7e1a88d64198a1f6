import type { Socket } from "node:net";
import { FileRange } from "../node/file_range.js";
import type { Block, Scratch } from "../node/scratch.js";
import { Ended } from "../streams.js";
import { OutputQueue } from "./output_queue.js";

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

/** Room for text whose size is not measured first: a character of any encoding Node knows makes at most three bytes. */
const BYTES_PER_UNIT = 3;

/**
 * One connection's way out: a queue, and at most one piece of it with the node:net socket. libuv tries each write at
 * once, so the socket normally has nothing left when its `write` returns; what the kernel did not take is waited for.
 *
 * Most turns send a connection one run of bytes that fits in a block. That is kept here, without a queue: the fewer
 * objects a connection has, the less of it must be fetched from memory when it is one of a thousand.
 */
export class Writer {
  readonly #owner: WriterOwner;
  readonly #scratch: Scratch;
  #socket: Socket | undefined;
  /** Whether the socket takes a write while it is made. Under TLS it never does, and the memory must last. */
  #isPrompt = true;
  /** Bytes `#start` to `#end` of a block, where that is all there is to send. */
  #block: Block | undefined;
  #start = 0;
  #end = 0;
  /** Everything else; made when there first is such a thing. Empty while there is a `#block`. */
  #queue: OutputQueue | undefined;
  readonly #onWritten = (error?: Error | null): void => this.#written(error);
  /** The piece with the socket: bytes from memory, or of a file. Both 0: it has none. */
  #pending = 0;
  #pendingOfFile = 0;
  /** Set while nothing may be handed over: not open, a piece under way, a file being read, stopped. */
  #blocked = true;
  #stopped = false;

  constructor(owner: WriterOwner, scratch: Scratch) {
    this.#owner = owner;
    this.#scratch = scratch;
  }

  /** The socket is connected, and under TLS secured. */
  open(socket: Socket, isPrompt: boolean): void {
    this.#socket = socket;
    this.#isPrompt = isPrompt;
    this.#blocked = false;
  }

  /** Bytes not with the kernel, file bytes apart; the number stands still once stopped. */
  get unsent(): number {
    return this.#queuedBytes + this.#pending;
  }

  get #queuedBytes(): number {
    return this.#end - this.#start + (this.#queue === undefined ? 0 : this.#queue.bytes);
  }

  get #isEmpty(): boolean {
    return this.#block === undefined && (this.#queue === undefined || this.#queue.isEmpty);
  }

  get isDone(): boolean {
    return !this.#blocked && this.#isEmpty;
  }

  /** True when enough has gathered to be worth a system call before the turn ends. */
  get isReady(): boolean {
    return !this.#blocked && this.#queuedBytes >= PIECE_SIZE;
  }

  write(data: Uint8Array): void {
    const block = this.#blockFor(data.length);
    if (block === undefined) {
      this.#theQueue().append(data, this.#isPrompt && !this.#blocked);
    } else {
      block.memory.set(data, this.#end);
      this.#end += data.length;
      block.used = this.#end;
    }
  }

  writeText(text: string, encoding: BufferEncoding): number {
    const block = this.#blockFor(text.length * BYTES_PER_UNIT);
    if (block === undefined) return this.#theQueue().appendText(text, encoding, this.#isPrompt && !this.#blocked);
    const made = block.memory.write(text, this.#end, encoding);
    this.#end += made;
    block.used = this.#end;
    // Text can make no bytes at all ("hex" of no digits), and what is queued must be something.
    if (this.#start === this.#end) this.#forgetBlock();
    return made;
  }

  sendFile(fd: number, offset: number, length: number): void {
    this.#theQueue().appendFile(new FileRange(fd, offset, length));
  }

  /** The block that has this much room behind all there is to send; undefined where it takes a queue. */
  #blockFor(room: number): Block | undefined {
    const block = this.#block;
    if (block !== undefined) return block.used === this.#end && block.room >= room ? block : undefined;
    if (this.#blocked || !this.#isPrompt || room > PIECE_SIZE || !this.#isEmpty) return undefined;
    const fresh = this.#scratch.reserve(room);
    this.#block = fresh;
    this.#start = this.#end = fresh.used;
    return fresh;
  }

  #forgetBlock(): void {
    this.#block = undefined;
    this.#start = this.#end = 0;
  }

  /** The queue, with what is in `#block` at its head. */
  #theQueue(): OutputQueue {
    this.#queue ??= new OutputQueue(this.#scratch);
    if (this.#block !== undefined) {
      this.#queue.adopt(this.#block, this.#start, this.#end);
      this.#forgetBlock();
    }
    return this.#queue;
  }

  /** Hands over what is queued, as far as the kernel takes it. */
  flush(): void {
    if (this.#block !== undefined && !this.#blocked) this.#handOverBlock(this.#block);
    const queue = this.#queue;
    while (queue !== undefined && !this.#blocked && !queue.isEmpty) {
      const file = queue.file;
      if (file === undefined) this.#handOver(queue);
      else if (file.isDone) this.#fileDone(queue);
      else this.#readFile(queue, file);
    }
    if (this.isDone) this.#owner.outputDone();
  }

  /** Nothing further leaves or is told. What is unsent is still known. */
  stop(): void {
    this.#stopped = true;
    this.#blocked = true;
  }

  #handOverBlock(block: Block): void {
    const start = this.#start;
    const end = this.#end;
    this.#forgetBlock();
    if (this.#put(block.memory.subarray(start, end))) {
      if (block.used === end) block.used = start;
      this.#owner.wrote(end - start, 0);
    } else {
      block.kept = true;
      this.#pending = end - start;
      this.#blocked = true;
    }
  }

  #handOver(queue: OutputQueue): void {
    const before = queue.bytes;
    const taken = queue.take(PIECE_SIZE);
    const size = before - queue.bytes;
    if (Array.isArray(taken) ? this.#putAll(taken) : this.#put(taken)) {
      queue.release();
      this.#owner.wrote(size, 0);
    } else {
      this.#pending = size;
      this.#wait(queue);
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

  #wait(queue: OutputQueue): void {
    this.#blocked = true;
    queue.keep();
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
    const queue = this.#queue;
    const file = queue?.file;
    if (queue !== undefined && file !== undefined && fileBytes > 0) this.#continueFile(queue, file);
    else this.#unblock();
  }

  #unblock(): void {
    this.#blocked = false;
    this.flush();
  }

  // Files --------------------------------------------------------------------------------------------------------

  #readFile(queue: OutputQueue, file: FileRange): void {
    this.#wait(queue);
    file.read((piece) => {
      if (this.#stopped) return;
      if (piece === "truncated") this.#owner.fileFailed(Ended.fileTruncated, 0, "");
      else if (piece instanceof Error) this.#owner.fileFailed(Ended.error, piece.errno ?? 0, piece.syscall ?? "read");
      else this.#putPiece(queue, file, piece);
    });
  }

  #putPiece(queue: OutputQueue, file: FileRange, piece: Buffer): void {
    if (this.#put(piece)) {
      this.#owner.wrote(0, piece.length);
      this.#continueFile(queue, file);
    } else {
      this.#pendingOfFile = piece.length;
    }
  }

  #continueFile(queue: OutputQueue, file: FileRange): void {
    if (file.isDone) {
      this.#fileDone(queue);
      this.#unblock();
    } else {
      this.#readFile(queue, file);
    }
  }

  #fileDone(queue: OutputQueue): void {
    queue.shiftFile();
    this.#owner.fileSent();
  }
}

function hasTakenAll(socket: Socket): boolean {
  return socket.writableLength === 0 && socket.errored === null;
}
