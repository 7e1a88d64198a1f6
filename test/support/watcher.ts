import { type CloseReason, WatchedDescriptor } from "eventmachine";

/** What a test wants to happen in a watch's callbacks, beside the recording. */
export interface WatchScript {
  postInit?(me: Watcher): unknown;
  notifyReadable?(me: Watcher): unknown;
  notifyWritable?(me: Watcher): unknown;
  shutdownRequested?(me: Watcher): unknown;
  unbind?(me: Watcher, reason: CloseReason): unknown;
  onError?(me: Watcher, error: unknown): unknown;
}

/** A watch that counts what it is told, and notes the order of its callbacks. */
export class Watcher extends WatchedDescriptor {
  readonly log: string[] = [];
  readonly reasons: CloseReason[] = [];
  readonly script: WatchScript;
  readable = 0;
  writable = 0;

  constructor(script: WatchScript = {}) {
    super();
    this.script = script;
  }

  override postInit(): unknown {
    this.log.push("postInit");
    return this.script.postInit?.(this);
  }

  override notifyReadable(): unknown {
    if (this.readable++ === 0) this.log.push("notifyReadable");
    return this.script.notifyReadable?.(this);
  }

  override notifyWritable(): unknown {
    if (this.writable++ === 0) this.log.push("notifyWritable");
    return this.script.notifyWritable?.(this);
  }

  override shutdownRequested(): unknown {
    this.log.push("shutdownRequested");
    return this.script.shutdownRequested?.(this);
  }

  override unbind(reason: CloseReason): unknown {
    this.log.push(`unbind ${reason.kind}`);
    this.reasons.push(reason);
    return this.script.unbind?.(this, reason);
  }

  override onError(error: unknown): unknown {
    this.log.push("onError");
    return this.script.onError?.(this, error) ?? false;
  }
}
