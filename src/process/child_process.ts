import type { ExitStatus } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";
import { Connection } from "../connection/connection.js";
import { checkSignalName } from "../options/popen_options.js";
import { Child } from "./child.js";

/**
 * A child process, driven by callbacks: extend it and hand the class to `popen`. A class that needs nothing of what is added here may
 * extend `Connection` as well.
 *
 * Order: constructor, `postInit`, `popen` returns, `connectionCompleted`, `receiveData` and `receiveError`…, `receiveEnd`, `unbind`.
 * `sendData` writes to the standard input, `halfClose` closes that alone; `receiveData` is given the standard output, and `receiveEnd` says
 * that it has ended. `unbind` comes when the process has exited and both outputs have ended, or 5 s after the exit where a process of its
 * own still has them open; its reason is `exited`, with the status. A program that could not be run ends with `exec-failed`.
 *
 * `closeConnection` asks the process to end (SIGTERM) and kills it when it has not within `killDelay`; `closeConnectionAfterWriting` closes the
 * standard input behind what was sent and does so when `lingerTimeout` has passed; `abort` kills at once. In all of these no more output
 * is delivered, and `unbind` comes when the process has exited; the reason's `exit` tells how.
 */
export class ChildProcess extends Connection {
  /** What the process wrote to its standard error. The order between this and `receiveData` is not known. */
  receiveError(_data: Buffer): unknown {
    return undefined;
  }

  /** The number of the process, also when it has exited; undefined where it could not be run. (get_pid.) */
  get pid(): number | undefined {
    return this.#child("pid").pid;
  }

  /** How it exited; undefined until it has. (get_status, valid only inside of unbind.) */
  get exitStatus(): ExitStatus | undefined {
    return this.#child("exitStatus").exit;
  }

  /**
   * Sends it a signal, with `processGroup` to its whole group. Returns false where it has exited, or was never run.
   *
   * Throws ArgumentError for what is no signal, SystemError where the system forbids it.
   */
  kill(signal: NodeJS.Signals = "SIGTERM"): boolean {
    const child = this.#child("kill");
    return child.signal(checkSignalName(signal, "signal"));
  }

  #child(method: string): Child {
    const life = Connection.lifeOf(this);
    if (life.isStream && life.home instanceof Child) return life.home;
    throw new StateError(
      "ERR_EM_NOT_A_CHILD_PROCESS",
      `${method} is for child processes, and this connection was not made by popen`,
    );
  }
}

/** Whether a handler has a `receiveError` of its own. */
export function receivesErrors(connection: Connection): boolean {
  const { receiveError } = connection as { receiveError?: unknown };
  return receiveError !== undefined && receiveError !== ChildProcess.prototype.receiveError;
}
