import type { Duplex } from "node:stream";
import { describe } from "../base/addresses.js";
import { checkDuration, checkFunction, checkInteger, checkObject } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import type { ExitStatus } from "../base/close_reason.js";
import { isEnd, isPeers } from "../base/error_marks.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { checkNames } from "../base/known_names.js";
import { answeredFor, begun, type Responsible } from "../base/outcome.js";
import { isStopped, stopped } from "../base/stopped.js";
import { isPromise } from "../base/thenable.js";
import { Connection } from "../connection/connection.js";
import { Core } from "../core/core.js";
import type { CoreHost } from "../core/core_host.js";
import { DatagramSocket } from "../datagram/datagram_socket.js";
import type { Resolver } from "../dns/resolver.js";
import { createEngine } from "../engine/select.js";
import type { DatagramAddress } from "../options/datagram_options.js";
import { ATTACH, FROM_DUPLEX } from "../options/option_names.js";
import type {
  ConnectAddress,
  InetServerAddress,
  LocalAddress,
  ServerAddress,
  ServerOptions,
  StreamOptions,
} from "../options/options.js";
import type { Command, PopenOptions, SystemOptions } from "../options/popen_options.js";
import { ChildProcess } from "../process/child_process.js";
import type { CommandChild, CommandWaiter, SystemResult } from "../process/command_child.js";
import { checkFileTail, FileTail, type FileTailTarget } from "../protocols/file_tail.js";
import { ProxyServer, type ProxyServerOptions, type SessionClass } from "../proxy/proxy_server.js";
import { type InetListener, Listener } from "../server/listener.js";
import { PeriodicTimer, Timer, type TimerCallback } from "../timers/timer.js";
import { WaitTimer } from "../timers/wait_timer.js";
import type { ClientTls } from "../tls/tls_start.js";
import { checkFileWatch, FileWatch, type FileWatchTarget } from "../watch/file_watch.js";
import { checkProcess, ProcessWatch } from "../watch/process_watch.js";
import type { WatchedDescriptor } from "../watch/watched_descriptor.js";
import type { WatchTarget } from "../watch/watching.js";
import { Defers } from "../workers/defers.js";
import type { DeferOperation, DeferOptions } from "../workers/operation.js";
import type { WorkerPoolFigures } from "../workers/worker_pool.js";
import type { KeyboardOptions } from "./begins.js";
import * as begins from "./begins.js";
import { ConnectionFactory, type Handler, type OnConnection } from "./connection_factory.js";
import { setCurrentReactor } from "./current.js";
import { checkDrain, type DrainOptions, type DrainResult } from "./drain.js";
import { Lifecycle, type RunOptions } from "./lifecycle.js";
import { checkReactorOptions, type ReactorOptions } from "./reactor_options.js";
import { noteRunning } from "./running.js";
import { type ReactorStats, StatsTaker } from "./stats.js";

/** Takes what no connection took; see `Reactor.onError`. */
export type ErrorHandler = (error: unknown, source: Connection | undefined) => unknown;

/** Told what a command of `system` put out, and how it exited. */
export type SystemCallback = (output: Buffer, status: ExitStatus, errorOutput: Buffer) => unknown;

/**
 * One event loop's worth of connections, listeners, timers and ticks, on one engine. A process may have many, in one
 * thread and in workers; they do not disturb each other. (The module EventMachine, as a class.)
 */
export class Reactor implements Clock, Responsible {
  readonly #core: Core;
  readonly #lifecycle: Lifecycle;
  readonly #stats: StatsTaker;
  readonly #resolver: Resolver;
  readonly #defers: Defers;
  #errorHandler: ErrorHandler | undefined;

  constructor(options: ReactorOptions = {}) {
    const { engine, resolver, outboundLimit, asyncContext, workers } = checkReactorOptions(options);
    this.#resolver = resolver;
    const host: CoreHost = {
      reactor: this,
      reportError: (error, source) => this.#reportError(error, source as Connection | undefined),
      idle: () => this.#lifecycle.idle(),
      entered: () => this.#enter(),
      left: () => this.#leave(),
    };
    this.#core = new Core(host, resolver, outboundLimit, asyncContext);
    this.#defers = new Defers(this.#core, this, workers);
    this.#stats = new StatsTaker(this.#core, this.#defers);
    this.#lifecycle = new Lifecycle(this.#core, {
      open: () => {
        this.#core.open(createEngine(engine));
        noteRunning(this, true);
      },
      close: () => {
        noteRunning(this, false);
        this.#stats.keep();
        this.#core.close();
      },
      within: (action) => this.#within(action),
    });
  }

  // Running ------------------------------------------------------------------------------------------------------

  /**
   * Starts the reactor, calls `block`, awaits what it returns, and resolves when the reactor has stopped: with what the last drain of the
   * run counted, undefined where there was none. Rejects with the
   * error of the block, or of a callback nobody took, after everything was unbound. Can be called again then.
   *
   * On a running reactor it calls `block` at once and resolves with it; its `tail` runs when the outer run ends. (run.)
   */
  run(block: (reactor: this) => unknown = () => {}, options: RunOptions = {}): Promise<DrainResult | undefined> {
    return this.#answered(() => this.#run(block, options));
  }

  async #run(block: (reactor: this) => unknown, options: RunOptions): Promise<DrainResult | undefined> {
    checkFunction(block, "block");
    return this.#lifecycle.run(() => block(this), options);
  }

  /**
   * Ends the run: what was sent in this turn is written as far as the kernel takes it, shutdown hooks run last in, first
   * out, everything is unbound with reason `stop`, and `run` resolves. Harmless when not running. (stop.)
   *
   * Ticks that have not run are dropped, except those of the batch under way. While hooks are awaited everything works as
   * before, ticks and timers too; what is left of them then is gone before the first `unbind`.
   */
  stop(): void {
    this.#lifecycle.stop();
  }

  /**
   * Stops accepting, calls `shutdownRequested` on every connection, waits until all have ended or the deadline (default 10 s) has passed,
   * ends the rest with reason `drain-deadline`, and resolves with how many there were of both; what a stop ends meanwhile counts as
   * aborted. The reactor goes on running. A number is the deadline in milliseconds; `closeIdle` ends connections at once whose `isIdle`
   * says so, `delay` goes on accepting for a while.
   *
   * Rejects with ArgumentError for options it cannot take, and with `ERR_EM_NOT_RUNNING` outside of `run`.
   *
   * ```ts
   * const { finished, aborted } = await reactor.drain({ deadline: 30_000, delay: 5_000, closeIdle: true });
   * ```
   */
  drain(options: number | DrainOptions = {}): Promise<DrainResult> {
    return this.#answered(() => this.#drain(options));
  }

  async #drain(options: number | DrainOptions): Promise<DrainResult> {
    return this.#lifecycle.drain(checkDrain(options));
  }

  /** Whether `run` is under way; still true while it is stopping. (reactor_running?) */
  get isRunning(): boolean {
    return this.#lifecycle.phase !== "idle";
  }

  /** Whether `stop` was called and the run has not ended yet. (stopping?) */
  get isStopping(): boolean {
    return this.#lifecycle.phase === "stopping";
  }

  /** Whether the run goes on: a turn comes for what `nextTick` is given now. A reactor that is stopping may have had its last. */
  get hasTurns(): boolean {
    return this.#lifecycle.phase === "running";
  }

  /** Lets the running reactor keep the process alive, as it does from the start. */
  ref(): this {
    this.#core.hold(true);
    return this;
  }

  /** Lets the process end although the reactor runs, unless one of its timers keeps it alive. */
  unref(): this {
    this.#core.hold(false);
    return this;
  }

  /** Calls `hook` when the reactor stops, before connections are unbound; last added, first called. (add_shutdown_hook.) */
  addShutdownHook(hook: () => unknown): void {
    this.#lifecycle.addHook(checkFunction(hook, "hook"));
  }

  /**
   * Takes errors that no connection's `onError` took: from callbacks, ticks, timers, constructors of accepted connections.
   * Without a handler such an error ends the run, which rejects with it. `undefined` removes the handler. (error_handler.)
   *
   * ```ts
   * reactor.onError((error, source) => console.error(source?.remoteAddress, error));
   * ```
   */
  onError(handler: ErrorHandler | undefined): void {
    this.#errorHandler = handler === undefined ? undefined : (checkFunction(handler, "handler") as ErrorHandler);
  }

  // Time ---------------------------------------------------------------------------------------------------------

  /** Milliseconds on the monotonic clock, read afresh. */
  now(): number {
    return this.#core.now();
  }

  /** The same clock as it stood when the turn under way first asked; fresh outside of turns. (current_time.) */
  get currentTime(): number {
    return this.#core.turnTime();
  }

  /** Calls back once, in the first turn not before `delay` ms from now. (add_timer; seconds there.) */
  addTimer(delay: number, callback: TimerCallback): Timer;
  /** @internal The same for who waits: `stopped` is called where the stop comes first. */
  addTimer(delay: number, callback: TimerCallback, stopped: (error: unknown) => void): Timer;
  addTimer(delay: number, callback: TimerCallback, whenStopped?: (error: unknown) => void): Timer {
    const { timers } = this.#core;
    checkDuration(delay, "delay");
    const deadline = this.#core.now() + delay;
    checkFunction(callback, "callback");
    const timer =
      whenStopped === undefined
        ? new Timer(timers, deadline, callback)
        : new WaitTimer(timers, deadline, callback, timers.waits, () =>
            whenStopped(stopped(this, "the reactor stopped before the time was up")),
          );
    timers.startTimer(timer);
    return timer;
  }

  /** Calls back every `interval` ms, in phase, until cancelled. (add_periodic_timer.) */
  addPeriodicTimer(interval: number, callback: TimerCallback): PeriodicTimer {
    const { timers } = this.#core;
    checkDuration(interval, "interval");
    const timer = new PeriodicTimer(timers, this.#core.now(), interval, checkFunction(callback, "callback"));
    timers.startTimer(timer);
    return timer;
  }

  /** The same as `timer.cancel()`. (cancel_timer.) */
  cancelTimer(timer: Timer): void {
    if (!(timer instanceof Timer)) throw new ArgumentError(`timer must be a Timer, not ${describe(timer)}`);
    timer.cancel();
  }

  /** Timers that wait; a cancelled one does not count. (get_timer_count.) */
  get timerCount(): number {
    return this.#core.timers.size;
  }

  /** Calls back in the next turn, first in, first out; may be called before `run`. (next_tick.) */
  nextTick(callback: () => unknown): void {
    this.#core.nextTick(checkFunction(callback, "callback"));
  }

  /** @internal A tick that a stop does not drop: what somebody waits for comes of it. */
  ownTick(callback: () => void): void {
    this.#core.ownTick({ onTick: callback });
  }

  /** @internal Calls back when a stop is about to unbind everything, and no tick and no timer comes any more. */
  atEnd(callback: () => void): () => void {
    return this.#core.atEnd(callback);
  }

  /** Calls back at once on a running reactor, else in its first turn. (schedule.) */
  schedule(callback: () => unknown): void {
    checkFunction(callback, "callback");
    if (this.#lifecycle.phase === "idle") this.#core.nextTick(callback);
    else this.#core.watch(this.#within(callback));
  }

  // Servers ------------------------------------------------------------------------------------------------------

  /**
   * Listens, and makes a `Handler` with `args` for every connection. On a literal address or a free path the listening has
   * begun when this returns; the promise tells how it went. A name is listened to on all its addresses. (start_server.)
   *
   * Rejects with ArgumentError for a bad address, option or handler, SystemError (`EADDRINUSE`, `EACCES`, …),
   * `ERR_EM_NOT_A_SOCKET`, `ERR_EM_NOT_RUNNING` outside of `run` and where a stop or a drain came before it was listening, and
   * UnsupportedError for an option the engine lacks.
   *
   * ```ts
   * const server = await reactor.startServer({ host: "127.0.0.1", port: 0, maxConnections: 1_000 }, LineText2);
   * console.log(server.port);
   * ```
   */
  startServer<A extends unknown[], C extends Connection>(
    address: InetServerAddress & ServerOptions & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): Promise<InetListener>;
  startServer<A extends unknown[], C extends Connection>(
    address: ServerAddress & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): Promise<Listener>;
  startServer<A extends unknown[], C extends Connection>(
    address: ServerAddress & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): Promise<Listener> {
    return this.#answered(() => this.#startServer(address, handler, args));
  }

  async #startServer<A extends unknown[], C extends Connection>(
    address: ServerAddress & OnConnection<C>,
    handler: Handler<A, C>,
    args: A,
  ): Promise<Listener> {
    this.#mustServe("startServer");
    return begins.listen(this.#core, address, handler, args);
  }

  /**
   * Accepts from a listening descriptor, which is the reactor's from then on; `listenFds` finds those systemd passed.
   * Rejects with `ERR_EM_DESCRIPTOR_OWNED` where a reactor owns it already.
   * (attach_server.)
   */
  attachServer<A extends unknown[], C extends Connection>(
    server: { fd: number } & ServerOptions & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): Promise<Listener> {
    return this.#answered(() => this.#attachServer(server, handler, args));
  }

  async #attachServer<A extends unknown[], C extends Connection>(
    server: { fd: number } & ServerOptions & OnConnection<C>,
    handler: Handler<A, C>,
    args: A,
  ): Promise<Listener> {
    this.#mustServe("attachServer");
    return begins.listenOn(this.#core, server, handler, args);
  }

  /**
   * Listens, and passes each connection on to one of several backends: balanced, retried, and in the kernel where the engine can. With a class that extends
   * `ProxySession` each client has one of it, made with `args`, whose hooks see what passes and may change it. See docs/proxy.md. (em-proxy's Proxy.start.)
   *
   * Rejects with what `startServer` rejects with, and with ArgumentError for backends and options it cannot take.
   *
   * ```ts
   * const proxy = await reactor.startProxy({
   *   listen: { host: "127.0.0.1", port: 0 },
   *   backends: ["127.0.0.1:8081", "127.0.0.1:8082"],
   * });
   * console.log(proxy.port);
   * ```
   */
  startProxy<A extends unknown[]>(
    options: ProxyServerOptions,
    session?: SessionClass<A>,
    ...args: A
  ): Promise<ProxyServer> {
    return this.#answered(() => ProxyServer.start(this, options, session, args));
  }

  /** The same as `listener.close()`. (stop_server.) */
  stopServer(listener: Listener): Promise<void> {
    return this.#answered(() => this.#stopServer(listener));
  }

  async #stopServer(listener: Listener): Promise<void> {
    if (!(listener instanceof Listener)) {
      throw new ArgumentError(`listener must be a Listener, not ${describe(listener)}`);
    }
    await listener.close();
  }

  // Clients ------------------------------------------------------------------------------------------------------

  /**
   * Makes a `Handler` with `args`, begins to connect it and returns it. `connectionCompleted` or `unbind` follows. Without
   * a handler the connection stays paused until somebody takes it. (connect, connect_unix_domain.)
   *
   * When a stop unbinds everything, nothing is begun any more: the connection that is returned is closed, with reason
   * `stop`, and none of its callbacks comes. So it is with `bindConnect`, `attach` and `fromDuplex`.
   *
   * Throws, before the handler is made, ArgumentError for a bad address, option or handler and `ERR_EM_NOT_RUNNING`
   * outside of `run`; what the handler's constructor throws comes through.
   *
   * ```ts
   * const client = reactor.connect({ host: "localhost", port: 7000, connectTimeout: 2_000 }, LineText2, { delimiter: "\r\n" });
   * await client.opened;
   * ```
   */
  connect(address: ConnectAddress & OnConnection): Connection;
  connect<A extends unknown[], C extends Connection>(
    address: ConnectAddress & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): C;
  connect(
    address: ConnectAddress & OnConnection,
    handler: Handler<unknown[], Connection> = Connection,
    ...args: unknown[]
  ): Connection {
    this.#mustRun("connect");
    checkObject(address, "address");
    return this.#within(() => new ConnectionFactory(this.#core, handler, args, address).connect(address));
  }

  /** `connect` from a local address. (bind_connect.) */
  bindConnect(local: LocalAddress, address: ConnectAddress & OnConnection): Connection;
  bindConnect<A extends unknown[], C extends Connection>(
    local: LocalAddress,
    address: ConnectAddress & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): C;
  bindConnect(
    local: LocalAddress,
    address: ConnectAddress & OnConnection,
    handler: Handler<unknown[], Connection> = Connection,
    ...args: unknown[]
  ): Connection {
    this.#mustRun("bindConnect");
    checkObject(local, "local");
    checkObject(address, "address");
    const from = { ...address, localAddress: local };
    return this.#within(() => new ConnectionFactory(this.#core, handler, args, from).connect(from));
  }

  /**
   * Drives a connected stream descriptor as a connection: a socket, one end of a pipe or a FIFO, a terminal. The descriptor is the reactor's
   * from then on. What can only be read throws `ERR_EM_NOT_WRITABLE` where something is sent; what can only be written ends when its reader has gone
   * (on portable at the next write). The new connection ends with `connect-failed` where it cannot be: `ERR_EM_DESCRIPTOR_OWNED` for one that a
   * reactor owns already, `ERR_EM_NOT_POLLABLE` for a regular file. (attach.)
   */
  attach(stream: { fd: number; tls?: ClientTls } & StreamOptions & OnConnection): Connection;
  attach<A extends unknown[], C extends Connection>(
    stream: { fd: number; tls?: ClientTls } & StreamOptions & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): C;
  attach(
    stream: { fd: number; tls?: ClientTls } & StreamOptions & OnConnection,
    handler: Handler<unknown[], Connection> = Connection,
    ...args: unknown[]
  ): Connection {
    this.#mustRun("attach");
    checkObject(stream, "stream");
    checkNames(stream, ATTACH, "stream");
    const fd = checkInteger(stream.fd, "fd", 0);
    return this.#within(() => new ConnectionFactory(this.#core, handler, args, stream).adopt(fd, stream));
  }

  /**
   * Drives a stream of Node's (a `net.Socket`, a `tls.TLSSocket`, one end of anything) by a Connection class, as `connect`
   * drives a socket: `connectionCompleted`, `receiveData`…, `unbind`. The stream is the connection's from then on, and
   * closes with it. An object `{ duplex, …options }` takes the options of `connect` that concern streams; those of sockets
   * reach a stream that is one.
   *
   * Throws ArgumentError for anything but a Duplex of bytes, `ERR_EM_CLOSED` for one that is destroyed or has ended
   * writing, `ERR_EM_NOT_RUNNING`. What needs a descriptor (`detach`, socket options) throws UnsupportedError.
   *
   * ```ts
   * const child = spawnProgram("cat");
   * const talk = reactor.fromDuplex(Duplex.from({ writable: child.stdin, readable: child.stdout }), LineText2);
   * talk.sendData("a line\n");
   * ```
   */
  fromDuplex(duplex: Duplex | ({ duplex: Duplex } & StreamOptions & OnConnection)): Connection;
  fromDuplex<A extends unknown[], C extends Connection>(
    duplex: Duplex | ({ duplex: Duplex } & StreamOptions & OnConnection<C>),
    handler: Handler<A, C>,
    ...args: A
  ): C;
  fromDuplex(
    duplex: Duplex | ({ duplex: Duplex } & StreamOptions & OnConnection),
    handler: Handler<unknown[], Connection> = Connection,
    ...args: unknown[]
  ): Connection {
    this.#mustRun("fromDuplex");
    checkObject(duplex, "duplex");
    const given: { duplex: Duplex } & StreamOptions & OnConnection = "duplex" in duplex ? duplex : { duplex };
    checkNames(given, FROM_DUPLEX, "duplex");
    return this.#within(() => new ConnectionFactory(this.#core, handler, args, given).over(given.duplex, given));
  }

  /**
   * Drives the standard input of the process by a Connection class: a terminal, a pipe or a file. `receiveData` is given what has come, of a terminal a line
   * with its end, or with `raw` each key as it is pressed; `sendData` throws `ERR_EM_NOT_WRITABLE`. The end of the input ends the connection, and is the
   * end for `process.stdin` too. When the connection closes, the terminal is as it was, and the input can be opened again.
   *
   * Throws ArgumentError for bad options and handlers; `ERR_EM_MAIN_THREAD_ONLY` in a worker thread; `ERR_EM_DESCRIPTOR_OWNED` where it is open already, in
   * any reactor; `ERR_EM_CLAIMED` where `process.stdin` decodes for somebody else; `ERR_EM_CLOSED` where it has ended; SystemError `ENOTTY` where `raw` is asked
   * of what is no terminal; `ERR_EM_NOT_RUNNING`. (open_keyboard, which read a byte at a time.)
   */
  openKeyboard(options?: KeyboardOptions & OnConnection): Connection;
  openKeyboard<A extends unknown[], C extends Connection>(handler: Handler<A, C>, ...args: A): C;
  openKeyboard<A extends unknown[], C extends Connection>(
    options: KeyboardOptions & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): C;
  openKeyboard(first: unknown = {}, ...rest: unknown[]): Connection {
    this.#mustRun("openKeyboard");
    const [options, handler = Connection, ...args] =
      typeof first === "function" ? [{}, first, ...rest] : [first, ...rest];
    return this.#within(() =>
      begins.openKeyboard(
        this.#core,
        options as KeyboardOptions & OnConnection,
        handler as Handler<unknown[], Connection>,
        args,
      ),
    );
  }

  // Datagrams ----------------------------------------------------------------------------------------------------

  /**
   * Opens a datagram socket and makes a `Handler` with `args` for it; resolves with that when it is bound. A class that extends
   * `Connection` will do, and may serve streams too; without a handler the socket only sends. What names the options give is resolved
   * first. (open_datagram_socket.)
   *
   * Rejects with ArgumentError for a bad address, option or handler, SystemError (`EADDRINUSE`, `EACCES`, …), the error of a name that
   * is not there, what the handler's constructor throws, `ERR_EM_NOT_RUNNING` outside of `run` and where a stop came first, and
   * UnsupportedError for an option the engine lacks. In all of these there is no socket, and no callback comes.
   *
   * ```ts
   * const socket = await reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramSocket);
   * socket.sendDatagram("requests:1|c", { host: "127.0.0.1", port: 8125 });
   * ```
   */
  openDatagramSocket(address: DatagramAddress & OnConnection<DatagramSocket>): Promise<DatagramSocket>;
  openDatagramSocket<A extends unknown[], C extends Connection>(
    address: DatagramAddress & OnConnection<C>,
    handler: Handler<A, C>,
    ...args: A
  ): Promise<C>;
  openDatagramSocket<A extends unknown[]>(
    address: DatagramAddress & OnConnection,
    handler: Handler<A, Connection> = DatagramSocket,
    ...args: A
  ): Promise<Connection> {
    return this.#answered(() => this.#openDatagramSocket(address, handler, args));
  }

  async #openDatagramSocket<A extends unknown[]>(
    address: DatagramAddress & OnConnection,
    handler: Handler<A, Connection>,
    args: A,
  ): Promise<Connection> {
    this.#mustServe("openDatagramSocket");
    return begins.openDatagramSocket(this.#core, address, handler, args);
  }

  // Child processes ----------------------------------------------------------------------------------------------

  /**
   * Runs a program, and drives it by a Connection class: what is sent goes to its standard input, what it puts out to `receiveData`; see
   * `ChildProcess` for the rest. The command is a list, or text that is split into words; a shell is asked only with `shell: true`. An
   * object `{ command, …options }` takes options. Without a handler the connection is paused, as `connect`'s is. (popen.)
   *
   * Throws ArgumentError for a bad command, option or handler, `ERR_EM_NOT_RUNNING`. What keeps the program from running (`ENOENT`, `EACCES`, …)
   * is the reason of `unbind`, `exec-failed`.
   *
   * ```ts
   * class Lines extends LineText2 {
   *   override receiveLine(line: string) {
   *     console.log(line);
   *   }
   * }
   * const { exit } = await reactor.popen(["git", "log", "--oneline"], Lines).closed;
   * ```
   */
  popen(command: Command | ({ command: Command } & PopenOptions & OnConnection<ChildProcess>)): ChildProcess;
  popen<A extends unknown[], C extends Connection>(
    command: Command | ({ command: Command } & PopenOptions & OnConnection<C>),
    handler: Handler<A, C>,
    ...args: A
  ): C;
  popen<A extends unknown[]>(
    command: Command | ({ command: Command } & PopenOptions & OnConnection<never>),
    handler: Handler<A, Connection> = ChildProcess,
    ...args: A
  ): Connection {
    this.#mustRun("popen");
    return this.#within(() => begins.popen(this.#core, command, handler, args));
  }

  /**
   * Runs a command to its end and resolves with its outputs and its status, whatever that is. Its standard input is `input`, and ends
   * there. With a callback it returns the number of the process, and calls back with output, status and standard error; what goes wrong then
   * goes to `onError`. (system.)
   *
   * Rejects with SystemError where it cannot be run (`ENOENT`, `EACCES`, …), ArgumentError for a bad command or option, `ERR_EM_TIMEOUT` after
   * `timeout`, LimitError `ERR_EM_OUTPUT_LIMIT`, the reason of `signal`, and `ERR_EM_NOT_RUNNING` outside of `run` and where a stop came first.
   *
   * ```ts
   * const { output, status } = await reactor.system(["hostname", "--fqdn"], { timeout: 5_000 });
   * if (status.isSuccess) console.log(String(output));
   * ```
   */
  system(command: Command, options?: SystemOptions): Promise<SystemResult>;
  system(command: Command, callback: SystemCallback): number | undefined;
  system(command: Command, options: SystemOptions, callback: SystemCallback): number | undefined;
  system(
    command: Command,
    second: SystemOptions | SystemCallback = {},
    third?: SystemCallback,
  ): Promise<SystemResult> | number | undefined {
    const callback = typeof second === "function" ? second : third;
    const options = typeof second === "function" ? {} : second;
    if (callback === undefined) {
      return this.#answered(() => new Promise((accept, refuse) => this.#system(command, options, { accept, refuse })));
    }
    checkFunction(callback, "callback");
    return this.#system(command, options, {
      accept: ({ output, status, errorOutput }) => this.#core.watch(callback(output, status, errorOutput)),
      refuse: (error) => this.operationFailed(error),
    })?.pid;
  }

  #system(command: Command, options: SystemOptions, waiter: CommandWaiter): CommandChild | undefined {
    this.#mustServe("system");
    return this.#within(() => begins.system(this.#core, this, command, options, waiter));
  }

  // Descriptors --------------------------------------------------------------------------------------------------

  /**
   * Watches a descriptor that somebody else owns, makes a `Handler` with `args` for it and returns that: its `notifyReadable` and
   * `notifyWritable` are called in every turn in which the descriptor is ready, where they were asked for. It is never read, written or
   * closed. A watch keeps the reactor's company to the end: a drain tells it (`shutdownRequested`) and does not wait for it. Capability
   * `watch`. (watch.)
   *
   * Throws, before the handler is made, ArgumentError for a bad descriptor, option or handler, `ERR_EM_NOT_POLLABLE` for a file that is
   * always ready, `ERR_EM_DESCRIPTOR_OWNED` where a connection, a listener or another watch of any reactor has it, SystemError (`EBADF`),
   * UnsupportedError, and `ERR_EM_NOT_RUNNING` outside of `run`; what the handler's constructor throws comes through.
   *
   * ```ts
   * declare const database: { readonly fd: number; consumeInput(): void };
   *
   * class Replies extends WatchedDescriptor {
   *   override notifyReadable() {
   *     database.consumeInput();
   *   }
   * }
   * reactor.watch({ fd: database.fd, notifiesReadable: true }, Replies);
   * ```
   */
  watch<A extends unknown[], C extends WatchedDescriptor>(
    descriptor: number | (WatchTarget & OnConnection<C>),
    handler: Handler<A, C>,
    ...args: A
  ): C {
    this.#mustRun("watch");
    return this.#within(() => begins.watch(this.#core, descriptor, handler, args));
  }

  // Names --------------------------------------------------------------------------------------------------------

  /** What resolves its names; the program may ask it, too. (EM::DNS::Resolver.) */
  get resolver(): Resolver {
    return this.#resolver;
  }

  // Work beside the loop -----------------------------------------------------------------------------------------

  /**
   * Does an operation beside what is going on, and calls back in a turn of the reactor: `callback` with its result, `errback` with what it threw.
   * The promise is settled then, too. A function runs here, in a turn of its own, and may return a promise; it gets a signal that aborts when it is
   * called off. What needs a processor goes to a thread of the pool: `worker(fn, ...args)`, or `{ module, method, args }`. (defer.)
   *
   * Rejects with what the operation threw, its stack and cause with it; ArgumentError for what is no operation, `ERR_EM_NOT_CLONEABLE` among them;
   * `ERR_EM_DEFER_QUEUE_LIMIT` where too many jobs wait; `ERR_EM_THREAD_ENDED` where its thread ended by itself, which is replaced; `ERR_EM_TIMEOUT`;
   * the reason of `signal`; `ERR_EM_NOT_RUNNING` outside of `run` and where a stop comes first. With neither an errback nor anybody who looks at the
   * promise the error goes to `onError`.
   *
   * ```ts
   * const sum = await reactor.defer(worker((left: number, right: number) => left + right, 1, 2), { timeout: 5_000 });
   * ```
   */
  defer<T>(operation: DeferOperation<T>, options: DeferOptions): Promise<T>;
  defer<T>(
    operation: DeferOperation<T>,
    callback?: (result: T) => unknown,
    errback?: (error: unknown) => unknown,
    options?: DeferOptions,
  ): Promise<T>;
  defer<T>(
    operation: DeferOperation<T>,
    second?: ((result: T) => unknown) | DeferOptions,
    errback?: (error: unknown) => unknown,
    options: DeferOptions = {},
  ): Promise<T> {
    return begun(
      () => {
        this.#mustRun("defer");
        if (typeof second === "object") return this.#defers.defer(operation, undefined, undefined, second);
        return this.#defers.defer(operation, second, errback, options);
      },
      this.isRunning ? this : undefined,
    );
  }

  /** Whether all that was deferred is done, and its callbacks have run. (defers_finished?) */
  get defersFinished(): boolean {
    return this.#defers.areFinished;
  }

  /** The most threads that `defer` has, from 1 to 1024; may be set at any time. (threadpool_size.) */
  get threadpoolSize(): number {
    return this.#defers.size;
  }

  set threadpoolSize(size: number) {
    this.#defers.size = size;
  }

  /** The threads of `defer` and their jobs, as they are now. (threadpool.) */
  get threadpool(): WorkerPoolFigures {
    return this.#defers.figures;
  }

  // Watches of files -----------------------------------------------------------------------------------------------

  /**
   * Watches a file, or a folder and what is in it (`{ path, recursive: true }` for whatever is below it), and makes a `Handler` with `args` for it. Several
   * watches of one path do not disturb each other; a drain leaves them. A folder is read when the watch begins. (watch_file.)
   *
   * Throws SystemError where nothing is there (`ENOENT`) or it cannot be watched (`EACCES`, `ENOSPC` at the system's limit of watches), ArgumentError for a bad path,
   * option or handler, and `ERR_EM_NOT_RUNNING`.
   *
   * ```ts
   * class Reload extends FileWatch {
   *   override fileModified() {
   *     console.log("read", this.path, "again");
   *   }
   * }
   * reactor.watchFile("/etc/app.conf", Reload);
   * ```
   */
  watchFile<A extends unknown[], W extends FileWatch>(
    path: string | FileWatchTarget,
    handler: new (...args: A) => W,
    ...args: A
  ): W {
    this.#mustRun("watchFile");
    const target = checkFileWatch(path);
    checkSubclass(handler, FileWatch);
    return this.#within(() => {
      const watch = new handler(...args);
      FileWatch.begin(watch, this.#core, target);
      return watch;
    });
  }

  /**
   * Reads a file, or those that a pattern means (`{ glob }`), as they grow, in lines: see `FileTail`.
   *
   * Throws SystemError where the folder is not there (`ENOENT`) or cannot be watched, ArgumentError for bad options or a bad handler, and `ERR_EM_NOT_RUNNING`.
   */
  tailFile<A extends unknown[], T extends FileTail>(
    path: string | FileTailTarget,
    handler: new (...args: A) => T,
    ...args: A
  ): T {
    this.#mustRun("tailFile");
    const settings = checkFileTail(path);
    checkSubclass(handler, FileTail);
    return this.#within(() => {
      const tail = new handler(...args);
      FileTail.begin(tail, this.#core, settings);
      return tail;
    });
  }

  /**
   * Watches a process, of whoever's it is, and makes a `Handler` with `args` for it. Capability `processWatch`. (watch_process.)
   *
   * Throws SystemError where there is no such process (`ESRCH`), ArgumentError for a bad number or handler, UnsupportedError, and `ERR_EM_NOT_RUNNING`.
   *
   * ```ts
   * class Server extends ProcessWatch {
   *   override processExited() {
   *     console.log(this.pid, "is gone");
   *   }
   * }
   * reactor.watchProcess(4711, Server);
   * ```
   */
  watchProcess<A extends unknown[], W extends ProcessWatch>(
    pid: number,
    handler: new (...args: A) => W,
    ...args: A
  ): W {
    this.#mustRun("watchProcess");
    checkSubclass(handler, ProcessWatch);
    const number = checkProcess(this.#core, pid);
    return this.#within(() => {
      const watch = new handler(...args);
      ProcessWatch.begin(watch, this.#core, number);
      return watch;
    });
  }

  // Looking in ---------------------------------------------------------------------------------------------------

  /** Connections that are open or being opened; listeners do not count. (get_connection_count counted them.) */
  get connectionCount(): number {
    return this.#core.connectionCount;
  }

  /** Plain counters; taking them costs little. */
  stats(): ReactorStats {
    return this.#stats.take();
  }

  // Insides ------------------------------------------------------------------------------------------------------

  #before: Reactor | undefined;

  #enter(): void {
    this.#before = setCurrentReactor(this);
  }

  #leave(): void {
    setCurrentReactor(this.#before);
  }

  #within<T>(action: () => T): T {
    const before = setCurrentReactor(this);
    try {
      return action();
    } finally {
      setCurrentReactor(before);
    }
  }

  /** What the program began on this reactor; outside of `run` it is Node's business. */
  #answered<T>(begin: () => Promise<T>): Promise<T> {
    return this.isRunning ? answeredFor(begin(), this) : begin();
  }

  /** @internal An operation failed, and nobody looks at its promise. What is only a connection's end is its `unbind`'s. */
  operationFailed(error: unknown): void {
    if (!isEnd(error)) this.#reportError(error, undefined);
  }

  #reportError(error: unknown, source: Connection | undefined): void {
    const handler = this.#errorHandler;
    if (isStopped(this, error)) return;
    if (handler === undefined) {
      // What a peer has done ends its connection, whose `unbind` says so, and never the server.
      if (!isPeers(error)) this.#lifecycle.fail(error);
      return;
    }
    try {
      const result = this.#within(() => handler(error, source));
      if (isPromise(result)) result.then(undefined, (second: unknown) => this.#lifecycle.fail(second));
    } catch (second) {
      this.#lifecycle.fail(second);
    }
  }

  #mustRun(method: string): void {
    if (this.#lifecycle.phase !== "idle") return;
    throw new StateError("ERR_EM_NOT_RUNNING", `${method}: the reactor is not running: call it inside run`);
  }

  /** What serves is not begun any more when a stop unbinds everything. */
  #mustServe(method: string): void {
    this.#mustRun(method);
    if (!this.#core.isAccepting) throw stopped(this, `${method}: the reactor is stopping`);
  }
}

/** A class to be made for a watch. */
function checkSubclass(handler: unknown, base: typeof FileWatch | typeof ProcessWatch | typeof FileTail): void {
  const isOne =
    typeof handler === "function" && (handler === base || (handler.prototype as unknown) instanceof (base as never));
  if (isOne) return;
  throw new ArgumentError(
    `handler must be a class that extends ${base.name}, not ${describe(handler)}`,
    "ERR_EM_INVALID_HANDLER",
  );
}
