/** A resource of a pool in somebody's hands: `using lease = await pool.acquire()` gives it back with its block. */
export class Lease<R> implements Disposable {
  /** What was borrowed. Not to be used any more once it has been given back. */
  readonly resource: R;
  #giveBack: ((failure: { error: unknown } | undefined) => void) | undefined;

  /** @internal */
  constructor(resource: R, giveBack: (failure: { error: unknown } | undefined) => void) {
    this.resource = resource;
    this.#giveBack = giveBack;
  }

  /** Whether it has been given back. */
  get isReleased(): boolean {
    return this.#giveBack === undefined;
  }

  /** Gives the resource back. Harmless when done before. */
  release(): void {
    const giveBack = this.#giveBack;
    this.#giveBack = undefined;
    giveBack?.(undefined);
  }

  /** Gives it back as one that failed: see `pool.onError`. */
  fail(error: unknown): void {
    const giveBack = this.#giveBack;
    this.#giveBack = undefined;
    giveBack?.({ error });
  }

  /** The same as `release`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
