import { createRequire } from "node:module";
import { join } from "node:path";
import type { Binding } from "../../../src/engine/native/binding.js";
import { type SharedViews, viewShared } from "../../../src/engine/native/ring.js";
import { ROOT } from "../../support/paths.js";

/** The memory that one loop of the native core shares with JavaScript, and the number of the loop. */
export interface Shared {
  readonly loop: number;
  readonly views: SharedViews;
  readonly eventSlab: Uint8Array;
  readonly outSlab: Uint8Array;
  /** Where datagrams are received, by words; undefined before the first socket for them. */
  arena(): Int32Array | undefined;
}

/** The addon that the native engine loads: the same object. */
export function loadBinding(): Binding {
  const path = process.env.EVENTMACHINE_ADDON ?? join(ROOT, "build/Release/eventmachine.node");
  return createRequire(import.meta.url)(path) as Binding;
}

/** Looks over the shoulder of every engine that is started from here on; `undo` ends it. */
export function tapMemory(binding: Binding, onCreate: (shared: Shared) => void): { undo(): void } {
  const { create } = binding;
  binding.create = (...args) => {
    const made = create(...args);
    onCreate(sharedOf(made, binding));
    return made;
  };
  return {
    undo: () => {
      binding.create = create;
    },
  };
}

export function sharedOf([loop, control, eventSlab, outSlab]: ReturnType<Binding["create"]>, binding: Binding): Shared {
  let arena: Int32Array | undefined;
  return {
    loop,
    views: viewShared(control),
    eventSlab: new Uint8Array(eventSlab),
    outSlab: new Uint8Array(outSlab),
    arena() {
      if (arena === undefined) {
        const memory = binding.arena(loop);
        if (memory !== undefined) arena = new Int32Array(memory);
      }
      return arena;
    },
  };
}
