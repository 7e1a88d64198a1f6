export {
  formatAddress,
  type InetAddress,
  parseAddress,
  type SocketAddress,
  type UnixAddress,
} from "./base/addresses.js";
export type { Cancellable, Clock } from "./base/clock.js";
export type { CloseReason, CloseReasonKind, DeadlineName } from "./base/close_reason.js";
export {
  ArgumentError,
  ConnectError,
  EventMachineError,
  LimitError,
  StateError,
  UnsupportedError,
} from "./base/errors.js";
export { SystemError } from "./base/system_error.js";
export { CAPABILITIES, type Capability } from "./engine/capabilities.js";
export { type EngineInfo, type EngineName, engineInfo } from "./engine/select.js";
export type { KeepAlive } from "./engine/streams.js";
export { LineCodec, type LineEvents, type LineOptions } from "./protocols/line_codec.js";
export type { DelimiterPattern } from "./protocols/line_delimiter.js";
export type { LineEncoding } from "./protocols/line_input.js";
export { LineText2 } from "./protocols/line_text2.js";
export { Connection, type ConnectionState, type SendData } from "./reactor/connection.js";
export type { Handler } from "./reactor/connection_factory.js";
export {
  addPeriodicTimer,
  addShutdownHook,
  addTimer,
  attach,
  attachServer,
  bindConnect,
  cancelTimer,
  connect,
  connectionCount,
  currentTime,
  drain,
  isRunning,
  nextTick,
  onError,
  reactor,
  run,
  schedule,
  startServer,
  stats,
  stop,
  stopServer,
  timerCount,
} from "./reactor/default_reactor.js";
export type { RunOptions } from "./reactor/lifecycle.js";
export { listenFds } from "./reactor/listen_fds.js";
export type { Listener } from "./reactor/listener.js";
export type {
  ConnectAddress,
  ConnectOptions,
  LocalAddress,
  ServerAddress,
  ServerOptions,
  StreamOptions,
} from "./reactor/options.js";
export { type ErrorHandler, Reactor, type ReactorOptions, type ReactorStats } from "./reactor/reactor.js";
export type { Resolver } from "./reactor/resolve.js";
export { PeriodicTimer, Timer, type TimerCallback } from "./reactor/timer.js";
