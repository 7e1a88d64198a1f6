import { X509Certificate } from "node:crypto";
import type { CloseReason } from "../base/close_reason.js";
import { TlsError } from "../base/errors.js";
import { type Handle, NO_HANDLE } from "../engine/streams.js";
import type { TlsContextId, TlsFailure, TlsState } from "../engine/tls.js";
import type { KeptSession } from "../tls/session_cache.js";
import { type SelectedContext, TlsContext } from "../tls/tls_context.js";
import { TlsInfo, type TlsVerdict } from "../tls/tls_info.js";
import * as reasons from "./reasons.js";
import { notSecured } from "./refusals.js";
import { type Settling, settling } from "./settling.js";
import type { Timer } from "./timer.js";
import type { TlsPlan } from "./tls_start.js";
import type { Transport } from "./transport.js";

/** Which of TLS's callbacks a connection has of its own: the others are not worth the questions they would cost. */
export interface TlsHooks {
  readonly verifies: boolean;
  readonly completes: boolean;
}

/** TLS on one connection, from `startTls` on: waiting for the connect, in its handshake, secured. */
export class TlsLife {
  readonly #transport: Transport;
  readonly #plan: TlsPlan;
  readonly #hooks: TlsHooks;
  /** The transport's, from the beginning until `unbind` has returned. */
  #handle: Handle = NO_HANDLE;
  #deadline: Timer | undefined;
  #info: TlsInfo | undefined;
  #securing: Settling<TlsInfo> | undefined;
  /** What a client offers to resume. */
  #offered: KeptSession | undefined;
  /** A session that came before the connection was secured. */
  #early: Buffer | undefined;
  isSecured = false;

  constructor(transport: Transport, plan: TlsPlan, hooks: TlsHooks) {
    this.#transport = transport;
    this.#plan = plan;
    this.#hooks = hooks;
  }

  /** The connection is open: the engine starts TLS behind what it has queued. */
  begin(): void {
    const { core, handle } = this.#transport;
    const { context, role, serverName, verifyName, sessionKey, received } = this.#plan;
    const { handshakeTimeout, sessions, names, selectContext } = TlsContext.insides(context);
    this.#handle = handle;
    if (role === "client") this.#offered = sessions.get(sessionKey);
    let id: TlsContextId;
    try {
      id = core.tlsContexts.idFor(context, role);
    } catch (error) {
      // It was checked when it was given; whatever has become of it since, the connection must not go on in clear.
      this.#transport.end({ kind: "tls-error", error: error as TlsError });
      return;
    }
    core.engine.startTls(handle, {
      role,
      context: id,
      serverName,
      verifyName,
      session: this.#offered?.session,
      asksServerName: role === "server" && (names.size > 0 || selectContext !== undefined),
      asksVerify: this.#hooks.verifies,
      received,
    });
    if (handshakeTimeout === 0) return;
    this.#deadline = core.addTimer(handshakeTimeout, () =>
      this.#transport.end(reasons.deadlinePassed("handshake", handshakeTimeout)),
    );
  }

  /** What the handshake came to; undefined before it is through, and where nobody asked before `unbind` had returned. */
  get info(): TlsInfo | undefined {
    if (this.#info === undefined && this.isSecured && this.#handle !== NO_HANDLE) {
      const state = this.#transport.core.engine.tlsState(this.#handle);
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

  secured(): Promise<TlsInfo> {
    if (this.#securing === undefined) {
      this.#securing = settling();
      const { reason } = this.#transport;
      if (this.info !== undefined) this.#securing.resolve(this.info);
      else if (this.#transport.isClosed) this.#securing.reject(notSecured(reason));
    }
    return this.#securing.promise;
  }

  // Events -------------------------------------------------------------------------------------------------------

  onServerName(name: string): void {
    const { names, selectContext } = TlsContext.insides(this.#plan.context);
    const found = names.find(name);
    if (found !== undefined || selectContext === undefined) this.#answerName(found);
    else this.#transport.ask(selectContext, undefined, [name], (answer) => this.#answerName(answer), this.#refuseName);
  }

  #answerName(selected: SelectedContext): void {
    const { core } = this.#transport;
    if (selected === undefined || selected === null) {
      core.engine.answerServerName(this.#handle, selected === null ? "refuse" : "same");
      return;
    }
    try {
      if (!(selected instanceof TlsContext)) throw notAContext();
      TlsContext.requireServer(selected);
      core.engine.answerServerName(this.#handle, core.tlsContexts.idFor(selected, "server"));
    } catch (error) {
      this.#transport.handlerFailed(error);
      this.#refuseName();
    }
  }

  readonly #refuseName = (): void => {
    this.#transport.core.engine.answerServerName(this.#handle, "refuse");
  };

  onVerify(): void {
    const { engine } = this.#transport.core;
    const state = engine.tlsState(this.#handle);
    const chain = (state?.peerCertificates ?? []).map((der) => new X509Certificate(der));
    const verdict: TlsVerdict = { isAuthorized: state?.verifyError === undefined, error: state?.verifyError, chain };
    const answer = (accepted: boolean) => engine.answerVerify(this.#handle, accepted);
    this.#transport.ask(
      this.#transport.callbacks.sslVerifyPeer,
      this.#transport.callbacks,
      [chain[0] as X509Certificate, verdict],
      (accepts) => answer(accepts !== false),
      () => answer(false),
    );
  }

  onSecured(): void {
    this.isSecured = true;
    this.#deadline?.cancel();
    if (this.#early !== undefined) this.onSession(this.#early);
    if (this.#securing !== undefined && this.info !== undefined) this.#securing.resolve(this.info);
    if (!this.#hooks.completes || !this.#transport.isOpen) return;
    const { info } = this;
    if (info !== undefined) this.#transport.handshakeCompleted(info);
  }

  /** Kept once the connection is secured, and only where the certificate holds: to resume it is to trust it again. */
  onSession(session: Buffer): void {
    this.#early = session;
    const { info } = this;
    if (info === undefined || info.verifyError !== undefined) return;
    const { sessions } = TlsContext.insides(this.#plan.context);
    sessions.put(this.#plan.sessionKey, { session, certificates: TlsInfo.chain(info) });
  }

  onKeyLog(line: string): void {
    const { keyLog } = TlsContext.insides(this.#plan.context);
    if (keyLog !== undefined) this.#transport.ask(keyLog, undefined, [line], nothing, nothing);
  }

  // Ending -------------------------------------------------------------------------------------------------------

  /** Why TLS ended the connection, while its `closed` is delivered. */
  failure(): CloseReason {
    const { engine } = this.#transport.core;
    if (!this.isSecured) TlsContext.insides(this.#plan.context).sessions.forget(this.#plan.sessionKey);
    return { kind: "tls-error", error: tlsError(engine.tlsFailure(this.#handle)) };
  }

  /** The peer's end, while `closed` is delivered. */
  peerClosed(): CloseReason {
    if (!this.isSecured) return reasons.PEER_CLOSED;
    return { kind: "peer-closed", truncated: this.#transport.core.engine.tlsTruncated(this.#handle) };
  }

  /** The connection has ended, and `unbind` is about to be called. */
  ended(reason: CloseReason): void {
    this.#deadline?.cancel();
    if (this.#info === undefined) this.#securing?.reject(notSecured(reason));
  }

  /** `unbind` has returned. */
  forget(): void {
    this.#handle = NO_HANDLE;
    if (this.#plan.isOwned && this.#transport.core.isOpen) this.#transport.core.tlsContexts.release(this.#plan.context);
  }
}

const WORDS: Record<string, string> = {
  ERR_EM_TLS_HANDSHAKE: "the TLS handshake failed",
  ERR_EM_TLS_VERIFY: "the peer's certificate was refused",
  ERR_EM_TLS_PROTOCOL: "the TLS stream is broken",
  ERR_EM_TLS_PLAINTEXT: "bytes came in clear behind the point where TLS begins",
  ERR_EM_TLS_NO_CONTEXT: "there is no certificate for the name the client asked for",
};

function tlsError({ code, reason, alert, verifyError }: TlsFailure): TlsError {
  const words = WORDS[code] ?? "TLS failed";
  const details = [verifyError, reason === "" || reason === verifyError ? undefined : reason].filter(Boolean);
  return new TlsError(code, [words, ...details].join(": "), { reason, alert, verifyError });
}

/** Bytes in clear were left over behind the point where TLS begins: somebody may have put them there. */
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
