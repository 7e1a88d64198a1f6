import type { CloseReason, ExitStatus } from "../base/close_reason.js";
import { EventMachineError, StateError } from "../base/errors.js";
import { stopped } from "../base/stopped.js";
import type { SystemSettings } from "../options/popen_options.js";
import { ChildProcess } from "./child_process.js";
import { Gathered } from "./gathered.js";

/** What a command came to. */
export interface SystemResult {
  /** What it put out. */
  output: Buffer;
  /** What it wrote to its standard error. */
  errorOutput: Buffer;
  /** How it exited. */
  status: ExitStatus;
  /** False where a process of its own still had its outputs open 5 s after the exit: there may be more. */
  isComplete: boolean;
}

/** Who waits for a command. */
export interface CommandWaiter {
  accept(result: SystemResult): void;
  refuse(error: unknown): void;
}

/** A command that is run for what it puts out. */
export class CommandChild extends ChildProcess {
  readonly #settings: SystemSettings;
  readonly #waiter: CommandWaiter;
  readonly #reactor: object;
  readonly #gathered = new Gathered();
  readonly #abort = (): void => this.closeConnection();

  constructor(settings: SystemSettings, reactor: object, waiter: CommandWaiter) {
    super();
    this.#settings = settings;
    this.#reactor = reactor;
    this.#waiter = waiter;
  }

  override postInit(): void {
    const { input, timeout, signal } = this.#settings;
    if (input !== undefined) this.sendData(input);
    this.halfClose();
    if (timeout > 0) this.lifetimeTimeout = timeout;
    signal?.addEventListener("abort", this.#abort);
  }

  override receiveData(data: Buffer): void {
    this.#gathered.add(data);
  }

  override receiveError(data: Buffer): void {
    this.#gathered.addError(data);
  }

  override unbind(reason: CloseReason): void {
    const { signal } = this.#settings;
    signal?.removeEventListener("abort", this.#abort);
    if (reason.kind !== "exited") {
      this.#waiter.refuse(this.#failure(reason));
      return;
    }
    const { output, errorOutput } = this.#gathered;
    this.#waiter.accept({ output, errorOutput, status: reason.exit, isComplete: !reason.outputHeld });
  }

  #failure(reason: CloseReason): unknown {
    const { popen, timeout, signal } = this.#settings;
    const [program] = popen.words;
    switch (reason.kind) {
      case "timeout":
        return new EventMachineError("ERR_EM_TIMEOUT", `${program} had not ended within ${timeout} ms`);
      case "local-close":
        return signal?.reason;
      case "stop":
      case "drain-deadline":
        return stopped(this.#reactor, `the reactor stopped, or its drain was over, before ${program} had exited`);
      default:
        return "error" in reason
          ? reason.error
          : new StateError("ERR_EM_CLOSED", `${program} was ended (${reason.kind})`);
    }
  }
}
