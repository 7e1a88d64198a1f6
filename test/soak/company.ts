import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ChildProcess, FileWatch, type Reactor, WatchedDescriptor, worker } from "eventmachine";
import { pattern } from "../support/bytes.js";
import type { Random } from "../support/random.js";
import type { Ledger } from "./peer.js";

/** How long each may take beside two thousand connections. */
const PATIENCE = 30_000;
const LARGEST = 200_000;
/** Milliseconds between two of a kind: a process is made while the loop waits, and the connections are not to. */
const PAUSE = 250;

/** What else a reactor does, beside connections: children that echo and that are killed, watches that come and go, jobs in threads. */
export class Company {
  readonly #reactor: Reactor;
  readonly #ledger: Ledger;
  readonly #random: Random;
  readonly #folder = mkdtempSync(join(tmpdir(), "em-company-"));
  /** How often each was done. */
  readonly done: Record<string, number> = { children: 0, killed: 0, files: 0, descriptors: 0, jobs: 0 };

  constructor(reactor: Reactor, ledger: Ledger, random: Random) {
    this.#reactor = reactor;
    this.#ledger = ledger;
    this.#random = random;
  }

  /** One after the other of each kind, until the time is over. */
  async keep(end: number): Promise<void> {
    const kinds = { children: this.#child, killed: this.#killed, files: this.#file, jobs: this.#job };
    const watches = this.#reactor.stats().engine === "native" ? { descriptors: this.#descriptor } : {};
    try {
      await Promise.all(
        Object.entries({ ...kinds, ...watches }).map(async ([name, act]) => {
          for (let round = 0; performance.now() < end; round++) {
            try {
              await act.call(this, round);
              this.done[name] = (this.done[name] ?? 0) + 1;
            } catch (error) {
              this.#ledger.wrong(`${name}: ${error instanceof Error ? error.message : error}`);
            }
            await sleep(PAUSE);
          }
        }),
      );
    } finally {
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  async #child(): Promise<void> {
    const input = pattern(this.#random.size(LARGEST));
    const { output, status } = await this.#reactor.system(["cat"], { input, timeout: PATIENCE });
    if (!status.isSuccess || !output.equals(input))
      throw new Error(`${output.length} of ${input.length} bytes came back`);
  }

  async #killed(): Promise<void> {
    const child = this.#reactor.popen(["sleep", "600"], ChildProcess);
    await this.#reactor.defer(() => new Promise((resolve) => setTimeout(resolve, this.#random.between(0, 30))));
    child.abort();
    const { kind, exit } = await child.closed;
    if (kind !== "local-abort" || exit?.signal !== "SIGKILL") throw new Error(`ended with ${kind}, ${exit?.signal}`);
  }

  async #file(round: number): Promise<void> {
    const path = join(this.#folder, `file${round % 8}`);
    writeFileSync(path, "");
    await this.#told((heard) => {
      class Watch extends FileWatch {
        override fileModified(): void {
          heard();
        }
      }
      const watch = this.#reactor.watchFile(path, Watch);
      appendFileSync(path, "more");
      return () => watch.stopWatching();
    });
  }

  async #descriptor(round: number): Promise<void> {
    const path = join(this.#folder, `fifo${round}`);
    execFileSync("mkfifo", [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      await this.#told((heard) => {
        class Watch extends WatchedDescriptor {
          override notifyReadable(): void {
            if (readSync(reader, Buffer.alloc(16)) === 3) heard();
          }
        }
        const watch = this.#reactor.watch({ fd: reader, notifiesReadable: true }, Watch);
        writeSync(writer, "one");
        return () => watch.closeConnection();
      });
    } finally {
      closeSync(reader);
      closeSync(writer);
      rmSync(path);
    }
  }

  async #job(round: number): Promise<void> {
    const sum = await this.#reactor.defer(
      worker(
        (numbers: Uint8Array) => numbers.reduce((total, each) => total + each, 0),
        new Uint8Array(100).fill(round),
      ),
      { timeout: PATIENCE },
    );
    if (sum !== 100 * (round & 255)) throw new Error(`the sum is ${sum}`);
  }

  /** Begins a watch, and ends it when it has told what it is for. */
  async #told(begin: (heard: () => void) => () => void): Promise<void> {
    let stop = (): void => {};
    let late: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        stop = begin(resolve);
        late = setTimeout(reject, PATIENCE, new Error("nothing was told"));
      });
    } finally {
      clearTimeout(late);
      stop();
    }
  }
}
