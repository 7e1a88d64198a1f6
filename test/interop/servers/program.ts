import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identity } from "../../support/pki.js";

const START_LIMIT = 60_000;
const STOP_LIMIT = 20_000;

/** A folder that goes with the server, open to the user a server runs as. */
export function temporaryFolder(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `em-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Waits for something that a server has to do before it is ready. */
export async function until(isReady: () => boolean): Promise<void> {
  const end = performance.now() + START_LIMIT;
  while (!isReady()) {
    if (performance.now() > end) throw new Error(`it is not ready after ${START_LIMIT} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A server of another make, started by a test and stopped by its pid. */
export class Program {
  readonly #child: ChildProcess;
  #output = "";

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-20_000);
      });
    }
  }

  /** Waits until something accepts on the port, or fails with what the program has said. */
  async listensOn(port: number): Promise<void> {
    const end = performance.now() + START_LIMIT;
    while (!(await accepts(port))) {
      const { exitCode, signalCode } = this.#child;
      const ended = exitCode !== null || signalCode !== null;
      if (ended || performance.now() > end) {
        throw new Error(`${this.#child.spawnfile} ${ended ? "has ended" : "does not listen"}:\n${this.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Ends it: with `ask` where another process than the one started here has to be told, else by SIGTERM. */
  async stop(ask: () => void = () => this.#child.kill("SIGTERM")): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    try {
      ask();
    } catch {
      // It has not written its pid yet.
      this.#child.kill("SIGTERM");
    }
    const force = setTimeout(() => this.#child.kill("SIGKILL"), STOP_LIMIT);
    await exited;
    clearTimeout(force);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** A certificate for localhost and 127.0.0.1 that signs itself, and its key: paths in `folder`, where any user may read them. */
export function makeCertificate(folder: string): { cert: string; key: string } {
  const self = identity("self");
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  copyFileSync(self.cert, cert);
  copyFileSync(self.key, key);
  return { cert, key };
}
