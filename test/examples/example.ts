import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createConnection, type NetConnectOpts, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Capability, engineInfo, parseAddress } from "eventmachine";

/** How long one example may take from its start to its end. */
const LIMIT = 30_000;

export type Place = { host: string; port: number } | { path: string };

/** A program of examples/, running as its users run it. */
export class Example {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #closed: Promise<void>;
  #errors = "";
  #changed: () => void = () => {};

  constructor(engine: string, name: string, args: readonly (string | number)[]) {
    const program = fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url));
    this.#child = spawn(process.execPath, [program, ...args.map(String)], {
      env: { ...process.env, EVENTMACHINE_ENGINE: engine },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const lines = createInterface({ input: this.#child.stdout! });
    lines.on("line", (line) => {
      this.#lines.push(line);
      this.#changed();
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (text) => {
      this.#errors += text;
      this.#changed();
    });
    this.#closed = Promise.all([once(this.#child, "close"), once(lines, "close")]).then(() => this.#changed());
  }

  /** Everything it has printed and nobody has asked for yet. */
  get output(): string[] {
    return this.#lines;
  }

  get errors(): string {
    return this.#errors;
  }

  /** The next line that matches; those before it are dropped. */
  async line(form: RegExp): Promise<string> {
    for (;;) {
      const line = this.#lines.shift();
      if (line === undefined) await this.#change(`no line like ${form}`);
      else if (form.test(line)) return line;
    }
  }

  /** Waits for text on standard error. */
  async complaint(form: RegExp): Promise<void> {
    while (!form.test(this.#errors)) await this.#change(`no complaint like ${form}`);
  }

  async #change(lacking: string): Promise<void> {
    const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
    if (ended) {
      await this.#closed;
      if (this.#lines.length > 0) return;
      throw new Error(`${lacking}, and it has ended (${this.#child.exitCode}): ${this.#errors}`);
    }
    await new Promise<void>((resolve) => {
      this.#changed = resolve;
    });
  }

  /** Where it listens. */
  async place(): Promise<Place> {
    const line = await this.line(/^listening on /);
    return { host: "127.0.0.1", ...parseAddress(line.slice("listening on ".length)) };
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits for its end, and checks its exit code. */
  async ended(code = 0): Promise<void> {
    await this.#closed;
    assert.equal(this.#child.exitCode, code, this.#errors);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

export interface Trial {
  readonly context: TestContext;
  readonly engine: string;
  has(capability: Capability): boolean;
  start(name: string, ...args: (string | number)[]): Example;
}

/** A test of examples on each engine in EVENTMACHINE_ENGINES (default: native and portable). */
export function onEveryEngine(name: string, body: (trial: Trial) => Promise<unknown>): void {
  describe(name, () => {
    for (const engine of (process.env.EVENTMACHINE_ENGINES ?? "native,portable").split(",")) {
      test(`on ${engine}`, { timeout: LIMIT }, async (context) => {
        const info = engineInfo(engine as "native" | "portable");
        assert.equal(info.engine, engine, `the ${engine} engine is not to be had here: ${info.reason}`);
        await body({
          context,
          engine,
          has: (capability) => info.lacks.every((lack) => lack.capability !== capability),
          start: (program, ...args) => {
            const example = new Example(engine, program, args);
            context.after(() => example.kill());
            return example;
          },
        });
      });
    }
  });
}

/** A raw peer. */
export class Peer {
  readonly socket: Socket;
  #received: Buffer[] = [];
  #ended = false;
  #changed: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.#received.push(chunk);
      this.#changed();
    });
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#ended = true;
        this.#changed();
      });
    }
    // A reset ends the peer like a FIN: what it had received by then is what counts.
    socket.on("error", () => {});
  }

  static async to(place: Place): Promise<Peer> {
    const socket = createConnection(place as NetConnectOpts);
    await once(socket, "connect");
    return new Peer(socket);
  }

  get text(): string {
    return Buffer.concat(this.#received).toString();
  }

  /** Waits until what was received contains this, and forgets everything up to its end. */
  async hears(text: string): Promise<void> {
    for (;;) {
      const at = this.text.indexOf(text);
      if (at !== -1) {
        this.#received = [Buffer.from(this.text.slice(at + text.length))];
        return;
      }
      if (this.#ended) throw new Error(`it ended without ${JSON.stringify(text)}, with ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Everything until the other side's end. */
  async rest(): Promise<Buffer> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return Buffer.concat(this.#received);
  }

  send(data: string | Buffer): this {
    this.socket.write(data);
    return this;
  }
}
