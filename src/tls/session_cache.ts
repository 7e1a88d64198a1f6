import { MAX_TLS_SESSION_SIZE } from "../base/limits.js";

/** A session that can be resumed, and who the server was when it began: a resumed handshake shows no certificate. */
export interface KeptSession {
  readonly session: Buffer;
  /** DER, the leaf first. */
  readonly certificates: readonly Buffer[];
}

/** Sessions that a client may resume, the last one of each server; the one longest unused goes first. */
export class SessionCache {
  readonly #limit: number;
  readonly #sessions = new Map<string, KeptSession>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get(server: string): KeptSession | undefined {
    const kept = this.#sessions.get(server);
    if (kept !== undefined) this.#touch(server, kept);
    return kept;
  }

  put(server: string, kept: KeptSession): void {
    const size = kept.certificates.reduce((sum, { length }) => sum + length, kept.session.length);
    if (this.#limit === 0 || size > MAX_TLS_SESSION_SIZE) return;
    this.#touch(server, kept);
    if (this.#sessions.size <= this.#limit) return;
    for (const oldest of this.#sessions.keys()) {
      this.#sessions.delete(oldest);
      return;
    }
  }

  /** A handshake with it failed: the next one is made without. */
  forget(server: string): void {
    this.#sessions.delete(server);
  }

  /** The order of a Map is the order of insertion: what is put in again is the youngest. */
  #touch(server: string, kept: KeptSession): void {
    this.#sessions.delete(server);
    this.#sessions.set(server, kept);
  }
}
