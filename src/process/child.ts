import { type ChildProcess as NodeChild, spawn } from "node:child_process";
import { statSync } from "node:fs";
import type { CloseReason, ExitStatus } from "../base/close_reason.js";
import { isCode } from "../base/error_code.js";
import { LimitError, UnsupportedError } from "../base/errors.js";
import { KILL_WAIT, OUTPUT_HELD_LIMIT } from "../base/limits.js";
import { SystemError } from "../base/system_error.js";
import type { Origin, Pending } from "../connection/origin.js";
import * as reasons from "../connection/reasons.js";
import type { Transport } from "../connection/transport.js";
import type { Core } from "../core/core.js";
import type { Endpoint } from "../core/endpoint.js";
import { State } from "../core/stream_port.js";
import type { ProcessEnd, TransportHome } from "../core/transport_home.js";
import type { StreamEngine } from "../engine/engine.js";
import { ONLY } from "../engine/node/duplex_engine.js";
import { Ended, type Handle } from "../engine/streams.js";
import type { PopenSettings } from "../options/popen_options.js";
import type { Timer } from "../timers/timer.js";
import { ChildEngine, type ChildStreams, type EngineOwner } from "./child_engine.js";
import { ChildStdio } from "./child_stdio.js";
import { Countdown } from "./countdown.js";

/**
 * A child process as the home of one transport. It ends when the process has exited and its outputs have ended; where the program ends
 * it first, it is asked to by a signal, killed when it has not within its time, and the connection ends when it has exited.
 */
export class Child implements TransportHome, Origin, Pending, EngineOwner, ProcessEnd {
  readonly accepts = true;
  readonly handshakes = undefined;
  readonly tlsRole = undefined;
  readonly peer = undefined;
  readonly sharedLocalAddress = undefined;
  readonly sharedRemoteAddress = undefined;
  readonly core: Core;
  readonly #settings: PopenSettings;
  #child: NodeChild | undefined;
  /** Between `run` and `start`. */
  #streams: ChildStreams | undefined;
  #engine: ChildEngine | undefined;
  #transport: Transport | undefined;
  #exit: ExitStatus | undefined;
  #outputEnded = false;
  #errorsEnded = false;
  #outputHeld = false;
  #received = 0;
  #held: Countdown | undefined;
  #killTimer: Timer | undefined;
  #isLookDue = false;
  #isOver = false;

  constructor(core: Core, settings: PopenSettings) {
    this.core = core;
    this.#settings = settings;
  }

  /** Runs the program. What the system says against it ends the transport, in a later turn; anything else throws. */
  run(receivesErrors: boolean): void {
    const { errorOutput = receivesErrors ? "receive" : "inherit" } = this.#settings;
    this.#streams = this.#spawn(errorOutput);
  }

  /** The connection to what `run` has run. */
  start(transport: Transport): void {
    const { life } = this.#settings;
    this.#transport = transport;
    this.core.members.add(transport);
    this.core.foreign.transports.add(transport);
    const streams = this.#streams;
    this.#streams = undefined;
    if (streams === undefined) return;
    this.#errorsEnded = streams.errors === null;
    this.#engine = new ChildEngine(streams, life, this.core.foreign.turn, this);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get exit(): ExitStatus | undefined {
    return this.#exit;
  }

  /** Sends it, or its process group, a signal. False: it has exited, or was never run. */
  signal(signal: NodeJS.Signals): boolean {
    const { pid } = this;
    // What has been reaped has no number any more: another process may have it.
    if (pid === undefined || this.#exit !== undefined) return false;
    try {
      return process.kill(this.#settings.processGroup ? -pid : pid, signal);
    } catch (error) {
      if (!isSystems(error) || error.code === "ESRCH") return false;
      throw new SystemError(error.errno, "kill", { cause: error });
    }
  }

  // Running and exiting ----------------------------------------------------------------------------------------------

  #spawn(errorOutput: "receive" | "inherit" | "ignore"): ChildStreams | undefined {
    const { words, shell, cwd, env, processGroup } = this.#settings;
    const [program, ...args] = shell ? ["/bin/sh", "-c", words[0]] : words;
    let stdio: ChildStdio | undefined;
    try {
      stdio = new ChildStdio(this.core.engine, errorOutput);
      const child = spawn(program as string, args, {
        stdio: stdio.ofChild,
        detached: processGroup,
        ...(cwd === undefined ? {} : { cwd }),
        ...(env === undefined ? {} : { env }),
      });
      this.#child = child;
      child.on("exit", (code, signal) => this.#exited(code, signal));
      // Later ones are of signals that could not be sent.
      child.on("error", (error) => {
        if (child.pid === undefined) this.#notRun(error);
      });
      // The reactor keeps the process alive, as long as it wants to.
      child.unref();
      return child.pid === undefined ? undefined : stdio.streams(child);
    } catch (error) {
      if (!isSystems(error)) throw error;
      this.#notRun(error);
      return undefined;
    } finally {
      stdio?.close();
    }
  }

  #notRun(cause: Error): void {
    const { words, shell, cwd } = this.#settings;
    const error = execError(cause, shell ? "/bin/sh" : words[0], cwd);
    this.core.foreign.turn.defer(() => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#transport?.failed({ kind: "exec-failed", error });
      this.core.checkIdle();
    });
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    this.#exit = Object.freeze({ code: code ?? undefined, signal: signal ?? undefined, isSuccess: code === 0 });
    // What the leader of a group that is being ended has left behind is not its own any more.
    if (this.#killTimer !== undefined) this.#killGroup();
    this.changed();
  }

  #killGroup(): void {
    const { pid } = this;
    if (!this.#settings.processGroup || pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Nobody is left in it.
    }
  }

  terminate(): void {
    if (this.#killTimer !== undefined || this.#isOver) return;
    this.#trySignal(this.#settings.terminationSignal);
    this.#killTimer = this.core.addTimer(this.#settings.killDelay, () => this.#killNow());
  }

  kill(): void {
    this.#killTimer?.cancel();
    if (!this.#isOver) this.#killNow();
  }

  #killNow(): void {
    this.#trySignal("SIGKILL");
    this.#killTimer = this.core.addTimer(KILL_WAIT, () => this.#over());
  }

  /** A process that may not be signalled any more is waited for all the same. */
  #trySignal(signal: NodeJS.Signals): void {
    try {
      this.signal(signal);
    } catch {}
  }

  // The end ----------------------------------------------------------------------------------------------------------

  changed(): void {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    this.core.foreign.turn.defer(() => this.#look());
  }

  #look(): void {
    this.#isLookDue = false;
    const engine = this.#engine;
    if (this.#exit === undefined || engine === undefined || this.#isOver) return;
    const isDelivered = this.#outputEnded && this.#errorsEnded;
    if (isDelivered || engine.isDiscarding || (engine.isHalted && engine.isDry)) {
      this.#over();
      return;
    }
    this.#held ??= new Countdown(this.core, OUTPUT_HELD_LIMIT, () => {
      this.#outputHeld = true;
      this.#over();
    });
    if (engine.isHalted) this.#held.halt();
    else this.#held.go();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#held?.halt();
    this.#killTimer?.cancel();
    this.#engine?.release();
    const transport = this.#transport as Transport;
    if (transport.wasOpened) transport.onClosed(ONLY, Ended.peer, 0, "");
    else transport.failed(reasons.PEER_CLOSED);
    this.core.checkIdle();
  }

  describe(reason: CloseReason): CloseReason {
    const exit = this.#exit;
    if (exit === undefined) return reason;
    return reason.kind === "peer-closed" ? { kind: "exited", exit, outputHeld: this.#outputHeld } : { ...reason, exit };
  }

  // The origin -------------------------------------------------------------------------------------------------------

  get pending(): this {
    return this;
  }

  /** It was ended before its connection was told that it runs. */
  cancel(how: "close" | "abort"): void {
    this.#engine?.[how]();
  }

  calledOff(): undefined {
    return undefined;
  }

  ended(): void {
    this.core.members.delete(this.#transport as Transport);
    this.core.foreign.transports.delete(this.#transport as Transport);
  }

  // What the pipes tell ------------------------------------------------------------------------------------------------

  connected(): void {
    if (this.#transport?.state === State.connecting) this.#transport.connected(ONLY);
  }

  data(_handle: Handle, chunk: Buffer, start: number, end: number): void {
    this.#transport?.onData(chunk, start, end);
    this.#count(chunk);
  }

  onErrorOutput(chunk: Buffer): void {
    const transport = this.#transport as Transport;
    if (transport.state !== State.open) return;
    const { connection } = transport;
    transport.call(() => connection.receiveError?.(chunk));
    this.#count(chunk);
  }

  #count(chunk: Buffer): void {
    const { outputLimit } = this.#settings;
    this.#received += chunk.length;
    if (this.#received <= outputLimit) return;
    const message = `the child process put out more than ${outputLimit} bytes`;
    const error = new LimitError("ERR_EM_OUTPUT_LIMIT", message, outputLimit);
    this.#transport?.end({ kind: "output-limit", error });
  }

  end(): void {
    this.#transport?.onEnd();
    this.#outputEnded = true;
    this.changed();
  }

  onErrorOutputEnd(): void {
    this.#errorsEnded = true;
    this.changed();
  }

  writable(): void {
    this.#transport?.onWritable();
  }

  fileSent(): void {
    this.#transport?.onFileSent();
  }

  readerLeft(): void {
    this.#transport?.readerLeft();
  }

  /** Of the pipes: by the end of this, or because a file that was to be sent could not be read. */
  closed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    if (this.#isOver || ended === Ended.local || ended === Ended.peer) return;
    const failure = reasons.systemFailure(errno, syscall);
    this.#transport?.end(ended === Ended.fileTruncated ? reasons.fileTruncated() : failure);
  }

  // What carries the transport ---------------------------------------------------------------------------------------

  get process(): ProcessEnd {
    return this;
  }

  get engine(): StreamEngine {
    return this.#engine as ChildEngine;
  }

  get tlsContexts(): never {
    throw new UnsupportedError("tls", "process");
  }

  /** No handle of an engine does. */
  carries(): void {}

  endpoints(): Endpoint[] {
    return [...this.core.foreign.transports];
  }

  forget(): void {}
}

function isSystems(error: unknown): error is Error & { errno: number; code: string } {
  const { errno, code } = Object(error) as { errno?: unknown; code?: unknown };
  return typeof errno === "number" && errno < 0 && isCode(code);
}

/** A folder that cannot be entered fails the program as if it were the program. */
function execError(cause: Error, program: string, cwd: string | undefined): SystemError {
  const refusal = cwd === undefined ? undefined : folderRefusal(cwd);
  if (refusal !== undefined) return new SystemError(refusal, "chdir", { address: cwd as string, cause });
  return new SystemError(isSystems(cause) ? cause.errno : -1, "execve", { address: program, cause });
}

/** The errno of what keeps this process out of a folder. */
function folderRefusal(path: string): number | undefined {
  try {
    // To look at what is in it takes the right to enter it.
    statSync(`${path}/.`);
    return undefined;
  } catch (error) {
    return isSystems(error) ? error.errno : undefined;
  }
}
