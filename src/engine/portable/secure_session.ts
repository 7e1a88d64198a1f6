import type { X509Certificate } from "node:crypto";
import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect, type SecureContext, TLSSocket, type TLSSocketOptions } from "node:tls";
import { alpnList } from "../alpn.js";
import type { TlsFailure, TlsStart, TlsState, TlsVersion } from "../tls.js";
import type { PortableTlsContext } from "./tls_contexts.js";
import { failure, failureOf, isEarlyEnd, isTlsError } from "./tls_failures.js";

/** Who is told; each from a callback of Node's. */
export interface SecureOwner {
  serverName(name: string): void;
  /** The peer's certificate awaits our word. */
  verify(): void;
  /** The handshake is through; `ended` where the peer has ended its side already. */
  secured(socket: TLSSocket, ended: boolean): void;
  session(session: Buffer): void;
  keyLog(line: string): void;
  tlsFailed(failure: TlsFailure): void;
  failed(error: NodeJS.ErrnoException): void;
}

/** The most that is read ahead of a start of TLS that waits for clear output to leave. */
const READ_AHEAD = 64 * 1024;

/** What OpenSSL found wrong with the peer's certificate; node:tls tells servers only on its inner object. */
interface Verifying {
  readonly ssl: { verifyError(): NodeJS.ErrnoException | null | undefined } | null;
}

/** Names are compared with the alternative names alone, never the subject's CN, and a wildcard is a whole label. */
const AS_RFC_9525 = { subject: "never", partialWildcards: false } as const;

/** TLS on one socket: node:tls's, from the moment the socket is its until it has no more to say. */
export class SecureSession {
  readonly #raw: Socket;
  readonly #context: PortableTlsContext;
  readonly #start: TlsStart;
  readonly #owner: SecureOwner;
  #socket: TLSSocket | undefined;
  #selecting: ((error: Error | null, context?: SecureContext) => void) | undefined;
  /** Why it came to an end. */
  failure: TlsFailure | undefined;
  #rawBytes: number;
  #ahead: Buffer[] = [];
  #aheadBytes = 0;
  #rawEnded = false;
  #ended = false;
  #stopped = false;
  #isSecured = false;
  #staple: Buffer | undefined;
  state: TlsState | undefined;

  constructor(raw: Socket, context: PortableTlsContext, start: TlsStart, owner: SecureOwner) {
    this.#raw = raw;
    this.#context = context;
    this.#start = start;
    this.#owner = owner;
    this.#rawBytes = raw.bytesRead;
    if (start.received !== undefined) this.#keep(Buffer.from(start.received));
  }

  get socket(): TLSSocket | undefined {
    return this.#socket;
  }

  get isSecured(): boolean {
    return this.#isSecured;
  }

  /** Whether bytes of the handshake have come since this was last asked. */
  get hasReadMore(): boolean {
    if (this.#isSecured || this.#raw.bytesRead === this.#rawBytes) return false;
    this.#rawBytes = this.#raw.bytesRead;
    return true;
  }

  /** Clear output is still on its way: what comes in meanwhile belongs to TLS already. */
  readAhead(): void {
    this.#raw.on("data", this.#readAhead);
    this.#raw.on("end", this.#readEnd);
    this.#raw.resume();
  }

  readonly #readAhead = (chunk: Buffer): void => {
    this.#keep(chunk);
    if (this.#aheadBytes >= READ_AHEAD) this.#raw.pause();
  };

  readonly #readEnd = (): void => {
    this.#rawEnded = true;
  };

  #keep(chunk: Buffer): void {
    this.#ahead.push(chunk);
    this.#aheadBytes += chunk.length;
  }

  /** The socket is TLS's from here on. */
  begin(): void {
    const raw = this.#raw;
    raw.off("data", this.#readAhead);
    raw.off("end", this.#readEnd);
    raw.pause();
    if (this.#rawEnded) {
      this.#owner.tlsFailed(failure("ERR_EM_TLS_HANDSHAKE", "the peer ended the connection before TLS began"));
      return;
    }
    // node:tls reads what the socket has buffered before it reads on.
    if (this.#aheadBytes > 0) raw.unshift(Buffer.concat(this.#ahead));
    this.#ahead = [];
    let socket: TLSSocket;
    try {
      socket = this.#start.role === "server" ? this.#accept() : this.#connect();
    } catch (error) {
      this.#owner.tlsFailed(failureOf(error as Error, false));
      return;
    }
    this.#socket = socket;
    socket.on(this.#start.role === "server" ? "secure" : "secureConnect", () => this.#handshakeDone());
    socket.on("error", (error: NodeJS.ErrnoException) => this.#failed(error));
    // A socket that no tls.Server has handed out tells of what fails behind the handshake by this event alone.
    socket.on("_tlsError", (error: NodeJS.ErrnoException) => this.#failed(error));
    socket.once("end", () => this.#onEnd());
    socket.once("close", () => this.#onClose());
    if (this.#context.settings.keyLog) {
      socket.on("keylog", (line: Buffer) => {
        if (!this.#stopped) this.#owner.keyLog(line.toString("latin1").trimEnd());
      });
    }
  }

  #accept(): TLSSocket {
    const { settings, stapler } = this.#context;
    // Sessions are looked up before the name is: one could get a client past whom the name's own context trusts.
    const isByName = this.#start.asksServerName && settings.requestCertificate;
    const options: TLSSocketOptions = {
      isServer: true,
      secureContext: isByName ? this.#context.withoutTickets : this.#context.secureContext,
      requestCert: settings.requestCertificate,
      rejectUnauthorized: settings.requireCertificate,
    };
    if (settings.alpn.length > 0) options.ALPNProtocols = alpnList(settings.alpn);
    if (stapler !== undefined) options.server = stapler;
    if (this.#start.asksServerName) options.SNICallback = (name, done) => this.#askName(name, done);
    return new TLSSocket(this.#raw, options);
  }

  #connect(): TLSSocket {
    const { settings, secureContext } = this.#context;
    const { serverName, session } = this.#start;
    const options: ConnectionOptions & { requestOCSP: boolean } = {
      socket: this.#raw,
      secureContext,
      // The certificate is judged here, after the handshake, as node:tls itself does it.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      requestOCSP: settings.requestStaple,
    };
    if (serverName !== undefined) options.servername = serverName;
    // node:tls does not show the certificate of a resumed session again, and somebody wants to judge it.
    if (session !== undefined && !this.#start.asksVerify) options.session = session;
    if (settings.alpn.length > 0) options.ALPNProtocols = alpnList(settings.alpn);
    const socket = connect(options);
    if (settings.reportSessions) {
      socket.on("session", (each: Buffer) => {
        if (!this.#stopped) this.#owner.session(each);
      });
    }
    if (settings.requestStaple) {
      socket.once("OCSPResponse", (response: Buffer | null) => {
        if (response !== null && response.length > 0) this.#staple = response;
      });
    }
    return socket;
  }

  // Server names -------------------------------------------------------------------------------------------------

  #askName(name: string, done: (error: Error | null, context?: SecureContext) => void): void {
    if (this.#stopped) return;
    this.#selecting = done;
    this.#owner.serverName(name);
  }

  answerName(answer: PortableTlsContext | "same" | "refuse"): void {
    const done = this.#selecting;
    this.#selecting = undefined;
    if (done === undefined || this.#stopped) return;
    if (answer === "refuse") {
      this.#owner.tlsFailed(failure("ERR_EM_TLS_NO_CONTEXT", "unrecognized name"));
      return;
    }
    done(null, answer === "same" ? undefined : answer.secureContext);
  }

  // The end of the handshake -------------------------------------------------------------------------------------

  #handshakeDone(): void {
    // node:tls says so again where a renegotiation was asked for and refused.
    if (this.#stopped || this.state !== undefined) return;
    const state = this.#readState(this.#socket as TLSSocket);
    this.state = state;
    const { rejectUnauthorized } = this.#context.settings;
    if (rejectUnauthorized && state.verifyError !== undefined) {
      this.#owner.tlsFailed(failure("ERR_EM_TLS_VERIFY", state.verifyError, state.verifyError));
    } else if (this.#start.asksVerify && state.peerCertificates.length > 0) this.#owner.verify();
    else this.#secured();
  }

  answerVerify(accepted: boolean): void {
    if (this.#stopped || this.#isSecured || this.state === undefined) return;
    if (accepted) this.#secured();
    else {
      const { verifyError } = this.state;
      this.#owner.tlsFailed(failure("ERR_EM_TLS_VERIFY", "the application refused the certificate", verifyError));
    }
  }

  #secured(): void {
    this.#isSecured = true;
    this.#owner.secured(this.#socket as TLSSocket, this.#ended);
  }

  #readState(socket: TLSSocket): TlsState {
    const { name, standardName } = socket.getCipher() as { name: string; standardName: string };
    const chain = certificateChain(socket.getPeerX509Certificate());
    const isServer = this.#start.role === "server";
    const sni = (socket as { servername?: string | false | null }).servername;
    return {
      protocol: socket.getProtocol() as TlsVersion,
      cipher: { name, standardName, bits: undefined },
      alpnProtocol: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined,
      serverName: isServer ? (typeof sni === "string" && sni !== "" ? sni : undefined) : this.#start.serverName,
      isSessionReused: socket.isSessionReused(),
      peerCertificates: chain.map((each) => each.raw),
      verifyError: chain[0] === undefined ? undefined : this.#verifyError(socket, chain[0]),
      staple: this.#staple,
    };
  }

  /** The chain first, then the name: in that order OpenSSL would find them. */
  #verifyError(socket: TLSSocket, certificate: X509Certificate): string | undefined {
    const found = (socket as unknown as Verifying).ssl?.verifyError();
    if (found) return found.code ?? found.message;
    const { verifyName } = this.#start;
    if (verifyName === undefined) return undefined;
    if (isIP(verifyName) !== 0)
      return certificate.checkIP(verifyName) === undefined ? "IP_ADDRESS_MISMATCH" : undefined;
    return certificate.checkHost(verifyName, AS_RFC_9525) === undefined ? "HOSTNAME_MISMATCH" : undefined;
  }

  // Ending -------------------------------------------------------------------------------------------------------

  #onEnd(): void {
    this.#ended = true;
    if (!this.#stopped && this.state === undefined) this.#endedEarly();
  }

  #onClose(): void {
    if (!this.#stopped && this.state === undefined) this.#endedEarly();
  }

  #endedEarly(): void {
    this.#owner.tlsFailed(failure("ERR_EM_TLS_HANDSHAKE", "the peer ended the connection during the handshake"));
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#stopped) return;
    if (isEarlyEnd(error) && this.state === undefined) this.#endedEarly();
    else if (isTlsError(error)) this.#owner.tlsFailed(failureOf(error, this.#isSecured));
    else this.#owner.failed(error);
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#stopped = true;
    this.#selecting = undefined;
  }
}

/** The certificate and those that vouch for it, as far as they are known; a root vouches for itself. */
function certificateChain(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let each = leaf; each !== undefined; each = each.issuerCertificate) {
    if (chain.some(({ fingerprint256 }) => fingerprint256 === each?.fingerprint256)) break;
    chain.push(each);
  }
  return chain;
}
