import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { command as pathOf } from "../support/programs.js";

const PATIENCE = 10_000;
const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const DEMO = fileURLToPath(new URL("../../../dist/cli/demo.js", import.meta.url));

/** A program under test: what it printed, and bounded waits for more of it and for its end. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #exited: Promise<number | NodeJS.Signals>;
  #changed = () => {};
  stdout = "";
  stderr = "";

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(pathOf(command), args, { env: { ...process.env, ...env } });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#changed();
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#changed();
    });
    this.#child.stdin.on("error", () => {}); // A program may end without reading all it is told.
    this.#exited = once(this.#child, "close").then(([code, signal]) => signal ?? code);
    this.#exited.catch(() => {}); // A command that is not there fails the wait for its output.
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Waits until standard output matches, and returns the match. */
  async output(pattern: RegExp): Promise<RegExpExecArray> {
    const matched = new Promise<RegExpExecArray>((resolve, reject) => {
      this.#changed = () => {
        const match = pattern.exec(this.stdout);
        if (match !== null) resolve(match);
      };
      this.#changed();
      this.#exited.then((code) => reject(new Error(`ended with ${code} before ${pattern}: ${this.said()}`)), reject);
    });
    return within(matched, () => `no ${pattern} came: ${this.said()}`);
  }

  /** The address a server announced, as `net.connect` takes it. */
  async address(name = "listening"): Promise<{ host: string; port: number }> {
    const [, v6, host = v6 ?? "", port] = await this.output(
      new RegExp(`^${name} on (?:\\[(.*)\\]|([^:]*)):(\\d+)`, "m"),
    );
    return { host: host === "::" ? "::1" : host, port: Number(port) };
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The exit code, or the signal that ended it. */
  exit(): Promise<number | NodeJS.Signals> {
    return within(this.#exited, () => `it did not end: ${this.said()}`);
  }

  said(): string {
    return JSON.stringify({ stdout: this.stdout, stderr: this.stderr });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#exited.catch(() => {});
  }
}

/** The engines under test, as for the conformance suite; a program that is not told runs on the first. */
export const ENGINES = (process.env.EVENTMACHINE_ENGINES ?? "native,portable").split(",");
const ENGINE = { EVENTMACHINE_ENGINE: ENGINES[0] };

/** The command `eventmachine`, as its `bin` entry runs it. */
export function eventmachine(args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return new Program(process.execPath, [MAIN, ...args], { ...ENGINE, ...env });
}

/** What `npm start` runs. */
export function demo(...args: string[]): Program {
  return new Program(process.execPath, [DEMO, ...args], ENGINE);
}

/** A raw TCP or Unix peer that reads all it gets. */
export class Peer implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #ended: Promise<unknown>;
  #changed = () => {};
  received = "";

  constructor(address: { host: string; port: number } | { path: string }) {
    this.#socket = connect(address).setEncoding("utf8");
    this.#socket.on("data", (text: string) => {
      this.received += text;
      this.#changed();
    });
    this.#ended = once(this.#socket, "close");
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  /** Waits until what came in matches. */
  async gets(pattern: RegExp): Promise<RegExpExecArray> {
    const matched = new Promise<RegExpExecArray>((resolve, reject) => {
      this.#changed = () => {
        const match = pattern.exec(this.received);
        if (match !== null) resolve(match);
      };
      this.#changed();
      this.#ended.then(
        () => reject(new Error(`the connection ended before ${pattern}: ${JSON.stringify(this.received)}`)),
        reject,
      );
    });
    return within(matched, () => `no ${pattern} came: ${JSON.stringify(this.received)}`);
  }

  /** Waits for the end of the connection; rejects if it was not an orderly one. */
  async end(): Promise<void> {
    await within(this.#ended, () => "the connection did not end");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#ended.catch(() => {});
  }
}

async function within<T>(promise: Promise<T>, complaint: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(complaint())), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
