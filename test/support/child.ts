import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { command as pathOf } from "./programs.js";
import { PATIENCE, within } from "./wait.js";

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Descriptors of this process that it has from 3 on. */
  readonly inherit?: readonly number[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process of the test's own: lines in, lines out, and gone with the block it is used in (`await using`). */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly exit: Promise<Exit>;
  stderr = "";
  #lines: string[] = [];
  #waiting: (() => void)[] = [];
  #ended = false;
  readonly #command: string;

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.#command = `${command} ${args.join(" ")}`;
    const stdio: StdioOptions = ["pipe", "pipe", "pipe", ...(options.inherit ?? [])];
    const child = spawn(pathOf(command), args, { stdio, env: { ...process.env, ...options.env }, cwd: options.cwd });
    this.process = child;
    this.exit = new Promise((resolve, reject) => {
      child.on("error", (error) => {
        reject(error);
        this.#end();
      });
      child.on("close", (code, signal) => resolve({ code, signal }));
    });
    this.exit.catch(() => {});
    // A child that has gone is seen by its exit, not by the pipe to it.
    child.stdin?.on("error", () => {});
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    if (child.stdout !== null) {
      createInterface({ input: child.stdout })
        .on("line", (line) => {
          this.#lines.push(line);
          this.#wake();
        })
        .on("close", () => this.#end());
    }
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  /** The next line of its standard output. */
  async line(patience: number = PATIENCE): Promise<string> {
    const end = performance.now() + patience;
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      if (this.#ended) {
        const { code, signal } = await within(this.exit, `the end of ${this.#command}`, patience);
        throw new Error(`${this.#command} ended (${signal ?? code}) without another line. ${this.stderr}`);
      }
      const left = end - performance.now();
      await within(
        new Promise<void>((resolve) => this.#waiting.push(resolve)),
        `a line from ${this.#command}. ${this.stderr}`,
        Math.max(1, left),
      );
    }
  }

  /** The next line, read as JSON. */
  async json<T>(patience: number = PATIENCE): Promise<T> {
    return JSON.parse(await this.line(patience)) as T;
  }

  /** All lines up to the end of its output. */
  async rest(patience: number = PATIENCE): Promise<string[]> {
    await within(this.exit, `the end of ${this.#command}`, patience);
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  say(text: string): void {
    this.process.stdin?.write(`${text}\n`);
  }

  /** Writes raw text, and ends its standard input when told to. */
  feed(text: string, end = false): void {
    this.process.stdin?.write(text);
    if (end) this.process.stdin?.end();
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
  }

  /** How it ended; fails the test when it does not end in time. */
  ended(patience: number = PATIENCE): Promise<Exit> {
    return within(this.exit, `the end of ${this.#command}. ${this.stderr}`, patience);
  }

  /** CPU time used so far, in milliseconds: user and system, all threads. */
  cpuTime(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // Clock ticks are hundredths of a second wherever Linux runs Node.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** Resident memory in bytes. */
  memory(): number {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "latin1"));
    return Number(match?.[1]) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.exit.catch(() => {});
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
