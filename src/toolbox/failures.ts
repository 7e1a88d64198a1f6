/**
 * What callbacks threw while all of them were served: one that throws keeps the others from nothing, and is heard of when
 * they are through.
 */
export class Failures {
  readonly #errors: unknown[] = [];

  add(error: unknown): this {
    this.#errors.push(error);
    return this;
  }

  get isEmpty(): boolean {
    return this.#errors.length === 0;
  }

  /** Throws what was thrown; where that was several errors, an AggregateError of them. */
  rethrow(): never {
    if (this.#errors.length === 1) throw this.#errors[0];
    throw new AggregateError(this.#errors, `${this.#errors.length} callbacks threw`);
  }
}
