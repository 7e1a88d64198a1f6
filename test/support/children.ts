import { ChildProcess, type CloseReason, type Command, type PopenOptions } from "eventmachine";
import type { Trial } from "./trial.js";

/** What a test wants to happen in a child's callbacks, beside the recording. */
export interface ChildScript {
  postInit?(me: ChildRecorder): unknown;
  connectionCompleted?(me: ChildRecorder): unknown;
  receiveData?(me: ChildRecorder, data: Buffer): unknown;
  receiveError?(me: ChildRecorder, data: Buffer): unknown;
  receiveEnd?(me: ChildRecorder): unknown;
  drained?(me: ChildRecorder): unknown;
  shutdownRequested?(me: ChildRecorder): unknown;
  deadlineReached?(me: ChildRecorder, name: string): unknown;
  unbind?(me: ChildRecorder, reason: CloseReason): unknown;
  onError?(me: ChildRecorder, error: unknown): unknown;
  /** Keep what was received. Default true. */
  keep?: boolean;
}

/** A child process that notes what comes, and the order of its callbacks. */
export class ChildRecorder extends ChildProcess {
  readonly log: string[] = [];
  readonly chunks: Buffer[] = [];
  readonly errorChunks: Buffer[] = [];
  readonly reasons: CloseReason[] = [];
  readonly script: ChildScript;

  constructor(script: ChildScript = {}) {
    super();
    this.script = script;
  }

  /** The log with runs of one callback as one. */
  get order(): string[] {
    return this.log.filter((entry, at) => entry !== this.log[at - 1]);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  get errorText(): string {
    return Buffer.concat(this.errorChunks).toString();
  }

  get kind(): string | undefined {
    return this.reasons.at(-1)?.kind;
  }

  override postInit(): unknown {
    this.log.push("postInit");
    return this.script.postInit?.(this);
  }

  override connectionCompleted(): unknown {
    this.log.push("connectionCompleted");
    return this.script.connectionCompleted?.(this);
  }

  override receiveData(data: Buffer): unknown {
    this.log.push("receiveData");
    if (this.script.keep !== false) this.chunks.push(data);
    return this.script.receiveData?.(this, data);
  }

  override receiveError(data: Buffer): unknown {
    this.log.push("receiveError");
    if (this.script.keep !== false) this.errorChunks.push(data);
    return this.script.receiveError?.(this, data);
  }

  override receiveEnd(): unknown {
    this.log.push("receiveEnd");
    return this.script.receiveEnd?.(this);
  }

  override drained(): unknown {
    this.log.push("drained");
    return this.script.drained?.(this);
  }

  override shutdownRequested(): unknown {
    this.log.push("shutdownRequested");
    return this.script.shutdownRequested?.(this);
  }

  override deadlineReached(name: Parameters<ChildProcess["deadlineReached"]>[0]): unknown {
    this.log.push(`deadlineReached ${name}`);
    return this.script.deadlineReached?.(this, name) ?? false;
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

/** Runs a program under a recorder. */
export function popen(
  trial: Trial,
  command: Command,
  script: ChildScript = {},
  options: PopenOptions = {},
): ChildRecorder {
  return trial.reactor.popen({ command, ...options }, ChildRecorder, script);
}
