import type { X509Certificate } from "node:crypto";
import type { CloseReason, CloseReasonKind, DeadlineName } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";
import { READ_QUOTA } from "../base/limits.js";
import { endable, type PromiseResolvers } from "../base/resolvers.js";
import type { TlsInfo, TlsVerdict } from "../tls/tls_info.js";
import type { ConnectionCallbacks } from "./connection_callbacks.js";
import type { StreamPort } from "./stream_port.js";

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * What `for await (const chunk of connection)` reads with. It stands in the connection's place at its port, holds
 * a turn's worth of data at most, and pauses the connection in between: a slow loop makes a slow peer.
 */
export class ChunkReader implements ConnectionCallbacks, AsyncIterableIterator<Buffer, undefined> {
  readonly #port: StreamPort;
  readonly #owner: ConnectionCallbacks;
  /** Whether the peer's end leaves the connection open for writing. */
  readonly #staysOpen: boolean;
  readonly #chunks: Buffer[] = [];
  #held = 0;
  readonly #waiting: PromiseResolvers<IteratorResult<Buffer, undefined>>[] = [];
  /** Nothing more will come: how it ended, to be reported once; an error, or undefined for an end in order. */
  #end: { error: unknown } | undefined;

  constructor(owner: ConnectionCallbacks, port: StreamPort, staysOpen = port.allowsHalfOpen) {
    this.#owner = owner;
    this.#port = port;
    this.#staysOpen = staysOpen;
    port.claim(this);
    port.pause();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // What the loop asks -----------------------------------------------------------------------------------------------

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#held -= chunk.length;
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#end !== undefined) return this.#ended(this.#end.error);
    const turn = endable<IteratorResult<Buffer, undefined>>();
    this.#waiting.push(turn);
    this.#port.resume();
    return turn.promise;
  }

  /** The loop was left: the connection closes when what was sent has gone. */
  return(): Promise<IteratorReturnResult<undefined>> {
    this.#chunks.length = 0;
    this.#end = { error: undefined };
    this.#port.finish();
    for (const turn of this.#waiting.splice(0)) turn.resolve(DONE);
    return Promise.resolve(DONE);
  }

  /** An error is reported once; with the peer's end the connection ends after what was sent, as it would without a loop. */
  #ended(error: unknown): Promise<IteratorReturnResult<undefined>> {
    this.#end = { error: undefined };
    if (error !== undefined) {
      const failed = endable<never>();
      failed.reject(error);
      return failed.promise;
    }
    // In the next turn: what is sent right after the loop still belongs to the answer.
    if (!this.#staysOpen) this.#port.ownTick({ onTick: () => this.#port.halfClose() });
    return Promise.resolve(DONE);
  }

  #finish(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    for (const turn of this.#waiting.splice(0)) this.#ended(this.#end.error).then(turn.resolve, turn.reject);
  }

  // What the connection reports ----------------------------------------------------------------------------------------

  postInit(): void {}

  connectionCompleted(): unknown {
    return this.#owner.connectionCompleted();
  }

  receiveData(data: Buffer): void {
    const turn = this.#waiting.shift();
    if (turn !== undefined) {
      turn.resolve({ done: false, value: data });
      return;
    }
    this.#chunks.push(data);
    this.#held += data.length;
    if (this.#held >= READ_QUOTA) this.#port.pause();
  }

  receiveEnd(): void {
    this.#finish(undefined);
  }

  drained(): unknown {
    return this.#owner.drained();
  }

  sslVerifyPeer(certificate: X509Certificate, verdict: TlsVerdict): boolean | PromiseLike<boolean> {
    return this.#owner.sslVerifyPeer(certificate, verdict);
  }

  sslHandshakeCompleted(info: TlsInfo): unknown {
    return this.#owner.sslHandshakeCompleted(info);
  }

  shutdownRequested(): unknown {
    return this.#owner.shutdownRequested();
  }

  deadlineReached(name: DeadlineName): unknown {
    return this.#owner.deadlineReached(name);
  }

  isIdle(): unknown {
    return this.#owner.isIdle();
  }

  unbind(reason: CloseReason): unknown {
    this.#finish(this.#port.asEnd(failureOf(reason)));
    return this.#owner.unbind(reason);
  }

  onError(error: unknown): unknown {
    return this.#owner.onError(error);
  }
}

/** The ends that are no failures: by the peer, or by the program itself. */
const ENDS: ReadonlySet<CloseReasonKind> = new Set(["peer-closed", "exited", "local-close", "local-abort"]);

/** What a loop over a connection ends with: nothing where the peer, or the program itself, closed it. */
export function failureOf(reason: CloseReason): unknown {
  if ("error" in reason) return reason.error;
  if (ENDS.has(reason.kind)) return undefined;
  return new StateError("ERR_EM_CLOSED", `the connection ended (${reason.kind}) before its peer had ended it`);
}
