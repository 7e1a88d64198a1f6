/** Listens to signals while a run lasts, and counts them. */
export class SignalWatch {
  readonly #names: readonly NodeJS.Signals[];
  readonly #listener: () => void;

  constructor(names: readonly NodeJS.Signals[], received: (count: number) => void) {
    let count = 0;
    this.#names = names;
    this.#listener = () => received(++count);
    for (const name of names) process.on(name, this.#listener);
  }

  dispose(): void {
    for (const name of this.#names) process.off(name, this.#listener);
  }
}
