import { StateError, TlsError } from "../../base/errors.js";
import { alpnList } from "../alpn.js";
import type { Handle } from "../streams.js";
import type {
  TlsContextId,
  TlsContextSettings,
  TlsEvents,
  TlsFailure,
  TlsIdentity,
  TlsStart,
  TlsState,
  TlsTrust,
  TlsVersion,
} from "../tls.js";
import { alertName, verifyErrorName } from "../tls_names.js";
import type { Binding } from "./binding.js";
import { Event, TlsError as Failure, Flag, NameAnswer, StartFlag } from "./layout.js";

const VERSIONS: Readonly<Record<TlsVersion, number>> = {
  TLSv1: 0x301,
  "TLSv1.1": 0x302,
  "TLSv1.2": 0x303,
  "TLSv1.3": 0x304,
};
const VERSION_NAMES = new Map(Object.entries(VERSIONS).map(([name, number]) => [number, name as TlsVersion]));

/** The bits of a context's options, those of a start, and the kinds of an answer; native/tls/tls_context.h has them too. */
const Option = {
  preferServerCiphers: 1,
  requestCertificate: 2,
  requireCertificate: 4,
  rejectUnauthorized: 8,
  sessionTickets: 16,
  reportSessions: 32,
  keyLog: 64,
  requestStaple: 128,
  dhAuto: 256,
} as const;
const FAILURE_CODES = {
  [Failure.handshake]: "ERR_EM_TLS_HANDSHAKE",
  [Failure.verify]: "ERR_EM_TLS_VERIFY",
  [Failure.protocol]: "ERR_EM_TLS_PROTOCOL",
  [Failure.plaintext]: "ERR_EM_TLS_PLAINTEXT",
  [Failure.noContext]: "ERR_EM_TLS_NO_CONTEXT",
} as const;

const EMPTY = Buffer.alloc(0);

/** Parsed once for as long as the object lives: a hundred and forty roots take OpenSSL milliseconds. */
const stores = new WeakMap<TlsTrust, unknown>();

/** TLS as the addon takes it and tells of it; `loop` is the engine's. */
export class NativeTls {
  readonly #native: Binding;

  constructor(native: Binding) {
    this.#native = native;
  }

  createContext(loop: number, settings: TlsContextSettings): TlsContextId {
    const { minVersion, maxVersion, dhParameters, sessionTimeout } = settings;
    const { maxClientHello, maxCertificateChain, maxKeyUpdates } = settings;
    const timeout = Math.min(sessionTimeout, 2 ** 31 - 1);
    const context = this.#native.tlsContext(
      loop,
      this.#store(settings.trust),
      Int32Array.of(
        optionBits(settings),
        VERSIONS[minVersion],
        VERSIONS[maxVersion],
        timeout,
        maxClientHello,
        maxCertificateChain,
        maxKeyUpdates,
      ),
      settings.ciphers ?? "",
      settings.cipherSuites ?? "",
      settings.curves ?? "",
      alpnList(settings.alpn),
      settings.sessionIdContext,
      Buffer.isBuffer(dhParameters) ? dhParameters : EMPTY,
      Buffer.concat(settings.ticketKeys),
      settings.staple ?? EMPTY,
    );
    if (context === undefined) throw new StateError("ERR_EM_NOT_RUNNING", "the native engine is not started");
    if (typeof context === "string") throw refused(context);
    for (const identity of settings.identities) this.#identify(loop, context, identity);
    return context;
  }

  #identify(loop: number, context: TlsContextId, { certificate, key, passphrase }: TlsIdentity): void {
    const secret = Buffer.from(passphrase ?? "");
    const wrong = this.#native.tlsIdentity(loop, context, certificate, key, secret);
    if (wrong === undefined) return;
    this.#native.releaseTlsContext(loop, context);
    throw refused(wrong);
  }

  #store(trust: TlsTrust): unknown {
    let store = stores.get(trust);
    if (store === undefined) {
      const texts = trust.certificates.flatMap((text) => [
        typeof text === "string" ? Buffer.from(text) : text,
        NEWLINE,
      ]);
      store = this.#native.tlsTrust(Buffer.concat(texts), trust.openSslDefaults);
      if (typeof store === "string") throw refused(store);
      stores.set(trust, store);
    }
    return store;
  }

  start(loop: number, handle: Handle, start: TlsStart): void {
    const flags =
      (start.role === "server" ? StartFlag.server : 0) |
      (start.asksServerName ? StartFlag.asksServerName : 0) |
      (start.asksVerify ? StartFlag.asksVerify : 0);
    const { context, serverName = "", verifyName = "", session = EMPTY, received = EMPTY } = start;
    const wrong = this.#native.startTls(loop, handle, flags, context, serverName, verifyName, session, received);
    if (wrong !== undefined) throw refused(wrong);
  }

  answerServerName(loop: number, handle: Handle, answer: TlsContextId | "same" | "refuse"): void {
    const isOther = typeof answer === "number";
    this.#native.answerServerName(loop, handle, isOther ? NameAnswer.other : NameAnswer[answer], isOther ? answer : -1);
  }

  state(loop: number, handle: Handle): TlsState | undefined {
    const parts = this.#native.tlsState(loop, handle);
    if (parts === undefined) return undefined;
    const [version, name, standardName, bits, alpnProtocol, serverName, isSessionReused, certificates, error, staple] =
      parts;
    return {
      protocol: VERSION_NAMES.get(version) ?? "TLSv1.3",
      cipher: { name: name ?? "", standardName: standardName ?? name ?? "", bits },
      alpnProtocol,
      serverName,
      isSessionReused,
      peerCertificates: certificates,
      verifyError: verifyErrorName(error),
      staple,
    };
  }

  failure(loop: number, handle: Handle): TlsFailure {
    const parts = this.#native.tlsFailure(loop, handle);
    if (parts === undefined) throw new StateError("ERR_EM_NOT_OPEN", "TLS has not ended this handle");
    const [number, reason, alert, isFromPeer, error] = parts;
    const code = FAILURE_CODES[number as keyof typeof FAILURE_CODES];
    return {
      code,
      reason,
      alert: alert < 0 ? undefined : { name: alertName(alert), from: isFromPeer ? "peer" : "local" },
      // What was wrong with a certificate that was taken all the same is not why TLS has failed.
      verifyError: code === "ERR_EM_TLS_VERIFY" ? verifyErrorName(error) : undefined,
    };
  }

  /** An event of the ring; `bytes` are in `slab`, which is only lent. */
  deliver(events: TlsEvents, kind: number, handle: Handle, flags: number, slab: Buffer, start: number, length: number) {
    const isMuted = (flags & Flag.muted) !== 0;
    const isSilent = (flags & Flag.silent) !== 0;
    switch (kind) {
      case Event.secured:
        if (!isMuted) events.secured(handle);
        return;
      case Event.tlsServerName:
        if (!isSilent) events.tlsServerName(handle, slab.toString("latin1", start, start + length));
        return;
      case Event.tlsVerify:
        if (!isSilent) events.tlsVerify(handle);
        return;
      case Event.tlsSession:
        if (!isMuted) events.tlsSession(handle, Buffer.from(slab.subarray(start, start + length)));
        return;
      case Event.tlsKeyLog:
        if (!isMuted) events.tlsKeyLog(handle, slab.toString("latin1", start, start + length));
        return;
    }
  }
}

const NEWLINE = Buffer.from("\n");

function refused(words: string): TlsError {
  return new TlsError("ERR_EM_TLS_CONTEXT", `OpenSSL refuses this: ${words}`, { reason: words });
}

function optionBits(settings: TlsContextSettings): number {
  let bits = settings.dhParameters === "auto" ? Option.dhAuto : 0;
  for (const [name, bit] of Object.entries(Option)) {
    if (name !== "dhAuto" && settings[name as Exclude<keyof typeof Option, "dhAuto">]) bits |= bit;
  }
  return bits;
}
