import { Child } from "./child.js";
import { source } from "./paths.js";
import { PATIENCE } from "./wait.js";

export type PeerAddress = { host?: string; port: number } | { path: string | Buffer };

export interface ConnectOptions {
  socket?: string;
  names?: string[];
  receiveBuffer?: number;
  segment?: number;
  /** The name its own end of a Unix socket is bound to. */
  from?: Buffer;
}

/** What `receive` tells: how the stream went on and how it ended, null where the wanted bytes came first. */
export interface Received {
  bytes: number;
  sha256: string;
  text: string;
  end: string | null;
}

/**
 * Plain sockets in a process of their own, driven one call at a time: what `peer.py` is told, it does, and nothing else.
 * Every call resolves when it is done.
 */
export class RawPeer implements AsyncDisposable {
  readonly child = new Child("python3", ["-u", source("peers/peer.py")]);

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
  }

  /** Connects one socket, or as many as `names` has; `segment` is the most one segment carries. */
  async connect(address: PeerAddress, options: ConnectOptions = {}): Promise<void> {
    await this.#ok({ do: "connect", socket: "main", ...plain(address), ...plain(options) });
  }

  /** Listens and tells the port. */
  async listen(options: { path?: string | Buffer; receiveBuffer?: number } = {}): Promise<{ port: number }> {
    return this.#ok({ do: "listen", socket: "listener", ...plain(options) });
  }

  async accept(socket = "main"): Promise<void> {
    await this.#ok({ do: "accept", listener: "listener", socket });
  }

  async send(text: string, options: { times?: number; socket?: string; names?: string[] } = {}): Promise<void> {
    await this.#ok({ do: "send", socket: "main", text, ...options });
  }

  /** The same where the other side may have had enough by then. */
  async sendUnheeded(text: string, socket: string): Promise<void> {
    await this.#do({ do: "send", socket, text });
  }

  /** One byte a segment. */
  async sendBytes(text: string): Promise<void> {
    await this.#ok({ do: "sendBytes", socket: "main", text });
  }

  /** The FIN rides on the last segment of the data. */
  async sendWithFin(text: string): Promise<void> {
    await this.#ok({ do: "sendWithFin", socket: "main", text });
  }

  async urgent(text: string): Promise<void> {
    await this.#ok({ do: "urgent", socket: "main", text });
  }

  async shutdown(socket = "main"): Promise<void> {
    await this.#ok({ do: "shutdown", socket });
  }

  /** Ends the direction towards it, and nothing else: a Unix socket can. */
  async stopReading(): Promise<void> {
    await this.#ok({ do: "stopReading", socket: "main" });
  }

  /** Reads exactly so many bytes, or everything to the end. */
  async receive(bytes?: number, socket = "main"): Promise<Received> {
    return this.#ok({ do: "receive", socket, ...(bytes === undefined ? {} : { bytes }) });
  }

  /** Sends so many bytes with no newline among them, until it is refused. */
  async flood(bytes: number): Promise<{ sent: number; error: string | null }> {
    return this.#do({ do: "flood", socket: "main", bytes });
  }

  /** Closes with a reset (SO_LINGER of zero). */
  async reset(options: { socket?: string; names?: string[] } = {}): Promise<void> {
    await this.#ok({ do: "reset", socket: "main", ...options });
  }

  async close(options: { socket?: string; names?: string[] } = {}): Promise<void> {
    await this.#ok({ do: "close", socket: "main", ...options });
  }

  async #ok<T>(command: Record<string, unknown>): Promise<T> {
    const answer = await this.#do<T & { error?: string }>(command);
    if (typeof answer.error === "string") throw new Error(`${command.do} failed: ${answer.error}`);
    return answer;
  }

  #do<T>(command: Record<string, unknown>): Promise<T> {
    this.child.say(JSON.stringify(command));
    return this.child.json<T>(2 * PATIENCE);
  }
}

/** Bytes travel as their hexadecimal digits, under the name that says so. */
function plain(values: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) =>
      Buffer.isBuffer(value) ? [`${name}Hex`, value.toString("hex")] : [name, value],
    ),
  );
}
