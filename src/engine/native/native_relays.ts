import type { RelayCommands } from "../relays.js";
import type { Handle } from "../streams.js";
import type { Binding } from "./binding.js";

const MOST_BUFFER = 0xffff_ffff;

/** Relays of one loop, in the addon: spliced where the bytes are in clear on both sides. */
export class NativeRelays implements RelayCommands {
  readonly #native: Binding;
  readonly #loop: number;

  constructor(native: Binding, loop: number) {
    this.#native = native;
    this.#loop = loop;
  }

  startRelay(from: Handle, to: Handle, buffer: number, length: number): boolean {
    const most = Math.min(buffer, MOST_BUFFER);
    return this.#native.startRelay(this.#loop, from, to, most, length === Number.POSITIVE_INFINITY ? 0 : length);
  }

  stopRelay(from: Handle): void {
    this.#native.stopRelay(this.#loop, from);
  }

  relayedBytes(from: Handle): number {
    return this.#native.relayedBytes(this.#loop, from);
  }
}
