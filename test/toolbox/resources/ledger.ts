import { parentPort, threadId, workerData } from "node:worker_threads";
import { SystemError } from "eventmachine";

/** A resource with everything that can happen to a call. */
export class Ledger {
  readonly #owner: string;
  readonly #entries: string[] = [];
  readonly #disposal: Int32Array | undefined;

  constructor(owner: string, disposal?: Int32Array) {
    this.#owner = owner;
    this.#disposal = disposal;
  }

  owner(): string {
    return this.#owner;
  }

  thread(): number {
    return threadId;
  }

  /** Posts to whoever started the thread, as a library may; returns how much it finds of what the thread was started with. */
  async post(messages: readonly unknown[]): Promise<number> {
    for (const message of messages) parentPort?.postMessage(message);
    await new Promise((resolve) => setTimeout(resolve, 20));
    return Object.keys(workerData as object).length;
  }

  add(entry: string): number {
    return this.#entries.push(entry);
  }

  /** Looks at the entries when it is called, and again a while later. */
  async addSlowly(entry: string): Promise<boolean> {
    const before = this.#entries.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return this.#entries.push(entry) === before + 1;
  }

  entries(): string[] {
    return this.#entries;
  }

  /** The bytes, and how much memory came with them. */
  measure(bytes: Uint8Array): { text: string; memory: number } {
    return { text: new TextDecoder().decode(bytes), memory: bytes.buffer.byteLength };
  }

  bytes(text: string): Uint8Array {
    return Buffer.from(text);
  }

  throwCoded(): never {
    const cause = new RangeError("too far");
    throw Object.assign(new TypeError("no such account", { cause }), { code: "ENOACCOUNT", attempts: 3 });
  }

  throwSystem(): never {
    throw new SystemError(-98, "bind");
  }

  throwSeveral(): never {
    throw new AggregateError([new Error("one"), new RangeError("two")], "all failed");
  }

  throwCircle(): never {
    const error = new Error("round");
    error.cause = error;
    throw error;
  }

  throwText(): never {
    throw "a text";
  }

  throwFunction(): never {
    throw () => 1;
  }

  returnFunction(): () => number {
    return () => 1;
  }

  /** Shares memory with the test: waits until its first number is no 0 any more. */
  wait(gate: Int32Array): void {
    Atomics.wait(gate, 0, 0);
  }

  spin(): void {
    for (;;);
  }

  exit(code: number): void {
    process.exit(code);
  }

  throwLater(): Promise<never> {
    setTimeout(() => {
      throw new Error("out of the blue");
    }, 1);
    return new Promise(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (this.#disposal === undefined) return;
    if (Atomics.load(this.#disposal, 0) === -1) throw new Error("cannot close");
    Atomics.store(this.#disposal, 0, 1 + this.#entries.length);
  }
}

export default async (owner: string, disposal?: Int32Array): Promise<Ledger> => new Ledger(owner, disposal);
