import { MessageChannel, type MessagePort, receiveMessageOnPort, type Transferable, Worker } from "node:worker_threads";
import type { ThreadData, ThreadReply, ThreadRequest } from "./thread_messages.js";
import { THREAD_PROGRAM } from "./thread_program.js";

/** Node's own options for a thread. */
export type ThreadOptions = Pick<
  NonNullable<ConstructorParameters<typeof Worker>[1]>,
  "name" | "env" | "execArgv" | "resourceLimits"
>;

/** What comes of a thread. */
export interface ThreadEvents {
  replied(reply: ThreadReply): void;
  /** It ends because of this: its own error, or because what it said cannot be read. */
  broken(cause: unknown): void;
  /** It is gone; whatever it said before has been given to `replied`. Called last, once. */
  exited(code: number): void;
}

/**
 * A thread of the package's, with a line of its own to it: what the program's code in there posts to its parent is no answer. It keeps
 * the process alive from `ref` to `unref`, and at the beginning.
 */
export class Thread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #events: ThreadEvents;
  #hasExited = false;

  /** Throws what Node says to the options, and DataCloneError for data that cannot be copied. */
  constructor(options: ThreadOptions, data: Omit<ThreadData, "port">, events: ThreadEvents) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#events = events;
    try {
      const workerData: ThreadData = { ...data, port: port2 };
      this.#worker = new Worker(THREAD_PROGRAM, { ...options, eval: true, workerData, transferList: [port2] });
    } catch (error) {
      port1.close();
      throw error;
    }
    port1.on("message", (reply: ThreadReply) => events.replied(reply));
    port1.on("messageerror", (error) => {
      events.broken(error);
      this.end();
    });
    // The worker keeps the process alive, where something does.
    port1.unref();
    this.#worker.on("error", (error) => events.broken(error));
    this.#worker.once("exit", (code) => this.#exited(code));
  }

  /** It does nothing more; what it said at its end may still be given. */
  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Throws what copying the request throws. */
  send(request: ThreadRequest, transfer: readonly Transferable[] = []): void {
    this.#port.postMessage(request, transfer);
  }

  ref(): void {
    this.#worker.ref();
  }

  unref(): void {
    this.#worker.unref();
  }

  end(): void {
    void this.#worker.terminate();
  }

  #exited(code: number): void {
    this.#hasExited = true;
    try {
      // What it said at the end may not have come yet.
      for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port)) {
        this.#events.replied(next.message as ThreadReply);
      }
    } catch (error) {
      this.#events.broken(error);
    }
    this.#port.close();
    this.#events.exited(code);
  }
}
