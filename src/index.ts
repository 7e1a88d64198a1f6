import "./reactor/toolbox_clock.js";

export {
  formatAddress,
  type InetAddress,
  parseAddress,
  type SocketAddress,
  type UnixAddress,
} from "./base/addresses.js";
export type { Cancellable, Clock } from "./base/clock.js";
export type { CloseReason, CloseReasonKind, DeadlineName, ExitStatus } from "./base/close_reason.js";
export {
  ArgumentError,
  ConnectError,
  type ErrorDetails,
  EventMachineError,
  type ExitDetails,
  ExitError,
  LimitError,
  StateError,
  type TlsAlert,
  TlsError,
  type TlsErrorDetails,
  UnsupportedError,
} from "./base/errors.js";
export { SystemError } from "./base/system_error.js";
export { type ReconnectOptions, ReconnectPolicy } from "./client/reconnect_policy.js";
export { type Peeked, type PeekedProtocol, peekProtocol } from "./codecs/peek/peek.js";
export {
  type ProxyHeader,
  ProxyHeaderError,
  type ProxyTlv,
  ProxyTlvType,
} from "./codecs/proxy/header.js";
export { ProxyHeaderParser } from "./codecs/proxy/parser.js";
export { type ProxyHeaderOptions, proxyHeader } from "./codecs/proxy/serializer.js";
export { Connection, type ConnectionState, type SendData } from "./connection/connection.js";
export type { ProxyOptions } from "./connection/proxying.js";
export type { Via } from "./connection/via.js";
export { DatagramSocket, type DatagramSocketCounters } from "./datagram/datagram_socket.js";
export type { AddressRecord, NameLookup } from "./dns/lookups.js";
export {
  type ResolveHostOptions,
  type ResolveOptions,
  Resolver,
  type ResolverOptions,
  type ResolverStats,
} from "./dns/resolver.js";
export type { ServiceTarget } from "./dns/services.js";
export { CAPABILITIES, type Capability } from "./engine/capabilities.js";
export type { DatagramCounters, DatagramInfo } from "./engine/datagrams.js";
export { type EngineInfo, type EngineName, engineInfo } from "./engine/select.js";
export type { KeepAlive } from "./engine/socket_options.js";
export type { TlsVersion } from "./engine/tls.js";
export { ConnectionDuplex, type DuplexOptions, toDuplex } from "./interop/connection_duplex.js";
export { toWeb, type WebStreams } from "./interop/to_web.js";
export type {
  DatagramAddress,
  DatagramDestination,
  DatagramInetAddress,
  DatagramInetDestination,
  DatagramSocketOptions,
  DatagramUnixAddress,
  DatagramUnixDestination,
  MulticastOptions,
} from "./options/datagram_options.js";
export type {
  ConnectAddress,
  ConnectOptions,
  InetConnectAddress,
  InetServerAddress,
  LocalAddress,
  ProxyProtocolOptions,
  ServerAddress,
  ServerOptions,
  StreamOptions,
  UnixConnectAddress,
  UnixServerAddress,
} from "./options/options.js";
export type { Command, PopenOptions, SystemOptions } from "./options/popen_options.js";
export { ChildProcess } from "./process/child_process.js";
export type { SystemResult } from "./process/command_child.js";
export { setDescriptorTableSize } from "./process/descriptor_table.js";
export { setEffectiveUser } from "./process/effective_user.js";
export { FileTail, type FileTailTarget, type TailPosition } from "./protocols/file_tail.js";
export { type FramesOptions, frame, frames } from "./protocols/frames.js";
export { LineCodec, type LineEvents, type LineOptions } from "./protocols/line_codec.js";
export type { DelimiterPattern } from "./protocols/line_delimiter.js";
export type { LineEncoding } from "./protocols/line_input.js";
export { LineText2 } from "./protocols/line_text2.js";
export { type LinesOptions, lines } from "./protocols/lines.js";
export type { AccessOptions, RateOptions } from "./proxy/access.js";
export type { BackendList, BackendOptions, BackendState, BackendStatus } from "./proxy/backend.js";
export type { EjectionOptions, NoBackend, ProxyQueueOptions } from "./proxy/backend_pool.js";
export type { Balance } from "./proxy/balance.js";
export type { DiscoverOptions } from "./proxy/discovery.js";
export type { HealthOptions } from "./proxy/health_checks.js";
export { ProxyServer, type ProxyServerOptions, type ProxyStats, type SessionClass } from "./proxy/proxy_server.js";
export {
  type ProxyEnd,
  type ProxyLeg,
  type ProxyOutcome,
  ProxySession,
  type ProxyVerdict,
} from "./proxy/proxy_session.js";
export type { RouteOptions } from "./proxy/routes.js";
export type { KeyboardOptions } from "./reactor/begins.js";
export { CommandRunner, type CommandRunnerOptions } from "./reactor/command_runner.js";
export type { Handler, OnConnection } from "./reactor/connection_factory.js";
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
  defer,
  defersFinished,
  drain,
  fromDuplex,
  isRunning,
  nextTick,
  onError,
  openDatagramSocket,
  openKeyboard,
  popen,
  reactor,
  run,
  schedule,
  startProxy,
  startServer,
  stats,
  stop,
  stopServer,
  system,
  tailFile,
  timerCount,
  watch,
  watchFile,
  watchProcess,
} from "./reactor/default_reactor.js";
export { DeferrableChildProcess } from "./reactor/deferrable_child_process.js";
export type { DiagnosticsMessages } from "./reactor/diagnostics_messages.js";
export { DNS } from "./reactor/dns.js";
export type { DrainOptions, DrainResult } from "./reactor/drain.js";
export type { RunOptions } from "./reactor/lifecycle.js";
export { type ErrorHandler, Reactor, type SystemCallback } from "./reactor/reactor.js";
export type { ReactorOptions } from "./reactor/reactor_options.js";
export type { ReactorStats } from "./reactor/stats.js";
export {
  disableProxy,
  enableProxy,
  type RelayedDirection,
  type RelayOptions,
  type RelayOutcome,
  relay,
} from "./relay/relay.js";
export { listenFds } from "./server/listen_fds.js";
export type { InetListener, Listener } from "./server/listener.js";
export { PeriodicTimer, Timer, type TimerCallback } from "./timers/timer.js";
export type { TlsIdentityOptions } from "./tls/identity.js";
export type { TlsMaterial } from "./tls/material.js";
export { type SelectedContext, TlsContext, type TlsOptions, type TlsRole } from "./tls/tls_context.js";
export { type TlsCipher, TlsInfo, type TlsVerdict } from "./tls/tls_info.js";
export type { TlsSettingsOptions } from "./tls/tls_options.js";
export type { ClientTls, ServerTls, TlsStartOptions } from "./tls/tls_start.js";
export type { TlsAuthorities } from "./tls/trust.js";
export { BufferedTokenizer, type TokenizerOptions } from "./toolbox/buffered_tokenizer.js";
export { Callback } from "./toolbox/callback.js";
export { Channel, type ChannelOptions, type Subscription } from "./toolbox/channel.js";
export type { ChannelStream, ChannelStreamOptions, Overflow } from "./toolbox/channel_stream.js";
export { Completion, type CompletionOptions, type CompletionStates } from "./toolbox/completion.js";
export { ConditionVariable } from "./toolbox/condition_variable.js";
export { ConnectionPool, type ConnectionPoolOptions } from "./toolbox/connection_pool.js";
export { Deferrable } from "./toolbox/deferrable.js";
export { Deferred, type DeferredStatus, type TimeoutError } from "./toolbox/deferred.js";
export { FileStreamer } from "./toolbox/file_streamer.js";
export { future } from "./toolbox/future.js";
export { interval } from "./toolbox/interval.js";
export { IOStreamer, type StreamerOptions } from "./toolbox/io_streamer.js";
export { type EachStep, Iterator, type IteratorSource, type ResultStep } from "./toolbox/iterator.js";
export type { Lease } from "./toolbox/lease.js";
export { type MultiResult, multi } from "./toolbox/multi.js";
export { Mutex, type MutexLock } from "./toolbox/mutex.js";
export { Pool, type PoolOptions } from "./toolbox/pool.js";
export { Queue, type QueueOptions } from "./toolbox/queue.js";
export { type SleepOptions, sleep } from "./toolbox/sleep.js";
export { type ProcessBody, SpawnedProcess, spawn, type Yield } from "./toolbox/spawned_process.js";
export type { StreamSink } from "./toolbox/stream_sink.js";
export { type Syncable, sync } from "./toolbox/sync.js";
export {
  type ResourceArguments,
  type ResourceMethod,
  type ResourceResult,
  type ShutdownOptions,
  ThreadedResource,
  type ThreadedResourceOptions,
} from "./toolbox/threaded_resource.js";
export { TickLoop, tickLoop } from "./toolbox/tick_loop.js";
export type { WaitOptions } from "./toolbox/waiting_list.js";
export { type DeferrableFacet, withDeferrable } from "./toolbox/with_deferrable.js";
export { FileWatch, type FileWatchTarget } from "./watch/file_watch.js";
export { ProcessWatch } from "./watch/process_watch.js";
export { WatchedDescriptor } from "./watch/watched_descriptor.js";
export type { WatchTarget } from "./watch/watching.js";
export type { WorkersOptions } from "./workers/defers.js";
export {
  type DeferOperation,
  type DeferOptions,
  WorkerFunction,
  type WorkerModule,
  worker,
} from "./workers/operation.js";
export type { WorkerPoolFigures } from "./workers/worker_pool.js";
