import { type CloseReason, FileTail, FileWatch, type FileWatchTarget } from "eventmachine";
import type { Trial } from "./trial.js";

/** A watch that notes what it is told. */
export class WatchRecorder extends FileWatch {
  readonly log: string[] = [];
  readonly reasons: CloseReason[] = [];
  readonly react: ((me: WatchRecorder, what: string) => unknown) | undefined;

  constructor(react?: (me: WatchRecorder, what: string) => unknown) {
    super();
    this.react = react;
  }

  override postInit(): unknown {
    return this.#note("postInit");
  }
  override fileModified(name?: string): unknown {
    return this.#note("modified", name);
  }
  override fileAttributesChanged(name?: string): unknown {
    return this.#note("attributes", name);
  }
  override fileCreated(name?: string): unknown {
    return this.#note("created", name);
  }
  override fileMoved(name?: string, from?: string): unknown {
    return this.#note("moved", name, from);
  }
  override fileDeleted(name?: string): unknown {
    return this.#note("deleted", name);
  }
  override unbind(reason: CloseReason): unknown {
    this.reasons.push(reason);
    return this.#note(`unbind ${reason.kind}`);
  }

  #note(...what: (string | undefined)[]): unknown {
    const entry = what.filter((each) => each !== undefined).join(" ");
    this.log.push(entry);
    return this.react?.(this, entry);
  }

  /** What was told, and forgets it. */
  take(): string[] {
    return this.log.splice(0);
  }
}

export function watchFile(trial: Trial, path: string | FileWatchTarget): WatchRecorder {
  const watch = trial.reactor.watchFile(path, WatchRecorder);
  watch.take();
  return watch;
}

/** A tail that notes its lines. */
export class TailRecorder extends FileTail {
  readonly lines: string[] = [];
  readonly paths: string[] = [];
  readonly failures: string[] = [];
  readonly errors: unknown[] = [];
  readonly reasons: CloseReason[] = [];
  readonly react: ((me: TailRecorder, line: string) => unknown) | undefined;

  constructor(react?: (me: TailRecorder, line: string) => unknown) {
    super();
    this.react = react;
  }

  override receiveLine(line: string, path: string): unknown {
    this.lines.push(line);
    this.paths.push(path);
    return this.react?.(this, line);
  }

  override fileFailed(error: Error, path: string): unknown {
    this.failures.push(`${(error as { code?: string }).code} ${path}`);
    return undefined;
  }

  override unbind(reason: CloseReason): unknown {
    this.reasons.push(reason);
    return undefined;
  }

  override onError(error: unknown): unknown {
    this.errors.push(error);
    return true;
  }

  take(): string[] {
    this.paths.length = 0;
    return this.lines.splice(0);
  }
}
