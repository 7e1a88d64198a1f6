import { closeSync } from "node:fs";
import { checkInteger } from "../base/checks.js";
import type { CloseReason, ExitStatus } from "../base/close_reason.js";
import { Life } from "../connection/life.js";
import { STOPPED, systemFailure } from "../connection/reasons.js";
import type { Core } from "../core/core.js";
import { Endpoint } from "../core/endpoint.js";
import type { ProcessEnd } from "../core/transport_home.js";
import type { Ended, Handle } from "../engine/streams.js";
import { requireCapability } from "../options/required.js";
import { Watch } from "./watch.js";
import { WatchLife } from "./watch_life.js";

/**
 * A watch of a process, of whoever's it is: extend it, override `processExited`, and hand the class to `watchProcess`. It means the process that has the
 * number when the watch begins, and no later one. (EventMachine::ProcessWatch, which needs kqueue.)
 */
export class ProcessWatch extends Watch {
  #pid = 0;

  // Callbacks ----------------------------------------------------------------------------------------------------

  /**
   * The process has exited; `unbind` follows. Of a child of this process `status` says how, unless somebody else has waited for it before; of others `code` and
   * `signal` are both undefined. (process_exited.)
   */
  processExited(_status: ExitStatus): unknown {
    return undefined;
  }

  // State --------------------------------------------------------------------------------------------------------

  /** The number of the process; 0 in the constructor. (pid.) */
  get pid(): number {
    return this.#pid;
  }

  /** @internal Begins; throws SystemError where there is no such process. */
  static begin(watch: ProcessWatch, core: Core, pid: number): void {
    const descriptor = new ProcessDescriptor(core, pid);
    watch.#pid = pid;
    const life = new WatchLife(core, watch, () => descriptor.release());
    Watch.begins(watch, life);
    descriptor.exited = (status) => {
      life.call(() => watch.processExited(status));
      life.end({ kind: "exited", exit: status, outputHeld: false });
    };
    descriptor.failed = (reason) => life.end(reason);
    if (!core.isAccepting) life.end(STOPPED);
    else life.call(() => watch.postInit());
  }
}

/** Checks what `watchProcess` is given. */
export function checkProcess(core: Core, pid: unknown): number {
  checkInteger(pid, "pid", 1);
  requireCapability(core.engine, "processWatch");
  return pid as number;
}

/** The descriptor of a process, watched by the engine. */
class ProcessDescriptor extends Endpoint {
  exited: (status: ExitStatus) => void = () => {};
  failed: (reason: CloseReason) => void = () => {};
  readonly #core: Core;
  readonly #fd: number;
  readonly #handle: Handle;
  /** Where the reactor runs the process itself, it is told of the exit by Node, which may wait for it first. */
  readonly #child: ProcessEnd | undefined;

  constructor(core: Core, pid: number) {
    super();
    this.#core = core;
    this.#child = childOf(core, pid);
    this.#fd = core.engine.openProcess(pid);
    try {
      this.#handle = core.engine.watch(this.#fd, { readable: true, writable: false });
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
    core.register(this.#handle, this);
  }

  release(): void {
    this.#core.forget(this.#handle);
    this.#core.engine.close(this.#handle);
    closeSync(this.#fd);
  }

  override onReady(): void {
    const found = this.#core.engine.processExit(this.#fd) ?? this.#child?.exit;
    const { code, signal } = found ?? { code: undefined, signal: undefined };
    this.exited(Object.freeze({ code, signal, isSuccess: code === 0 }));
  }

  override onClosed(_handle: Handle, _ended: Ended, errno: number, syscall: string): void {
    this.failed(errno === 0 ? STOPPED : systemFailure(errno, syscall));
  }
}

function childOf(core: Core, pid: number): ProcessEnd | undefined {
  for (const endpoint of core.foreign.transports) {
    const child = endpoint instanceof Life ? endpoint.home.process : undefined;
    if (child?.pid === pid) return child;
  }
  return undefined;
}
