import type { X509Certificate } from "node:crypto";
import type { CloseReason, DeadlineName } from "../base/close_reason.js";
import { isPeers } from "../base/error_marks.js";
import { EventMachineError, HttpProtocolError } from "../base/errors.js";
import { HTTP_DISCARDED_BODY, OUTBOUND_LIMIT } from "../base/limits.js";
import { isPromise } from "../base/thenable.js";
import { HeadFlag, type Http1Fields, type Http1Head } from "../codecs/http1/head.js";
import { type Http1Events, Http1Parser } from "../codecs/http1/parser.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { State, type StreamPort } from "../core/stream_port.js";
import type { TlsInfo, TlsVerdict } from "../tls/tls_info.js";
import type { HttpConnection } from "./http_connection.js";
import { type HttpDeadlineName, HttpDeadlines, type TimedSession } from "./http_deadlines.js";
import type { HttpSettings } from "./http_options.js";
import { HttpRequest } from "./http_request.js";
import { HttpResponse, refusalText } from "./http_response.js";
import type { BodyHost, RequestBody } from "./request_body.js";

/** Why the connection is not read. */
const Hold = {
  /** The program has paused it. */
  program: 1,
  /** The content of a request waits for its reader. */
  body: 2,
  /** As many requests as may wait for their responses. */
  pipeline: 4,
  /** What follows may be another protocol's. */
  switching: 8,
} as const;

/**
 * HTTP on one connection: stands in its place at the port, reads requests, and lets their responses out in order. It ends the connection
 * after the last response, and when a request breaks the rules.
 */
export class HttpSession implements ConnectionCallbacks, Http1Events, BodyHost, TimedSession {
  readonly connection: HttpConnection;
  readonly port: StreamPort;
  readonly settings: HttpSettings;
  readonly #parser: Http1Parser;
  readonly #deadlines: HttpDeadlines;
  /** What was read and the parser has not taken. */
  #held: Buffer | undefined;
  /** Bits of Hold. */
  #holds = 0;
  #catchesUp = false;
  /** The responses that are not ended and sent, oldest first. */
  front: HttpResponse | undefined;
  #back: HttpResponse | undefined;
  #waiting = 0;
  /** Bytes of those that are not the first. */
  #queued = 0;
  /** The content that is being read. */
  #body: RequestBody | undefined;
  #served = 0;
  #isWithinHead = false;
  /** No further request is taken: the response under way is the last. */
  #isClosing = false;
  /** The last response was let out, or nothing is left to be done. */
  #isOver = false;
  /** Output is above the high-water mark, or has not come down from there. */
  isFull = false;
  #peerEnded = false;
  /** A request that may switch the protocol: its handler is called when what follows it is known. */
  #deferred: HttpResponse | undefined;
  /** What a request that never came to be is answered with, when those before it are. */
  #lastWord: number | undefined;
  #reason: CloseReason | undefined;

  constructor(connection: HttpConnection, port: StreamPort, settings: HttpSettings) {
    this.connection = connection;
    this.port = port;
    this.settings = settings;
    this.#parser = new Http1Parser("request", this, settings.limits);
    this.#deadlines = new HttpDeadlines(port, settings, this);
    port.precede(this);
  }

  get isGone(): boolean {
    return this.port.state >= State.closing;
  }

  get isSecure(): boolean {
    return this.port.tls !== undefined;
  }

  /** For a request that names no host. */
  get ownHost(): string {
    const address = this.port.localAddress();
    if (address === undefined || address.family === "unix") return "localhost";
    // A zone means something on this machine alone, and no URL has one.
    const host = address.host.split("%", 1)[0];
    return address.family === "IPv6" ? `[${host}]:${address.port}` : `${host}:${address.port}`;
  }

  get awaitedBody(): RequestBody | undefined {
    return this.#holds === 0 ? this.#body : undefined;
  }

  /** Of the first request, before any of it has come, too. */
  get awaitsHead(): boolean {
    return this.#holds === 0 && !this.#isOver && (this.#isWithinHead || this.#served === 0);
  }

  /** Nothing is under way. */
  get isQuiet(): boolean {
    return this.front === undefined && this.#body === undefined && this.#held === undefined && !this.#parser.isWithin;
  }

  // Reading ----------------------------------------------------------------------------------------------------------

  receiveData(data: Buffer): unknown {
    const held = this.#held;
    if (held !== undefined) this.#held = Buffer.concat([held, data]);
    else this.#read(data);
    return undefined;
  }

  #read(data: Buffer): void {
    const parser = this.#parser;
    try {
      const at = parser.execute(data, 0, data.length);
      if (at < data.length && !this.#isOver) this.#held = Buffer.from(data.subarray(at));
    } catch (error) {
      this.#violated(error);
    }
    if (this.#body === undefined && parser.isWithin) {
      if (!this.#isWithinHead && this.#served > 0) this.#deadlines.headBegins();
      this.#isWithinHead = true;
    } else this.#isWithinHead = false;
    const deferred = this.#deferred;
    if (deferred === undefined) return;
    this.#deferred = undefined;
    this.#deliver(deferred);
  }

  #hold(why: number): void {
    if (this.#holds === 0) {
      this.#parser.pause();
      this.port.pause();
    }
    this.#holds |= why;
  }

  /** What was held back is delivered in a later turn, and what comes after it after that. */
  #letGo(why: number): void {
    if ((this.#holds & why) === 0) return;
    this.#holds &= ~why;
    if (this.#holds !== 0 || this.#catchesUp) return;
    this.#catchesUp = true;
    this.port.ownTick({
      onTick: () => {
        this.#catchesUp = false;
        if (this.port.state === State.open) this.port.call(this.#catchUp);
      },
    });
  }

  #catchUp(): void {
    if (this.#holds !== 0 || this.#isOver) return;
    this.#parser.resume();
    const held = this.#held;
    this.#held = undefined;
    this.#read(held ?? NOTHING);
    if (this.#holds !== 0 || this.#isOver) return;
    this.port.resume();
    this.#deadlines.goesOn();
  }

  pause(): void {
    this.#hold(Hold.program);
  }

  resume(): void {
    this.#letGo(Hold.program);
  }

  get isPaused(): boolean {
    return (this.#holds & Hold.program) !== 0;
  }

  // What the parser finds --------------------------------------------------------------------------------------------

  onHead(head: Http1Head): void {
    this.#isWithinHead = false;
    this.#served++;
    const isLast = !head.isKeptAlive || this.#served >= this.settings.maxRequestsPerConnection || this.#isClosing;
    const request = new HttpRequest(this, head);
    const response = new HttpResponse(this, request, isLast);
    this.#enter(response);
    this.#body = request.body;
    if (request.body !== undefined) this.#deadlines.bodyBegins();
    if ((head.flags & HeadFlag.expectsOther) !== 0) {
      response.refuse(417);
      return;
    }
    if (request.wantsUpgrade) {
      head.keep();
      this.#deferred = response;
      return;
    }
    this.#deliver(response);
    if (!response.isEnded) head.keep();
  }

  #deliver(response: HttpResponse): void {
    const { request } = response;
    try {
      const result = this.connection.receiveRequest(request, response);
      if (!isPromise(result)) return;
      request.keep();
      result.then(undefined, (error: unknown) => this.#requestFailed(response, error, true));
    } catch (error) {
      this.#requestFailed(response, error, false);
    }
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#deadlines.bodyMoves();
    this.#body?.push(bytes, start, end);
  }

  onTrailers(trailers: Http1Fields): void {
    if (this.#body === undefined) return;
    trailers.keep();
    this.#body.trailers = trailers;
  }

  onEnd(): void {
    const body = this.#body;
    this.#body = undefined;
    body?.complete();
    if (this.#waiting >= this.settings.maxPipelined) this.#hold(Hold.pipeline);
  }

  onSwitch(): void {
    if (this.#back?.request.wantsUpgrade !== true) this.#parser.goOn();
    else this.#hold(Hold.switching);
  }

  // Responses --------------------------------------------------------------------------------------------------------

  #enter(response: HttpResponse): void {
    this.#waiting++;
    if (this.#back === undefined) this.front = response;
    else this.#back.next = response;
    this.#back = response;
  }

  /** Whether the response to this request has to be the connection's last. */
  mustClose(request: HttpRequest): boolean {
    if (this.#isClosing) return this.#lastWord === undefined;
    const { body } = request;
    if (body === undefined || body.isComplete) return false;
    // A peer that was not asked for it may never send it, and may: nobody can know what comes next.
    if (request.expectsContinue && !body.isUsed) return true;
    return !body.isUsed && body.declared > HTTP_DISCARDED_BODY;
  }

  /** A response is complete. */
  responseEnded(response: HttpResponse): void {
    if (response.request.wantsUpgrade && response === this.#back) {
      this.#parser.goOn();
      this.#letGo(Hold.switching);
    }
    if (response !== this.front || this.isGone) return;
    let first: HttpResponse | undefined = response;
    while (first?.isEnded) {
      first.request.body?.drop();
      this.#waiting--;
      if (first.isLast) {
        this.#finish();
        return;
      }
      const { next }: HttpResponse = first;
      this.front = first = next;
      next?.flush();
    }
    if (first === undefined) {
      this.#back = undefined;
      this.#deadlines.idleBegins();
    }
    if (this.#waiting < this.settings.maxPipelined) this.#letGo(Hold.pipeline);
    if (this.front === undefined && this.#body === undefined && this.#isEnding) this.#finish();
  }

  /** A response will not be completed. */
  responseCutOff(_response: HttpResponse, looksComplete: boolean): void {
    if (this.isGone) return;
    if (looksComplete) this.port.abort();
    else this.port.close();
  }

  /** So many bytes more, or fewer, wait in responses that are not the first: those of a connection have one limit. */
  queuedBehind(bytes: number): void {
    this.#queued += bytes;
    if (this.#queued > OUTBOUND_LIMIT) this.port.close();
  }

  get #isEnding(): boolean {
    return this.#isClosing || this.#peerEnded;
  }

  /** Everything is said. */
  #finish(): void {
    this.#stopReading();
    this.#deadlines.stop();
    const { port } = this;
    if (this.#lastWord !== undefined && this.front === undefined) {
      port.sendString(refusalText(this.#lastWord, port.turnTime()), "latin1");
    }
    if (this.#reason === undefined) port.finish();
    else port.finishFor(this.#reason);
  }

  #stopReading(): void {
    this.#isOver = this.#isClosing = true;
    this.#held = undefined;
    this.#parser.pause();
  }

  sendText(text: string): boolean {
    return this.port.sendString(text, "latin1") || this.#filled();
  }

  sendBytes(data: Uint8Array): boolean {
    return this.port.sendBytes(data) || this.#filled();
  }

  #filled(): false {
    if (!this.isFull && !this.isGone) {
      this.isFull = true;
      this.#deadlines.outputFills();
    }
    return false;
  }

  // Another protocol -------------------------------------------------------------------------------------------------

  /** The connection is the program's; returns what was read of it and is not HTTP. */
  handOver(): Buffer {
    const unread = this.#held ?? NOTHING;
    this.#stopReading();
    this.#deadlines.stop();
    this.port.release();
    this.port.pause();
    this.connection.handedOver();
    return unread;
  }

  closedError(): EventMachineError {
    return this.port.asEnd(new EventMachineError("ERR_EM_CLOSED", "the connection has ended"));
  }

  // Content ----------------------------------------------------------------------------------------------------------

  bodyWanted(): void {
    for (let each = this.front; each !== undefined; each = each.next) {
      if (each.request.body === this.#body && each.request.expectsContinue) each.sendContinue();
    }
  }

  bodyHeld(): void {
    this.#hold(Hold.body);
  }

  bodyTaken(): void {
    this.#letGo(Hold.body);
  }

  limitBody(request: HttpRequest, bytes: number): void {
    if (request.body !== undefined && request.body === this.#body) this.#parser.maxBody = bytes;
  }

  // Deadlines --------------------------------------------------------------------------------------------------------

  expired(name: HttpDeadlineName, after: number): void {
    const error = new EventMachineError("ERR_EM_TIMEOUT", `the connection's ${name} deadline of ${after} ms passed`);
    this.#reason ??= { kind: "timeout", deadline: name, error };
    if (name === "body" || this.#isWithinHead) this.#refuse(408, error);
    else this.#finish();
  }

  // What goes wrong --------------------------------------------------------------------------------------------------

  /** The peer breaks the rules. */
  #violated(error: unknown): void {
    if (!(error instanceof HttpProtocolError)) throw error;
    this.#reason ??= { kind: "protocol-error", error };
    this.port.call(this.#tellRefused, error);
    this.#refuse(error.status, error);
  }

  /** What is being read will not be: the peer is told so, behind the responses that it waits for, and the connection closes. */
  #refuse(status: number, error: unknown): void {
    if (this.isGone) return;
    const body = this.#body;
    this.#stopReading();
    body?.fail(error);
    this.#body = undefined;
    const response = this.#back;
    if (body !== undefined && response?.request.body === body) {
      // It came in the content of a request: the answer to that says so, where it has not begun.
      response.request.abort(error);
      response.isLast = true;
      response.refuse(status);
    } else this.#lastWord = status;
    if (this.front === undefined && !this.isGone) this.#finish();
  }

  #tellRefused(error: HttpProtocolError): unknown {
    return this.connection.requestRefused(error);
  }

  /** The handler of a request has failed. Where its response has not begun, the peer is told. */
  #requestFailed(response: HttpResponse, error: unknown, isLate: boolean): void {
    const { port } = this;
    const isPeersFault = error instanceof HttpProtocolError && isPeers(error);
    const hasLastWord = !response.isHeadSent;
    if (!response.isEnded) response.refuse(isPeersFault ? error.status : 500);
    if (isPeersFault) return;
    if (isLate) port.operationFailed(error, hasLastWord);
    else port.handlerFailed(error, hasLastWord);
  }

  // What the connection reports --------------------------------------------------------------------------------------

  postInit(): unknown {
    if (this.port.state === State.open) this.#deadlines.headBegins();
    return this.connection.postInit();
  }

  connectionCompleted(): unknown {
    this.#deadlines.headBegins();
    return this.connection.connectionCompleted();
  }

  receiveEnd(): unknown {
    this.#peerEnded = true;
    try {
      this.#parser.finish();
    } catch (error) {
      this.#violated(error);
      return undefined;
    }
    if (this.front === undefined) this.#finish();
    return undefined;
  }

  drained(): unknown {
    this.isFull = false;
    this.front?.wake();
    return this.connection.drained();
  }

  sslVerifyPeer(certificate: X509Certificate, verdict: TlsVerdict): boolean | PromiseLike<boolean> {
    return this.connection.sslVerifyPeer(certificate, verdict);
  }

  sslHandshakeCompleted(info: TlsInfo): unknown {
    return this.connection.sslHandshakeCompleted(info);
  }

  deadlineReached(name: DeadlineName): unknown {
    return this.connection.deadlineReached(name);
  }

  /** A drain: the response under way is the last, and where there is none the connection closes at once. */
  shutdownRequested(): unknown {
    this.#isClosing = true;
    if (this.isQuiet) this.#finish();
    return this.connection.shutdownRequested();
  }

  isIdle(): unknown {
    return this.connection.isIdle();
  }

  unbind(reason: CloseReason): unknown {
    this.#stopReading();
    this.#deadlines.stop();
    const error = this.closedError();
    this.#body?.fail(error);
    this.#body = undefined;
    let response = this.front;
    this.front = this.#back = undefined;
    for (; response !== undefined; response = response.next) {
      response.request.abort(error);
      response.gone();
    }
    return this.connection.unbind(reason);
  }

  onError(error: unknown): unknown {
    return this.connection.onError(error);
  }

  operationFailed(error: unknown): void {
    this.port.operationFailed(error);
  }
}

const NOTHING = Buffer.alloc(0);
