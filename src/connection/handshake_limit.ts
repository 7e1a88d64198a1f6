/** A TLS handshake that a server has begun and not finished. */
export interface Unfinished {
  /** Others have come since, and too many. */
  giveWay(limit: number): void;
}

/**
 * How many handshakes of one listener may be unfinished: above it the oldest gives way to the newest. Whoever means it is through
 * in two round trips; a flood of peers that never finish pushes itself out.
 */
export class HandshakeLimit {
  readonly #limit: number;
  readonly #unfinished = new Set<Unfinished>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  begin(handshake: Unfinished): void {
    this.#unfinished.add(handshake);
    if (this.#unfinished.size <= this.#limit) return;
    for (const oldest of this.#unfinished) {
      this.#unfinished.delete(oldest);
      oldest.giveWay(this.#limit);
      return;
    }
  }

  /** Finished, one way or the other. Twice is once. */
  end(handshake: Unfinished): void {
    this.#unfinished.delete(handshake);
  }
}
