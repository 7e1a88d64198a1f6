import type { Duplex } from "node:stream";
import type { Connection } from "../connection/connection.js";
import { DatagramSocket } from "../datagram/datagram_socket.js";
import type { DatagramAddress } from "../options/datagram_options.js";
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
import type { SystemResult } from "../process/command_child.js";
import type { FileTail, FileTailTarget } from "../protocols/file_tail.js";
import type { ProxyServer, ProxyServerOptions, SessionClass } from "../proxy/proxy_server.js";
import type { InetListener, Listener } from "../server/listener.js";
import type { PeriodicTimer, Timer, TimerCallback } from "../timers/timer.js";
import type { ClientTls } from "../tls/tls_start.js";
import type { FileWatch, FileWatchTarget } from "../watch/file_watch.js";
import type { ProcessWatch } from "../watch/process_watch.js";
import type { WatchedDescriptor } from "../watch/watched_descriptor.js";
import type { WatchTarget } from "../watch/watching.js";
import type { DeferOperation, DeferOptions } from "../workers/operation.js";
import type { KeyboardOptions } from "./begins.js";
import type { Handler, OnConnection } from "./connection_factory.js";
import { currentReactor } from "./current.js";
import type { DrainOptions, DrainResult } from "./drain.js";
import type { RunOptions } from "./lifecycle.js";
import { type ErrorHandler, Reactor, type SystemCallback } from "./reactor.js";
import type { ReactorStats } from "./stats.js";

let defaultOne: Reactor | undefined;

/** The reactor that module-level functions act on here: the one whose callback is running, else the process's default. */
export function reactor(): Reactor {
  const running = currentReactor();
  if (running !== undefined) return running;
  defaultOne ??= new Reactor();
  return defaultOne;
}

/** `Reactor.run` on the current reactor. */
export function run(block?: (reactor: Reactor) => unknown, options?: RunOptions): Promise<DrainResult | undefined> {
  return reactor().run(block, options);
}

/** `Reactor.stop` on the current reactor. */
export function stop(): void {
  reactor().stop();
}

/** `Reactor.drain` on the current reactor. */
export function drain(options?: number | DrainOptions): Promise<DrainResult> {
  return reactor().drain(options);
}

/** `Reactor.startServer` on the current reactor. */
export function startServer<A extends unknown[], C extends Connection>(
  address: InetServerAddress & ServerOptions & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): Promise<InetListener>;
export function startServer<A extends unknown[], C extends Connection>(
  address: ServerAddress & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): Promise<Listener>;
export function startServer<A extends unknown[], C extends Connection>(
  address: ServerAddress & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): Promise<Listener> {
  return reactor().startServer(address, handler, ...args);
}

/** `Reactor.startProxy` on the current reactor. */
export function startProxy<A extends unknown[]>(
  options: ProxyServerOptions,
  session?: SessionClass<A>,
  ...args: A
): Promise<ProxyServer> {
  return reactor().startProxy(options, session, ...args);
}

/** `Reactor.attachServer` on the current reactor. */
export function attachServer<A extends unknown[], C extends Connection>(
  server: { fd: number } & ServerOptions & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): Promise<Listener> {
  return reactor().attachServer(server, handler, ...args);
}

/** `Reactor.stopServer` on the current reactor. */
export function stopServer(listener: Listener): Promise<void> {
  return reactor().stopServer(listener);
}

/** `Reactor.connect` on the current reactor. */
export function connect(address: ConnectAddress & OnConnection): Connection;
export function connect<A extends unknown[], C extends Connection>(
  address: ConnectAddress & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): C;
export function connect(
  address: ConnectAddress & OnConnection,
  ...rest: [] | [Handler<unknown[], Connection>, ...unknown[]]
): Connection {
  const [handler, ...args] = rest;
  return handler === undefined ? reactor().connect(address) : reactor().connect(address, handler, ...args);
}

/** `Reactor.bindConnect` on the current reactor. */
export function bindConnect(local: LocalAddress, address: ConnectAddress & OnConnection): Connection;
export function bindConnect<A extends unknown[], C extends Connection>(
  local: LocalAddress,
  address: ConnectAddress & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): C;
export function bindConnect(
  local: LocalAddress,
  address: ConnectAddress & OnConnection,
  ...rest: [] | [Handler<unknown[], Connection>, ...unknown[]]
): Connection {
  const [handler, ...args] = rest;
  if (handler === undefined) return reactor().bindConnect(local, address);
  return reactor().bindConnect(local, address, handler, ...args);
}

/** `Reactor.watch` on the current reactor. */
export function watch<A extends unknown[], C extends WatchedDescriptor>(
  descriptor: number | (WatchTarget & OnConnection<C>),
  handler: Handler<A, C>,
  ...args: A
): C {
  return reactor().watch(descriptor, handler, ...args);
}

/** `Reactor.openDatagramSocket` on the current reactor. */
export function openDatagramSocket(address: DatagramAddress & OnConnection<DatagramSocket>): Promise<DatagramSocket>;
export function openDatagramSocket<A extends unknown[], C extends Connection>(
  address: DatagramAddress & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): Promise<C>;
export function openDatagramSocket<A extends unknown[]>(
  address: DatagramAddress & OnConnection<never>,
  handler: Handler<A, Connection> = DatagramSocket,
  ...args: A
): Promise<Connection> {
  return reactor().openDatagramSocket(address as DatagramAddress & OnConnection, handler, ...args);
}

/** `Reactor.attach` on the current reactor. */
export function attach(stream: { fd: number; tls?: ClientTls } & StreamOptions & OnConnection): Connection;
export function attach<A extends unknown[], C extends Connection>(
  stream: { fd: number; tls?: ClientTls } & StreamOptions & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): C;
export function attach(
  stream: { fd: number; tls?: ClientTls } & StreamOptions & OnConnection,
  ...rest: [] | [Handler<unknown[], Connection>, ...unknown[]]
): Connection {
  const [handler, ...args] = rest;
  return handler === undefined ? reactor().attach(stream) : reactor().attach(stream, handler, ...args);
}

/** `Reactor.fromDuplex` on the current reactor. */
export function fromDuplex(duplex: Duplex | ({ duplex: Duplex } & StreamOptions & OnConnection)): Connection;
export function fromDuplex<A extends unknown[], C extends Connection>(
  duplex: Duplex | ({ duplex: Duplex } & StreamOptions & OnConnection<C>),
  handler: Handler<A, C>,
  ...args: A
): C;
export function fromDuplex(
  duplex: Duplex | ({ duplex: Duplex } & StreamOptions & OnConnection),
  ...rest: [] | [Handler<unknown[], Connection>, ...unknown[]]
): Connection {
  const [handler, ...args] = rest;
  return handler === undefined ? reactor().fromDuplex(duplex) : reactor().fromDuplex(duplex, handler, ...args);
}

/** `Reactor.openKeyboard` on the current reactor. */
export function openKeyboard(options?: KeyboardOptions & OnConnection): Connection;
export function openKeyboard<A extends unknown[], C extends Connection>(handler: Handler<A, C>, ...args: A): C;
export function openKeyboard<A extends unknown[], C extends Connection>(
  options: KeyboardOptions & OnConnection<C>,
  handler: Handler<A, C>,
  ...args: A
): C;
export function openKeyboard(...args: unknown[]): Connection {
  const current = reactor();
  return Reflect.apply(current.openKeyboard, current, args);
}

/** `Reactor.popen` on the current reactor. */
export function popen(
  command: Command | ({ command: Command } & PopenOptions & OnConnection<ChildProcess>),
): ChildProcess;
export function popen<A extends unknown[], C extends Connection>(
  command: Command | ({ command: Command } & PopenOptions & OnConnection<C>),
  handler: Handler<A, C>,
  ...args: A
): C;
export function popen<A extends unknown[]>(
  command: Command | ({ command: Command } & PopenOptions & OnConnection<never>),
  handler: Handler<A, Connection> = ChildProcess,
  ...args: A
): Connection {
  return reactor().popen(command as Command, handler, ...args);
}

/** `Reactor.system` on the current reactor. */
export function system(command: Command, options?: SystemOptions): Promise<SystemResult>;
export function system(command: Command, callback: SystemCallback): number | undefined;
export function system(command: Command, options: SystemOptions, callback: SystemCallback): number | undefined;
export function system(
  command: Command,
  second?: SystemOptions | SystemCallback,
  third?: SystemCallback,
): Promise<SystemResult> | number | undefined {
  return reactor().system(command, second as SystemOptions, third as SystemCallback);
}

/** `Reactor.watchFile` on the current reactor. */
export function watchFile<A extends unknown[], W extends FileWatch>(
  path: string | FileWatchTarget,
  handler: new (...args: A) => W,
  ...args: A
): W {
  return reactor().watchFile(path, handler, ...args);
}

/** `Reactor.watchProcess` on the current reactor. */
export function watchProcess<A extends unknown[], W extends ProcessWatch>(
  pid: number,
  handler: new (...args: A) => W,
  ...args: A
): W {
  return reactor().watchProcess(pid, handler, ...args);
}

/** `Reactor.tailFile` on the current reactor. */
export function tailFile<A extends unknown[], T extends FileTail>(
  path: string | FileTailTarget,
  handler: new (...args: A) => T,
  ...args: A
): T {
  return reactor().tailFile(path, handler, ...args);
}

/** `Reactor.nextTick` on the current reactor. */
export function nextTick(callback: () => unknown): void {
  reactor().nextTick(callback);
}

/** `Reactor.schedule` on the current reactor. */
export function schedule(callback: () => unknown): void {
  reactor().schedule(callback);
}

/** `Reactor.addTimer` on the current reactor. */
export function addTimer(delay: number, callback: TimerCallback): Timer {
  return reactor().addTimer(delay, callback);
}

/** `Reactor.addPeriodicTimer` on the current reactor. */
export function addPeriodicTimer(interval: number, callback: TimerCallback): PeriodicTimer {
  return reactor().addPeriodicTimer(interval, callback);
}

/** `Reactor.cancelTimer` on the current reactor. */
export function cancelTimer(timer: Timer): void {
  reactor().cancelTimer(timer);
}

/** `Reactor.addShutdownHook` on the current reactor. */
export function addShutdownHook(hook: () => unknown): void {
  reactor().addShutdownHook(hook);
}

/** `Reactor.onError` on the current reactor. */
export function onError(handler: ErrorHandler | undefined): void {
  reactor().onError(handler);
}

/** `Reactor.isRunning` of the current reactor. */
export function isRunning(): boolean {
  return reactor().isRunning;
}

/** `Reactor.connectionCount` of the current reactor. */
export function connectionCount(): number {
  return reactor().connectionCount;
}

/** `Reactor.timerCount` of the current reactor. */
export function timerCount(): number {
  return reactor().timerCount;
}

/** `Reactor.currentTime` of the current reactor. */
export function currentTime(): number {
  return reactor().currentTime;
}

/** `Reactor.stats` of the current reactor. */
export function stats(): ReactorStats {
  return reactor().stats();
}

/** `Reactor.defer` on the current reactor. */
export function defer<T>(operation: DeferOperation<T>, options: DeferOptions): Promise<T>;
export function defer<T>(
  operation: DeferOperation<T>,
  callback?: (result: T) => unknown,
  errback?: (error: unknown) => unknown,
  options?: DeferOptions,
): Promise<T>;
export function defer<T>(
  operation: DeferOperation<T>,
  second?: ((result: T) => unknown) | DeferOptions,
  ...rest: [((error: unknown) => unknown)?, DeferOptions?]
): Promise<T> {
  return reactor().defer(operation, second as (result: T) => unknown, ...rest);
}

/** `Reactor.defersFinished` of the current reactor. */
export function defersFinished(): boolean {
  return reactor().defersFinished;
}
