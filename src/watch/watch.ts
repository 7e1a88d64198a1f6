import type { CloseReason } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";
import { LOCAL_CLOSE } from "../connection/reasons.js";
import type { WatchLife } from "./watch_life.js";

/** What a watch of files and a watch of a process have in common: how it begins, fails and ends. */
export abstract class Watch {
  #life: WatchLife | undefined;

  /** The watch has begun. */
  postInit(): unknown {
    return undefined;
  }

  /**
   * The watch has ended: by `stopWatching` (`local-close`), the reactor's stop, or a callback that threw (`handler-error`). That of a process also by its exit
   * (`exited`), that of files also because nothing is left to watch (`system-error`: the folder, or the file's folder, is gone).
   */
  unbind(_reason: CloseReason): unknown {
    return undefined;
  }

  /** A callback of this watch threw, or its promise was rejected: as `Connection.onError`. */
  onError(_error: unknown): unknown {
    return false;
  }

  /** Whether it has not ended. */
  get isWatching(): boolean {
    return this.#life?.isOver === false;
  }

  /** Why it has ended; undefined until then. */
  get closeReason(): CloseReason | undefined {
    return this.#life?.reason;
  }

  /** Ends the watch: nothing more is reported, and `unbind` follows. What is watched goes on. Harmless where it has ended. (stop_watching.) */
  stopWatching(): void {
    if (this.#life === undefined) {
      throw new StateError("ERR_EM_NOT_ATTACHED", "the watch has not begun yet (use postInit)");
    }
    this.#life.end(LOCAL_CLOSE);
  }

  /** @internal */
  static begins(watch: Watch, life: WatchLife): void {
    watch.#life = life;
  }
}
