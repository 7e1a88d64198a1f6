import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";

/** Both ends of a pipe, by descriptor. */
export class Fifo {
  readonly path: string;
  readonly reader: number;
  writer: number;
  readonly #closed = new Set<number>();

  constructor(path: string) {
    execFileSync("mkfifo", [path]);
    this.path = path;
    this.reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  }

  write(text: string): void {
    writeSync(this.writer, text);
  }

  /** What lies in the pipe, up to 64 KiB; undefined where there is nothing. */
  read(): string | undefined {
    const room = Buffer.alloc(65_536);
    try {
      return room.toString("utf8", 0, readSync(this.reader, room));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return undefined;
      throw error;
    }
  }

  /** Writes until the pipe takes no more; returns how much it took. */
  fill(): number {
    const block = Buffer.alloc(4096);
    let taken = 0;
    for (;;) {
      try {
        taken += writeSync(this.writer, block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN") return taken;
        throw error;
      }
    }
  }

  closeReader(): void {
    this.#close(this.reader);
  }

  closeWriter(): void {
    this.#close(this.writer);
  }

  /** Somebody else has it, and closes it. */
  gaveAway(fd: number): void {
    this.#closed.add(fd);
  }

  close(): void {
    this.closeReader();
    this.closeWriter();
  }

  #close(fd: number): void {
    if (this.#closed.has(fd)) return;
    this.#closed.add(fd);
    closeSync(fd);
  }
}
