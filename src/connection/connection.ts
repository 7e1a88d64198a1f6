import type { X509Certificate } from "node:crypto";
import { inspect } from "node:util";
import { formatAddress, type SocketAddress } from "../base/addresses.js";
import { checkBoolean, checkCount, checkDuration, checkFunction } from "../base/checks.js";
import type { CloseReason, DeadlineName } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";
import { answeredFor, begun, responsible } from "../base/outcome.js";
import type { SystemError } from "../base/system_error.js";
import { ChunkReader } from "../core/chunk_reader.js";
import { ATTACHED } from "../core/connection_callbacks.js";
import { State, type StreamPort } from "../core/stream_port.js";
import type { KeepAlive } from "../engine/socket_options.js";
import type { TlsVersion } from "../engine/tls.js";
import { checkKernelNumber } from "../options/kernel_numbers.js";
import type { ConnectAddress } from "../options/options.js";
import { checkKeepAlive } from "../options/table.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import type { TlsContext } from "../tls/tls_context.js";
import type { TlsCipher, TlsInfo, TlsVerdict } from "../tls/tls_info.js";
import type { TlsPlan, TlsStartOptions } from "../tls/tls_start.js";
import type { ConnectionState, SendData } from "./commands.js";
import * as commands from "./commands.js";
import { attached, stream } from "./commands.js";
import type { AnyLife, Relaying } from "./life.js";
import type { PassingEvents } from "./passing.js";
import { notAConnection, type ProxyOptions } from "./proxying.js";
import type { Transport } from "./transport.js";
import { setDefaultUnbind } from "./unheard.js";
import type { Via } from "./via.js";

export type { ConnectionState, SendData } from "./commands.js";

/** Starts a new life of a connection; the reactor puts it in. */
type Redial = (connection: Connection, address: ConnectAddress) => boolean;

/**
 * One network connection, driven by callbacks: extend it, override what you need, and hand the class to `startServer` or
 * `connect`. (EventMachine::Connection.)
 *
 * Order on a client: constructor, `postInit`, `connect` returns, `connectionCompleted`, `receiveData`…, `unbind`. On a
 * server: constructor, `postInit`, `receiveData`…, `unbind`. Callbacks may be async: a rejection counts as a throw, and
 * delivery does not wait for it. In the constructor every method throws `ERR_EM_NOT_ATTACHED`.
 */
export class Connection {
  /**
   * A class that sets this to true gets views of the engine's own memory in `receiveData`: valid until the callback
   * returns, and never to be kept. It saves a copy; without it the bytes are the receiver's for ever. The view's `buffer` is
   * the memory of all connections of the reactor: what reads there beyond the view reads another peer's bytes. With
   * `EVENTMACHINE_DEBUG=1` in the environment each view is memory of its own.
   */
  static readonly borrowsData: boolean = false;

  #life: AnyLife | undefined;
  #redial: Redial | undefined;

  // Callbacks ----------------------------------------------------------------------------------------------------

  /** The connection is attached to its reactor; a client's is not connected yet, and what it sends is queued. */
  postInit(): unknown {
    return undefined;
  }

  /** A client's connection is open. Not called on accepted connections, which are open from the start. */
  connectionCompleted(): unknown {
    return undefined;
  }

  /**
   * Bytes came in, in whatever pieces the network made of them; on a datagram socket one whole datagram, and who sent it. This
   * class's own discards and counts them: `bytesDiscarded`.
   */
  receiveData(data: Buffer, _sender?: SocketAddress): unknown {
    attached(this.#life).discarded(data.length);
    return undefined;
  }

  /** The target of `proxyIncomingTo` has ended first. What comes in from here on is this connection's own. (proxy_target_unbound.) */
  proxyTargetUnbound(_reason: CloseReason): unknown {
    return undefined;
  }

  /** All of the `length` of `proxyIncomingTo` is on its way; `receiveData` follows with what came after it. (proxy_completed.) */
  proxyCompleted(): unknown {
    return undefined;
  }

  /** The peer has sent its FIN: no more data will come. Only with `allowHalfOpen`; without it the connection ends. */
  receiveEnd(): unknown {
    return undefined;
  }

  /**
   * Unsent output has fallen to the low-water mark, after `sendData` had returned false.
   *
   * ```ts
   * override drained() {
   *   while (this.#lines.length > 0 && this.sendData(`${this.#lines.shift()}\n`));
   * }
   *
   * #lines: string[] = [];
   * ```
   */
  drained(): unknown {
    return undefined;
  }

  /** The TLS handshake is done: what was sent before leaves now, and `receiveData` follows. (ssl_handshake_completed.) */
  sslHandshakeCompleted(_info: TlsInfo): unknown {
    return undefined;
  }

  /**
   * The peer has shown a certificate, and OpenSSL has judged it. Return true, or a promise of true, to accept it; everything else
   * refuses it, and the connection ends with `tls-error`. Until the answer nothing is secured, delivered or sent. With
   * `rejectUnauthorized: false` this is also called for certificates that do not hold, and is the only judge. Default: OpenSSL's
   * verdict. (ssl_verify_peer, called once for each certificate of the chain, and there the only judge.)
   *
   * ```ts
   * override sslVerifyPeer(certificate: X509Certificate, verdict: TlsVerdict) {
   *   return verdict.isAuthorized && certificate.fingerprint256 === PINNED;
   * }
   * ```
   */
  sslVerifyPeer(_certificate: X509Certificate, verdict: TlsVerdict): boolean | PromiseLike<boolean> {
    return verdict.isAuthorized;
  }

  /**
   * A deadline of the open connection has expired, and it is about to end with reason `timeout`. What is sent here, a last word such
   * as SMTP's 421 or HTTP's 408, is written first, as by `closeConnectionAfterWriting`, but within `lingerTimeout` (5 s where that is 0) in all,
   * however slowly the peer reads. Return true to go on: the deadline then runs
   * anew from now (so do not return what `sendData` returns). Anything else, a promise too, ends the connection. Not called for the deadline of a TLS handshake, nor on a
   * connection that is closing.
   *
   * ```ts
   * override deadlineReached() {
   *   this.sendData("421 4.4.2 Timeout\r\n");
   * }
   * ```
   */
  deadlineReached(_name: DeadlineName): unknown {
    return false;
  }

  /** The reactor drains: finish what is under way, then close. Without an override the connection is left to its peer. */
  shutdownRequested(): unknown {
    return undefined;
  }

  /**
   * Whether nothing is under way, asked when a drain with `closeIdle` begins, after `shutdownRequested`: true, and true alone, closes
   * the connection after writing. A protocol that keeps connections between requests overrides it.
   */
  isIdle(): unknown {
    return false;
  }

  /** The connection has ended; comes exactly once, also for a connect that failed. `reconnect` is legal from here on. */
  unbind(_reason: CloseReason): unknown {
    return undefined;
  }

  /**
   * A callback of this connection threw, or its promise was rejected. Return true, or a promise of true, to go on; anything
   * else closes the connection (reason `handler-error`) and hands the error to the reactor's `onError`. Delivery goes on while a
   * promise is pending. A rejection that says nothing but that this connection has ended is `unbind`'s alone.
   */
  onError(_error: unknown): unknown {
    return false;
  }

  // State --------------------------------------------------------------------------------------------------------

  /** A number no other connection of the reactor has had. 0 in the constructor. (EventMachine's signature.) */
  get id(): number {
    return this.#life?.id ?? 0;
  }

  /**
   * Where its life is: `initial` in the constructor, then `connecting` or `open`, `closing`, `closed`;
   * `reconnect` begins anew.
   */
  get state(): ConnectionState {
    return commands.stateOf(this.#life);
  }

  /** Why the connection ended; undefined until it has. */
  get closeReason(): CloseReason | undefined {
    const life = attached(this.#life);
    return life.state === State.closed ? life.reason : undefined;
  }

  /** Resolves when the connection is open, rejects with the ConnectError when it never will be. Made when asked for. */
  get opened(): Promise<void> {
    return attached(this.#life).opened();
  }

  /** Resolves with the reason when the connection has ended, after `unbind`. Never rejects. Made when asked for. */
  get closed(): Promise<CloseReason> {
    return attached(this.#life).closed();
  }

  /** The peer's address; undefined before the connection is open, still there after it closed. (get_peername.) */
  get remoteAddress(): SocketAddress | undefined {
    return attached(this.#life).remoteAddress();
  }

  /**
   * What the connection came through, where a PROXY protocol header has introduced it (option `proxyProtocol` of `startServer`): the
   * balancer's address, and the header with its TLVs. `remoteAddress` is the proxied peer's then. Otherwise undefined.
   */
  get via(): Via | undefined {
    return attached(this.#life).via;
  }

  /** Our own address of this connection, on the same terms. (get_sockname.) */
  get localAddress(): SocketAddress | undefined {
    return attached(this.#life).localAddress();
  }

  /** Bytes received in this life of the connection. */
  get bytesIn(): number {
    return attached(this.#life).received();
  }

  /** Bytes of these that reached the `receiveData` of Connection itself: nobody took them, and nobody can any more. */
  get bytesDiscarded(): number {
    return attached(this.#life).bytesDiscarded;
  }

  /** Bytes handed to the kernel in this life of the connection. Files sent with `sendFileData` do not count. */
  get bytesOut(): number {
    return attached(this.#life).bytesOut();
  }

  /** Milliseconds since bytes last moved in either direction; 0 when not open. (get_idle_time.) */
  get idleTime(): number {
    return attached(this.#life).idleTime();
  }

  // Sending ------------------------------------------------------------------------------------------------------

  /**
   * Sends bytes or text (`encoding` default utf8). Everything sent in one turn leaves in one system call. The data has
   * been copied or written when this returns. (send_data.)
   *
   * Returns false when the caller should stop producing: one `drained` follows. Also false when the connection is
   * closing or closed: the data goes nowhere, `unbind` says why.
   *
   * On a datagram socket it sends one datagram: inside `receiveData` to the sender, on a connected socket to its peer.
   *
   * Throws ArgumentError for anything but bytes and text, `ERR_EM_WRITE_AFTER_END` after `halfClose`, `ERR_EM_NO_DESTINATION` on a
   * datagram socket that has nobody to send it to.
   */
  sendData(data: SendData, encoding: BufferEncoding = "utf8"): boolean {
    return commands.sendData(attached(this.#life), data, encoding);
  }

  /**
   * Sends a whole file, inside the kernel where the engine can, in its place among what is sent before and after. Resolves
   * with its length when the last byte is with the kernel; rejects with the system's error where it cannot be opened, and
   * with `ERR_EM_CLOSED` when the connection ends under it. A file that shrinks meanwhile ends the connection (reason
   * `file-truncated`). (send_file_data, without its 32 KiB limit.)
   *
   * ```ts
   * const length = await connection.sendFileData("/srv/files/image.png");
   * connection.closeConnectionAfterWriting();
   * ```
   */
  sendFileData(path: string): Promise<number> {
    return this.streamFileData(path);
  }

  /** The same; `httpChunks` frames the file as one HTTP/1.1 chunk, followed by the last chunk. (stream_file_data.) */
  streamFileData(path: string, options: { httpChunks?: boolean } = {}): Promise<number> {
    return begun(
      () => commands.sendFile(stream(this.#life, "sendFileData"), path, options),
      this.#life ?? responsible(),
    );
  }

  /** Bytes sent and not yet with the kernel; file bytes apart. (get_outbound_data_size.) */
  get outboundSize(): number {
    return attached(this.#life).outboundSize();
  }

  // TLS ----------------------------------------------------------------------------------------------------------

  /**
   * Begins TLS: in `postInit`, or at any later point where the protocol has agreed on it (STARTTLS). What was sent before leaves in
   * clear, what is sent from here on waits until the connection is secured. A client verifies the certificate's chain and
   * name unless told otherwise. On a client that is still connecting it begins when that is done. (start_tls.)
   *
   * Bytes that were read in clear and not delivered end the connection (`ERR_EM_TLS_PLAINTEXT`): nobody can know who sent them.
   *
   * Throws ArgumentError and TlsError for options it cannot take, `ERR_EM_NOT_OPEN` on a connection that is closing or closed,
   * `ERR_EM_TLS_STARTED` when TLS has begun before, `ERR_EM_WRITE_AFTER_END` after `halfClose`, UnsupportedError over a stream
   * of Node's (`fromDuplex`): give that stream to node:tls first.
   *
   * ```ts
   * override receiveLine(line: string) {
   *   if (line !== "STARTTLS") return;
   *   this.sendData("220 ready\r\n");
   *   this.startTls(context);
   * }
   * ```
   */
  startTls(tls: TlsContext | TlsStartOptions = {}): void {
    Connection.startTls(this, commands.planTls(stream(this.#life, "startTls"), tls));
  }

  /** Whether the TLS handshake is done, and what is sent and received is protected. */
  get isSecure(): boolean {
    return attached(this.#life).tls?.isSecured === true;
  }

  /** What the handshake came to; undefined before, and on a plain connection. */
  get tls(): TlsInfo | undefined {
    return attached(this.#life).tls?.info;
  }

  /** Resolves when the connection is secured; rejects when it ends before, and on one without TLS. Made when asked for. */
  get secured(): Promise<TlsInfo> {
    return commands.secured(attached(this.#life), this.#life ?? responsible());
  }

  /** The peer's certificate; undefined where it showed none. (get_peer_cert, as PEM: `peerCertificate.toString()`.) */
  get peerCertificate(): X509Certificate | undefined {
    return this.tls?.peerCertificate;
  }

  /** (get_cipher_name, get_cipher_bits.) */
  get cipher(): TlsCipher | undefined {
    return this.tls?.cipher;
  }

  /** The version of TLS. (get_cipher_protocol.) */
  get protocol(): TlsVersion | undefined {
    return this.tls?.protocol;
  }

  /** The application protocol that both sides agreed on. */
  get alpnProtocol(): string | undefined {
    return this.tls?.alpnProtocol;
  }

  /** The name the client asked for. (get_sni_hostname.) */
  get sniHostname(): string | undefined {
    return this.tls?.serverName;
  }

  /** Whether the handshake resumed an earlier session; undefined before it is done. */
  get isSessionReused(): boolean | undefined {
    return this.tls?.isSessionReused;
  }

  // Receiving ----------------------------------------------------------------------------------------------------

  /** No `receiveData` and no `receiveEnd` from this moment until `resume`; sending goes on. (EventMachine's pause.) */
  pause(): void {
    attached(this.#life).pause();
  }

  /** What came in meanwhile is delivered in a later turn. */
  resume(): void {
    attached(this.#life).resume();
  }

  /**
   * Whether nothing is delivered until `resume`: after `pause`, between the chunks of a loop, and from the start on a client without a
   * handler.
   */
  get isPaused(): boolean {
    return attached(this.#life).isPaused;
  }

  /**
   * `for await (const chunk of connection)`: what comes in, as fast as the loop takes it; in between the connection is
   * paused. The loop takes the data from `receiveData`; sending goes on as ever, with `drained`. It ends with the peer's
   * FIN, and then the connection ends after what was sent by the end of that turn (with `allowHalfOpen` it stays open for
   * writing). It throws what the connection failed with. Leaving it early closes the connection, after writing.
   *
   * Throws `ERR_EM_CLAIMED` where a stream or another loop has the data, `ERR_EM_CLOSED` on one that is closing or closed.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer, undefined> {
    return new ChunkReader(this, stream(this.#life, "for await"));
  }

  // Relaying -----------------------------------------------------------------------------------------------------

  /**
   * From now on what comes in goes to `target`'s output, after what was sent there before, and `receiveData` is not called: until
   * `length` bytes have passed, until `stopProxying`, or until either connection ends. On the native engine the bytes do not reach
   * JavaScript, and in bulk not even user space. At most `bufferSize` bytes wait in the target. Either connection may be connecting
   * still, and under TLS. Ends are not passed on: `unbind` and `receiveEnd` of this connection decide what becomes of the target.
   * (proxy_incoming_to.)
   *
   * From datagram socket to datagram socket, which has to be connected, each datagram is passed on whole: there `length` has no meaning,
   * the target may be that of several relays and of `sendData`, and what comes while `bufferSize` bytes wait stays with the kernel, which
   * drops what it has no room for.
   *
   * Meanwhile `sendData` on the target throws `ERR_EM_RELAYING`; closing or half-closing it ends the relay. Throws `ArgumentError`
   * for bad options, `ERR_EM_RELAYING` where either takes part in another relay in the same role,
   * `ERR_EM_OTHER_REACTOR`, `ERR_EM_CLAIMED`, `ERR_EM_CLOSED`, `ERR_EM_WRITE_AFTER_END`.
   *
   * ```ts
   * override postInit() {
   *   const backend = connect({ host: "127.0.0.1", port: 5432 }, Connection);
   *   this.proxyIncomingTo(backend);
   *   backend.proxyIncomingTo(this);
   * }
   * ```
   */
  proxyIncomingTo(target: Connection, options: ProxyOptions = {}): void {
    const source = attached(this.#life);
    Connection.pass(this, target, options, {
      completed: () => void source.call(this.proxyCompleted),
      targetEnded: (reason) => void source.call(this.proxyTargetUnbound, reason),
    });
  }

  /**
   * Ends the relay: what has not been passed on yet, and whatever follows, comes to `receiveData`. Without effect where there is none.
   * (stop_proxying.)
   */
  stopProxying(): void {
    attached(this.#life).relaying?.stop();
  }

  /** Bytes that the relay under way has taken from this connection; 0 where there is none. (get_proxied_bytes.) */
  get proxiedBytes(): number {
    return attached(this.#life).relaying?.passed ?? 0;
  }

  // Ending -------------------------------------------------------------------------------------------------------

  /**
   * Closes now; unsent output is dropped. `unbind` comes before the ticks that are asked for after this call, never inside
   * it. Closing twice is harmless. (close_connection.)
   */
  closeConnection(afterWriting = false): void {
    const life = attached(this.#life);
    checkBoolean(afterWriting, "afterWriting");
    if (afterWriting) life.finish();
    else life.close();
  }

  /**
   * Sends everything, then the FIN, discards input until the peer's FIN or the linger deadline, then closes. A
   * `closeConnection` meanwhile closes at once. (close_connection_after_writing.)
   */
  closeConnectionAfterWriting(): void {
    attached(this.#life).finish();
  }

  /** Ends the sending direction: the FIN follows what is queued; data may still come in. */
  halfClose(): void {
    stream(this.#life, "halfClose").halfClose();
  }

  /** Resets the connection: both sides lose what is under way. `unbind` comes as after `closeConnection`. */
  abort(): void {
    attached(this.#life).abort();
  }

  /**
   * Sends what is queued, then gives the descriptor to the caller, who owns it, with the bytes that were read and never
   * delivered. `unbind` follows with reason `detached`. Capability `detach`. (EventMachine's detach.)
   *
   * ```ts
   * const { fd } = await connection.detach();
   * const child = spawnProgram("cat", { stdio: [fd, fd, "inherit"] });
   * closeSync(fd); // The child has its own.
   * ```
   */
  detach(): Promise<{ fd: number; unread: Buffer }> {
    return begun(() => commands.detach(stream(this.#life, "detach")), this.#life ?? responsible());
  }

  /**
   * Starts a new life of this object: `connectionCompleted` or `unbind` follows, no constructor, no `postInit`; reason,
   * counters, promises and deadlines begin anew, the object's own fields stay. Legal from `unbind` on. (reconnect.)
   *
   * Returns whether it begins. False, and nothing follows: the reactor has stopped, or unbinds everything to stop.
   *
   * Throws `ERR_EM_STILL_OPEN` on a connection that has not ended and `ERR_EM_NOT_RECONNECTABLE` on an accepted one.
   */
  reconnect(address: ConnectAddress): boolean {
    Connection.reconnectable(this);
    return this.#redial?.(this, address) === true;
  }

  /**
   * Calls back once, not before `delay` ms from now, unless the connection ends first: then the timer is cancelled before `unbind`. The
   * callback is the connection's as any other: what it throws goes to `onError`. Timers begin with the connection, not with its
   * opening; `reconnect` begins without any. For a timer that outlives the connection use the reactor's `addTimer`.
   *
   * Throws ArgumentError for a bad delay or callback, `ERR_EM_CLOSED` on a connection that has ended.
   *
   * ```ts
   * #reminder: Timer | undefined;
   *
   * override receiveLine() {
   *   this.#reminder?.cancel();
   *   this.#reminder = this.addTimer(30_000, () => this.sendData("are you there?\r\n"));
   * }
   * ```
   */
  addTimer(delay: number, callback: TimerCallback): Timer {
    const life = attached(this.#life);
    checkDuration(delay, "delay");
    checkFunction(callback, "callback");
    if (life.state === State.closed) {
      throw life.asEnd(new StateError("ERR_EM_CLOSED", "addTimer: the connection has ended, and its timers with it"));
    }
    return life.addTimer(delay, callback);
  }

  /** Closes after writing, and waits for the end: `await using connection = …`. */
  [Symbol.asyncDispose](): Promise<void> {
    return answeredFor(commands.finished(this.#life), this.#life ?? responsible());
  }

  // Settings -----------------------------------------------------------------------------------------------------

  /** Milliseconds without traffic after which the connection ends; 0 is off. (comm_inactivity_timeout.) */
  get commInactivityTimeout(): number {
    return attached(this.#life).settings.commInactivityTimeout;
  }
  set commInactivityTimeout(ms: number) {
    attached(this.#life).adjust({ commInactivityTimeout: checkDuration(ms, "commInactivityTimeout") });
  }

  /** How long the connect under way may take in all; 0 is no limit. (pending_connect_timeout.) */
  get pendingConnectTimeout(): number {
    const life = attached(this.#life);
    return life.isStream ? (life.origin.pending?.connectTimeout ?? 0) : 0;
  }
  set pendingConnectTimeout(ms: number) {
    const { pending } = stream(this.#life, "pendingConnectTimeout").origin;
    checkDuration(ms, "pendingConnectTimeout");
    if (pending?.connectTimeout !== undefined) pending.connectTimeout = ms;
  }

  /**
   * Milliseconds from the opening to the peer's first byte, after which the connection ends with reason `timeout`; it stands still
   * while paused. 0 is off, the default.
   * Like the deadlines below it can be set at any time, and setting one throws ArgumentError for what is no duration.
   */
  get firstByteTimeout(): number {
    return attached(this.#life).settings.firstByteTimeout;
  }
  set firstByteTimeout(ms: number) {
    attached(this.#life).adjust({ firstByteTimeout: checkDuration(ms, "firstByteTimeout") });
  }

  /**
   * Milliseconds without a byte from the peer, after which the connection ends; it stands still while paused.
   * 0 is off, the default.
   */
  get readTimeout(): number {
    return attached(this.#life).settings.readTimeout;
  }
  set readTimeout(ms: number) {
    attached(this.#life).adjust({ readTimeout: checkDuration(ms, "readTimeout") });
  }

  /**
   * Milliseconds in which queued output may make no progress, after which the connection ends. 0 is off, the
   * default.
   */
  get writeTimeout(): number {
    return attached(this.#life).settings.writeTimeout;
  }
  set writeTimeout(ms: number) {
    attached(this.#life).adjust({ writeTimeout: checkDuration(ms, "writeTimeout") });
  }

  /** Milliseconds that the connection may be open, after which it ends. 0 is off, the default. */
  get lifetimeTimeout(): number {
    return attached(this.#life).settings.lifetimeTimeout;
  }
  set lifetimeTimeout(ms: number) {
    attached(this.#life).adjust({ lifetimeTimeout: checkDuration(ms, "lifetimeTimeout") });
  }

  /** Milliseconds that a close after writing waits without progress, for the peer to read and to end. Default 5 s. */
  get lingerTimeout(): number {
    return attached(this.#life).settings.lingerTimeout;
  }
  set lingerTimeout(ms: number) {
    attached(this.#life).adjust({ lingerTimeout: checkDuration(ms, "lingerTimeout") });
  }

  /** Bytes of unsent output from which on `sendData` returns false. Default 64 KiB; `setWaterMarks` changes it. */
  get highWaterMark(): number {
    return attached(this.#life).settings.highWaterMark;
  }
  /** Bytes of unsent output at which `drained` comes. Default 16 KiB, or the high-water mark if that is less. */
  get lowWaterMark(): number {
    return attached(this.#life).settings.lowWaterMark;
  }
  /** Changes both marks; `low` default is a quarter of `high`. */
  setWaterMarks(high: number, low?: number): void {
    commands.setWaterMarks(stream(this.#life, "setWaterMarks"), high, low);
  }

  /**
   * Bytes of unsent output over which the next `sendData` closes the connection (reason `outbound-limit`). Default 16 MiB. Setting it throws
   * ArgumentError for what is no count.
   */
  get outboundLimit(): number {
    return attached(this.#life).settings.outboundLimit;
  }
  set outboundLimit(bytes: number) {
    stream(this.#life, "outboundLimit").adjust({ outboundLimit: checkCount(bytes, "outboundLimit") });
  }

  /**
   * TCP_NODELAY. Like all socket options that are set: on a connection that is still connecting it is kept and set when that is
   * open (what the kernel refuses then goes to `onError`); on one that is closing or closed it throws `ERR_EM_NOT_OPEN`.
   */
  setNoDelay(on = true): void {
    commands.setOptions(stream(this.#life, "setNoDelay"), "setNoDelay", { noDelay: checkBoolean(on, "on") });
  }

  /** SO_KEEPALIVE, with the probes' times in milliseconds. Capability `keepAliveProbes` for interval and count. */
  enableKeepalive(probes: KeepAlive = {}): void {
    commands.setOptions(stream(this.#life, "enableKeepalive"), "enableKeepalive", {
      keepAlive: checkKeepAlive(probes) ?? {},
    });
  }

  /** Turns SO_KEEPALIVE off, on the same terms as `setNoDelay`. */
  disableKeepalive(): void {
    commands.setOptions(stream(this.#life, "disableKeepalive"), "disableKeepalive", { keepAliveOff: true });
  }

  /** TCP_USER_TIMEOUT in milliseconds, 0 for the system's. Capability `tcpUserTimeout`. */
  setTcpUserTimeout(ms: number): void {
    commands.setOptions(stream(this.#life, "setTcpUserTimeout"), "setTcpUserTimeout", {
      tcpUserTimeout: checkKernelNumber(ms, "tcpUserTimeout"),
    });
  }

  /** Any socket option by its numbers, as the kernel gives it. Capability `socketOptions`. (get_sock_opt.) */
  getSockOpt(level: number, name: number, size = 4): Buffer {
    return commands.getSocketOption(attached(this.#life), level, name, size);
  }

  /** Sets any socket option; a number is passed as a C int. Capability `socketOptions`. (set_sock_opt.) */
  setSockOpt(level: number, name: number, value: number | Uint8Array): void {
    commands.setSocketOption(attached(this.#life), level, name, value);
  }

  /**
   * The error the kernel holds for the socket; undefined for none, and before it is open. After the end: the system's error that the
   * connection ended with, or the last one that its connect met. (error?)
   */
  getSocketError(): SystemError | undefined {
    return attached(this.#life).socketError();
  }

  /** The process at the other end of a Unix socket when it connected. Capability `peerCredentials`. */
  peerCredentials(): { pid: number; uid: number; gid: number } {
    return commands.peerCredentials(stream(this.#life, "peerCredentials"));
  }

  // Insides ------------------------------------------------------------------------------------------------------

  /** What `console.log` shows: class, number, state and the peer's address. */
  [inspect.custom](): string {
    const name = this.constructor.name;
    if (this.#life === undefined) return `${name} { initial }`;
    const remote = this.#life.remoteAddress();
    return `${name} { #${this.#life.id} ${this.state}${remote === undefined ? "" : ` ${formatAddress(remote)}`} }`;
  }

  /** @internal For protocol classes. */
  [ATTACHED]?(port: StreamPort): void;

  /** @internal */
  static attach(connection: Connection, life: AnyLife, redial: Redial | undefined): void {
    life.id = connection.#life?.id ?? life.core.nextId();
    connection.#life = life;
    connection.#redial = redial;
    if (life.isStream) connection[ATTACHED]?.(life);
  }

  /** @internal Checks that a connection has ended and is one that `reconnect` can begin again; returns the life that ended. */
  static reconnectable(connection: Connection): Transport {
    return commands.reconnectable(stream(connection.#life, "reconnect"));
  }

  /** @internal Begins TLS as planned. */
  static startTls(connection: Connection, plan: TlsPlan): void {
    const base = Connection.prototype;
    stream(connection.#life, "startTls").startTls(plan, {
      verifies: connection.sslVerifyPeer !== base.sslVerifyPeer,
      completes: connection.sslHandshakeCompleted !== base.sslHandshakeCompleted,
    });
  }

  /** @internal For claimants and protocol classes, whose callbacks are called, and fail, like the connection's own. */
  static portOf(connection: Connection): StreamPort {
    return stream(connection.#life, "a bridge or a protocol class");
  }

  /** @internal Throws what `pass` would throw. */
  static checkPass(source: Connection, target: Connection, options: ProxyOptions): void {
    attached(source.#life).checkPass(attached(target.#life), options);
  }

  /** @internal `proxyIncomingTo` for others than the program. */
  static pass(source: Connection, target: Connection, options: ProxyOptions, events: PassingEvents): Relaying {
    if (!(target instanceof Connection)) throw notAConnection("target", target);
    return attached(source.#life).pass(attached(target.#life), options, events);
  }

  /** @internal Whatever carries it. */
  static lifeOf(connection: Connection): AnyLife {
    return attached(connection.#life);
  }
}

setDefaultUnbind(Connection.prototype.unbind);
