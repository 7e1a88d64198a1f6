import type { CloseReason } from "../base/close_reason.js";
import { ExitError, StateError } from "../base/errors.js";
import { COMMAND_OUTPUT_LIMIT } from "../base/limits.js";
import { type Command, type PopenOptions, readCommand } from "../options/popen_options.js";
import { ChildProcess } from "../process/child_process.js";
import { Gathered } from "../process/gathered.js";
import { withDeferrable } from "../toolbox/with_deferrable.js";
import { reactor } from "./default_reactor.js";

/**
 * A child process that is a Deferrable: it succeeds with its output, and fails where it exits with another status than 0 or by a signal
 * (`ExitError` with status and outputs), and where it could not be run, was ended, or put out more than 16 MiB. (DeferrableChildProcess, which
 * succeeded whatever the status was.)
 *
 * ```ts
 * DeferrableChildProcess.open(["git", "rev-parse", "HEAD"])
 *   .callback((output) => console.log(String(output)))
 *   .errback((error) => console.error(error));
 * ```
 */
export class DeferrableChildProcess extends withDeferrable<Buffer, unknown>()(ChildProcess) {
  readonly #program: string;
  readonly #gathered = new Gathered();

  /** `program` is its name in an error's message. */
  constructor(program = "the program") {
    super();
    this.#program = program;
  }

  /** Runs a command on the current reactor, on the terms of `popen`. (DeferrableChildProcess.open.) */
  static open(command: Command | ({ command: Command } & PopenOptions)): DeferrableChildProcess {
    const given = readCommand(command);
    const [program] = [given.command].flat();
    const options = { outputLimit: COMMAND_OUTPUT_LIMIT, ...given };
    return reactor().popen(options, DeferrableChildProcess, String(program));
  }

  override receiveData(data: Buffer): unknown {
    this.#gathered.add(data);
    return undefined;
  }

  override receiveError(data: Buffer): unknown {
    this.#gathered.addError(data);
    return undefined;
  }

  override unbind(reason: CloseReason): unknown {
    const { output, errorOutput } = this.#gathered;
    const status = reason.exit;
    if (status !== undefined && (reason.kind === "exited" || reason.kind === "local-close")) {
      if (status.isSuccess) this.succeed(output);
      else this.fail(new ExitError(this.#program, { status, output, errorOutput }));
    } else if ("error" in reason) {
      this.fail(reason.error);
    } else {
      this.fail(new StateError("ERR_EM_CLOSED", `${this.#program} was ended (${reason.kind})`));
    }
    return undefined;
  }
}
