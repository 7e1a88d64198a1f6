import type { X509Certificate } from "node:crypto";
import type { CloseReason } from "../base/close_reason.js";
import { TlsError } from "../base/errors.js";
import { receivedName } from "../base/host_names.js";
import { endable, type PromiseResolvers } from "../base/resolvers.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import type { TransportCore, TransportHome } from "../core/transport_home.js";
import { type Handle, NO_HANDLE } from "../engine/streams.js";
import type { TlsFailure, TlsState } from "../engine/tls.js";
import type { Timer } from "../timers/timer.js";
import { ShownCertificates } from "../tls/certificates.js";
import type { KeptSession } from "../tls/session_cache.js";
import { type SelectedContext, TlsContext } from "../tls/tls_context.js";
import { TlsInfo, type TlsVerdict } from "../tls/tls_info.js";
import type { TlsPlan } from "../tls/tls_start.js";
import { trustNumber } from "../tls/trust.js";
import type { Unfinished } from "./handshake_limit.js";
import type { Origin } from "./origin.js";
import * as reasons from "./reasons.js";
import { notSecured } from "./refusals.js";

/** The connection that TLS is on: what carries it, how its user is called, and how it ends. */
export interface TlsOwner {
  readonly core: TransportCore;
  readonly home: TransportHome;
  readonly handle: Handle;
  readonly isOpen: boolean;
  readonly isClosed: boolean;
  readonly reason: CloseReason | undefined;
  readonly receiver: ConnectionCallbacks;
  readonly origin: Origin;
  takeAhead(): Buffer | undefined;
  call<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): void;
  ask<A extends unknown[], R>(
    question: (...args: A) => R | PromiseLike<R>,
    receiver: unknown,
    args: A,
    answered: (answer: R) => void,
    failed: () => void,
  ): void;
  handlerFailed(thrown: unknown): void;
  end(reason: CloseReason): void;
  asEnd<E>(error: E): E;
}

/** Which of TLS's callbacks a connection has of its own: the others are not worth the questions they would cost. */
export interface TlsHooks {
  readonly verifies: boolean;
  readonly completes: boolean;
}

/** TLS on one connection, from `startTls` on: waiting for the connect, in its handshake, secured. */
export class TlsLife implements Unfinished {
  readonly #owner: TlsOwner;
  readonly #plan: TlsPlan;
  readonly #hooks: TlsHooks;
  /** The connection's, from the beginning until `unbind` has returned. */
  #handle: Handle = NO_HANDLE;
  #deadline: Timer | undefined;
  #info: TlsInfo | undefined;
  #securing: PromiseResolvers<TlsInfo> | undefined;
  /** Under which a client's session is kept: that of the trust it began with. */
  #sessionKey = "";
  /** What a client offers to resume. */
  #offered: KeptSession | undefined;
  /** The session that came last, also one that came before the connection was secured. */
  session: Buffer | undefined;
  /** What was wrong with the answer of `sslVerifyPeer`, where it was neither true nor false. */
  #refusal: string | undefined;
  isSecured = false;

  constructor(owner: TlsOwner, plan: TlsPlan, hooks: TlsHooks) {
    this.#owner = owner;
    this.#plan = plan;
    this.#hooks = hooks;
  }

  /** The connection is open: the engine starts TLS after what it has queued. */
  begin(): void {
    const { core, home, handle } = this.#owner;
    const { context, role, serverName, verifyName } = this.#plan;
    const ahead = this.#owner.takeAhead();
    const received = ahead ?? this.#plan.received;
    const { handshakeTimeout, sessions, names, selectContext } = TlsContext.insides(context);
    this.#handle = handle;
    if (role === "client") this.#sessionKey = this.#sessionKeyNow();
    if (role === "client") this.#offered = sessions.get(this.#sessionKey);
    try {
      home.engine.startTls(handle, {
        role,
        context: home.tlsContexts.idFor(context, role),
        serverName,
        verifyName,
        session: this.#offered?.session,
        asksServerName: role === "server" && (names.size > 0 || selectContext !== undefined),
        asksVerify: this.#hooks.verifies,
        received,
      });
    } catch (error) {
      // All of it was checked when it was given. Whatever has become of it since: nothing may go on in clear.
      sessions.forget(this.#sessionKey);
      this.#owner.end({ kind: "tls-error", error: error as TlsError });
      return;
    }
    if (role === "server") this.#owner.origin.handshakes?.begin(this);
    if (handshakeTimeout === 0) return;
    this.#deadline = core.addTimer(handshakeTimeout, () =>
      this.#owner.end(reasons.deadlinePassed("handshake", handshakeTimeout)),
    );
  }

  /** Engines write sessions down in forms of their own. */
  #sessionKeyNow(): string {
    const { trustFor } = TlsContext.insides(this.#plan.context);
    return `${this.#owner.home.engine.name} ${trustNumber(trustFor("client"))} ${this.#plan.sessionKey}`;
  }

  /** What the handshake came to; undefined before it is through, and where nobody asked before `unbind` had returned. */
  get info(): TlsInfo | undefined {
    if (this.#info === undefined && this.isSecured && this.#handle !== NO_HANDLE) {
      const state = this.#owner.home.engine.tlsState(this.#handle);
      if (state !== undefined) this.#info = new TlsInfo(state, this.#certificates(state));
    }
    return this.#info;
  }

  /** A resumed handshake shows no certificate, and not every engine remembers: it is who it was. */
  #certificates(state: TlsState): readonly Buffer[] {
    const { peerCertificates, isSessionReused } = state;
    if (peerCertificates.length > 0 || !isSessionReused) return peerCertificates;
    return this.#offered?.certificates ?? [];
  }

  get isClient(): boolean {
    return this.#plan.role === "client";
  }

  /** Somebody has asked for `secured`. */
  get isAwaited(): boolean {
    return this.#securing !== undefined;
  }

  secured(): Promise<TlsInfo> {
    if (this.#securing === undefined) {
      this.#securing = endable();
      const { reason } = this.#owner;
      if (this.info !== undefined) this.#securing.resolve(this.info);
      else if (this.#owner.isClosed) this.#securing.reject(this.#owner.asEnd(notSecured(reason)));
    }
    return this.#securing.promise;
  }

  // Events -------------------------------------------------------------------------------------------------------

  /** What is no host name counts as none, as it does with nginx: the server's own context answers, and nobody is asked. */
  onServerName(sent: string): void {
    const name = receivedName(sent);
    if (name === undefined) {
      this.#answerName(undefined);
      return;
    }
    const { names, selectContext } = TlsContext.insides(this.#plan.context);
    const found = names.find(name);
    if (found !== undefined || selectContext === undefined) this.#answerName(found);
    else this.#owner.ask(selectContext, undefined, [name], (answer) => this.#answerName(answer), this.#refuseName);
  }

  /** An answer that comes after the end is nobody's: the engine may have stopped by now. */
  #answerName(selected: SelectedContext): void {
    if (this.#owner.isClosed) return;
    const { engine, tlsContexts } = this.#owner.home;
    if (selected === undefined || selected === null) {
      engine.answerServerName(this.#handle, selected === null ? "refuse" : "same");
      return;
    }
    try {
      if (!(selected instanceof TlsContext)) throw notAContext();
      TlsContext.requireNamed(selected, this.#plan.context);
      engine.answerServerName(this.#handle, tlsContexts.idFor(selected, "server"));
    } catch (error) {
      this.#owner.handlerFailed(error);
      this.#refuseName();
    }
  }

  readonly #refuseName = (): void => {
    if (this.#owner.isClosed) return;
    this.#owner.home.engine.answerServerName(this.#handle, "refuse");
  };

  onVerify(): void {
    const { receiver, home } = this.#owner;
    const state = home.engine.tlsState(this.#handle);
    const shown = new ShownCertificates(state?.peerCertificates ?? [], (error) =>
      this.#owner.end({ kind: "tls-error", error }),
    );
    const error = state?.verifyError;
    const verdict: TlsVerdict = {
      isAuthorized: state !== undefined && error === undefined,
      error,
      get chain() {
        return shown.all;
      },
    };
    let leaf: X509Certificate | undefined;
    try {
      leaf = shown.leaf;
    } catch {
      return; // the connection has ended with it
    }
    if (leaf === undefined) this.#answerVerify(false);
    else {
      this.#owner.ask(
        (certificate: X509Certificate) => receiver.sslVerifyPeer(certificate, verdict),
        undefined,
        [leaf],
        (accepts: unknown) => this.#answerVerify(accepts),
        () => this.#answerVerify(false),
      );
    }
  }

  /** True alone accepts: a verdict of any other type is a mistake, a forgotten `return` perhaps, and lets nobody in. */
  #answerVerify(accepts: unknown): void {
    if (this.#owner.isClosed) return;
    if (typeof accepts !== "boolean") {
      const what = accepts === null ? "null" : typeof accepts;
      this.#refusal = `sslVerifyPeer answered with ${what}: true alone accepts a certificate`;
    }
    this.#owner.home.engine.answerVerify(this.#handle, accepts === true);
  }

  giveWay(limit: number): void {
    const message = `the TLS handshake was the oldest of more than ${limit} that were under way`;
    this.#owner.end({ kind: "tls-error", error: new TlsError("ERR_EM_TLS_HANDSHAKE_LIMIT", message) });
  }

  onSecured(): void {
    this.isSecured = true;
    this.#owner.origin.handshakes?.end(this);
    this.#deadline?.cancel();
    if (this.session !== undefined) this.onSession(this.session);
    if (this.#securing !== undefined && this.info !== undefined) this.#securing.resolve(this.info);
    if (!this.#hooks.completes || !this.#owner.isOpen) return;
    const { info } = this;
    if (info !== undefined) this.#owner.call(this.#owner.receiver.sslHandshakeCompleted, info);
  }

  /** Kept once the connection is secured, and only where the certificate holds: to resume it is to trust it again. */
  onSession(session: Buffer): void {
    this.session = session;
    const { info } = this;
    if (info === undefined || info.verifyError !== undefined) return;
    const { sessions } = TlsContext.insides(this.#plan.context);
    sessions.put(this.#sessionKey, { session, certificates: TlsInfo.chain(info) });
  }

  onKeyLog(line: string): void {
    const { keyLog } = TlsContext.insides(this.#plan.context);
    if (keyLog !== undefined) this.#owner.ask(keyLog, undefined, [line], nothing, nothing);
  }

  // Ending -------------------------------------------------------------------------------------------------------

  /** Why TLS ended the connection, while its `closed` is delivered. */
  failure(): CloseReason {
    const { engine } = this.#owner.home;
    if (!this.isSecured) TlsContext.insides(this.#plan.context).sessions.forget(this.#sessionKey);
    const failure = engine.tlsFailure(this.#handle);
    const isOurs = this.#refusal !== undefined && failure.code === "ERR_EM_TLS_VERIFY";
    return { kind: "tls-error", error: tlsError(isOurs ? { ...failure, reason: this.#refusal as string } : failure) };
  }

  /** The peer's end, while `closed` is delivered. */
  peerClosed(): CloseReason {
    if (!this.isSecured) return reasons.PEER_CLOSED;
    return { kind: "peer-closed", truncated: this.#owner.home.engine.tlsTruncated(this.#handle) };
  }

  /** The connection has ended, and `unbind` is about to be called. */
  ended(reason: CloseReason): void {
    this.#owner.origin.handshakes?.end(this);
    this.#deadline?.cancel();
    if (this.#info === undefined) this.#securing?.reject(this.#owner.asEnd(notSecured(reason)));
  }

  /** `unbind` has returned. */
  forget(): void {
    this.#handle = NO_HANDLE;
    const { core, home } = this.#owner;
    if (this.#plan.isOwned && core.isOpen) home.tlsContexts.release(this.#plan.context);
  }
}

const WORDS: Record<string, string> = {
  ERR_EM_TLS_HANDSHAKE: "the TLS handshake failed",
  ERR_EM_TLS_VERIFY: "the peer's certificate was refused",
  ERR_EM_TLS_PROTOCOL: "the TLS stream is broken",
  ERR_EM_TLS_PLAINTEXT: "bytes came in clear after the point where TLS begins",
  ERR_EM_TLS_NO_CONTEXT: "there is no certificate for the name the client asked for",
};

function tlsError({ code, reason, alert, verifyError }: TlsFailure): TlsError {
  const words = WORDS[code] ?? "TLS failed";
  const details = [verifyError, reason === "" || reason === verifyError ? undefined : reason].filter(Boolean);
  return new TlsError(code, [words, ...details].join(": "), { reason, alert, verifyError });
}

/** Bytes in clear were left over after the point where TLS begins: somebody may have put them there. */
export function plaintextLeft(bytes: number): CloseReason {
  const reason = `${bytes} bytes were read and not delivered`;
  return {
    kind: "tls-error",
    error: tlsError({ code: "ERR_EM_TLS_PLAINTEXT", reason, alert: undefined, verifyError: undefined }),
  };
}

function notAContext(): TlsError {
  return new TlsError("ERR_EM_TLS_NO_CONTEXT", "selectContext must return a TlsContext, undefined or null");
}

function nothing(): void {}
