import { checkBoolean, checkInteger, checkObject } from "../base/checks.js";
import { checkNames } from "../base/known_names.js";
import type { Connection } from "../connection/connection.js";
import type { Core } from "../core/core.js";
import { DatagramOpening } from "../datagram/datagram_opening.js";
import { KeyboardInput } from "../interop/keyboard_input.js";
import { checkDatagramAddress, type DatagramAddress } from "../options/datagram_options.js";
import { ATTACH_SERVER, OPEN_KEYBOARD, START_SERVER, WATCH } from "../options/option_names.js";
import {
  checkListenOptions,
  checkServerAddress,
  checkStreamOptions,
  type ServerAddress,
  type ServerOptions,
  type StreamOptions,
} from "../options/options.js";
import {
  type Command,
  checkPopen,
  checkSystem,
  type PopenOptions,
  readCommand,
  type SystemOptions,
} from "../options/popen_options.js";
import { requireCapability } from "../options/required.js";
import { CommandChild, type CommandWaiter } from "../process/command_child.js";
import { shellWords } from "../process/shell_words.js";
import type { Listener } from "../server/listener.js";
import { ListenerTls } from "../server/listener_tls.js";
import { ServerStarter } from "../server/serve.js";
import { WatchedDescriptor } from "../watch/watched_descriptor.js";
import { beginWatch, type WatchTarget } from "../watch/watching.js";
import { ConnectionFactory, type Handler, type OnConnection } from "./connection_factory.js";

// What the methods of `Reactor` begin: they check their arguments, and hand them to the room that does the work.

/** Listens on an address, and makes a connection of the class for whoever comes. */
export async function listen<A extends unknown[], C extends Connection>(
  core: Core,
  address: ServerAddress & OnConnection<C>,
  handler: Handler<A, C>,
  args: A,
): Promise<Listener> {
  const target = checkServerAddress(address);
  checkNames(address, START_SERVER, "address");
  return serve(core, target, address, handler, args);
}

/** The same on a descriptor that listens already. */
export async function listenOn<A extends unknown[], C extends Connection>(
  core: Core,
  server: { fd: number } & ServerOptions & OnConnection<C>,
  handler: Handler<A, C>,
  args: A,
): Promise<Listener> {
  checkObject(server, "server");
  checkNames(server, ATTACH_SERVER, "server");
  return serve(core, { fd: checkInteger(server.fd, "fd", 0) }, server, handler, args);
}

function serve<A extends unknown[], C extends Connection>(
  core: Core,
  target: Parameters<ServerStarter["start"]>[0],
  options: ServerOptions & OnConnection<C>,
  handler: Handler<A, C>,
  args: A,
): Promise<Listener> {
  const maker = new ConnectionFactory(core, handler, args, options).maker(checkStreamOptions(options));
  const settings = checkListenOptions(options);
  if (options.acceptQuota !== undefined) requireCapability(core.engine, "acceptQuota");
  const tls = options.tls === undefined ? undefined : new ListenerTls(core, options.tls);
  return new ServerStarter(core, maker, settings, tls).start(target);
}

export function openDatagramSocket<A extends unknown[]>(
  core: Core,
  address: DatagramAddress & OnConnection,
  handler: Handler<A, Connection>,
  args: A,
): Promise<Connection> {
  const settings = checkDatagramAddress(address);
  const maker = new ConnectionFactory(core, handler, args, address).maker(settings.life);
  return new DatagramOpening(core, settings, maker).start();
}

/** What of the standard input is read. */
export interface KeyboardOptions extends StreamOptions {
  /** Of a terminal, each key as it is pressed, unseen and without a meaning, `Ctrl-C` too. Default false: lines, when they are complete. */
  raw?: boolean;
}

export function openKeyboard<A extends unknown[]>(
  core: Core,
  options: KeyboardOptions & OnConnection,
  handler: Handler<A, Connection>,
  args: A,
): Connection {
  checkObject(options, "options");
  checkNames(options, OPEN_KEYBOARD, "options");
  const raw = checkBoolean(options.raw ?? false, "raw");
  checkStreamOptions(options);
  const factory = new ConnectionFactory(core, handler, args, options);
  const input = new KeyboardInput(raw);
  try {
    return factory.over(input, options, true);
  } catch (error) {
    input.destroy();
    throw error;
  }
}

export function popen<A extends unknown[]>(
  core: Core,
  command: Command | ({ command: Command } & PopenOptions & OnConnection<never>),
  handler: Handler<A, Connection>,
  args: A,
): Connection {
  const given = readCommand(command);
  const settings = checkPopen(given, shellWords);
  return new ConnectionFactory(core, handler, args, given as OnConnection).popen(settings);
}

export function system(
  core: Core,
  reactor: object,
  command: Command,
  options: SystemOptions,
  waiter: CommandWaiter,
): CommandChild | undefined {
  const settings = checkSystem(command, options, shellWords);
  if (settings.signal?.aborted) {
    waiter.refuse(settings.signal.reason);
    return undefined;
  }
  const args: ConstructorParameters<typeof CommandChild> = [settings, reactor, waiter];
  return new ConnectionFactory(core, CommandChild, args, {}).popen(settings.popen);
}

export function watch<A extends unknown[], C extends WatchedDescriptor>(
  core: Core,
  descriptor: number | (WatchTarget & OnConnection<C>),
  handler: Handler<A, C>,
  args: A,
): C {
  const given: WatchTarget & OnConnection<C> = typeof descriptor === "number" ? { fd: descriptor } : descriptor;
  checkObject(given, "descriptor");
  checkNames(given, WATCH, "descriptor");
  const { fd, notifiesReadable = false, notifiesWritable = false } = given;
  const options = {
    fd: checkInteger(fd, "fd", 0),
    notifiesReadable: checkBoolean(notifiesReadable, "notifiesReadable"),
    notifiesWritable: checkBoolean(notifiesWritable, "notifiesWritable"),
  };
  const factory = new ConnectionFactory(core, handler, args, given, WatchedDescriptor);
  return beginWatch(core, options, factory.watcher());
}
