import {
  type CloseReason,
  type Connection,
  type DatagramAddress,
  type DatagramDestination,
  DatagramSocket,
  type EventMachineError,
  type SocketAddress,
} from "eventmachine";
import type { EngineSuite } from "./harness.js";
import type { Trial } from "./trial.js";

/** What a test wants to happen in a socket's callbacks, beside the recording. */
export interface DatagramScript {
  postInit?(me: DatagramRecorder): unknown;
  receiveData?(me: DatagramRecorder, data: Buffer, sender: SocketAddress): unknown;
  sendFailed?(me: DatagramRecorder, error: EventMachineError, address: DatagramDestination | undefined): unknown;
  drained?(me: DatagramRecorder): unknown;
  shutdownRequested?(me: DatagramRecorder): unknown;
  deadlineReached?(me: DatagramRecorder, name: string): unknown;
  isIdle?(me: DatagramRecorder): unknown;
  unbind?(me: DatagramRecorder, reason: CloseReason): unknown;
  onError?(me: DatagramRecorder, error: unknown): unknown;
}

/** A datagram socket that notes what comes, and the order of its callbacks. */
export class DatagramRecorder extends DatagramSocket {
  readonly log: string[] = [];
  readonly received: Buffer[] = [];
  readonly senders: SocketAddress[] = [];
  readonly failures: { error: EventMachineError; address: DatagramDestination | undefined }[] = [];
  readonly reasons: CloseReason[] = [];
  readonly script: DatagramScript;

  constructor(script: DatagramScript = {}) {
    super();
    this.script = script;
  }

  get texts(): string[] {
    return this.received.map(String);
  }

  override postInit(): unknown {
    this.log.push("postInit");
    return this.script.postInit?.(this);
  }

  override receiveData(data: Buffer, sender: SocketAddress): unknown {
    this.log.push("receiveData");
    this.received.push(data);
    this.senders.push(sender);
    return this.script.receiveData?.(this, data, sender);
  }

  override sendFailed(error: EventMachineError, address: DatagramDestination | undefined): unknown {
    this.log.push("sendFailed");
    this.failures.push({ error, address });
    return this.script.sendFailed?.(this, error, address);
  }

  override drained(): unknown {
    this.log.push("drained");
    return this.script.drained?.(this);
  }

  override shutdownRequested(): unknown {
    this.log.push("shutdownRequested");
    return this.script.shutdownRequested?.(this);
  }

  override isIdle(): unknown {
    return this.script.isIdle?.(this) ?? false;
  }

  override deadlineReached(name: Parameters<Connection["deadlineReached"]>[0]): unknown {
    this.log.push(`deadlineReached ${name}`);
    return this.script.deadlineReached?.(this, name);
  }

  override unbind(reason: CloseReason): unknown {
    this.log.push(`unbind ${reason.kind}`);
    this.reasons.push(reason);
    return this.script.unbind?.(this, reason);
  }

  override onError(error: unknown): unknown {
    this.log.push("onError");
    return this.script.onError?.(this, error) ?? false;
  }
}

/** Opens a recorder, on 127.0.0.1 and any port unless the options say otherwise. */
export function openDatagrams(
  trial: Trial,
  script: DatagramScript = {},
  options: Partial<DatagramAddress> = {},
): Promise<DatagramRecorder> {
  const address = { ...("path" in options ? {} : { host: "127.0.0.1", port: 0 }), ...options } as DatagramAddress;
  return trial.reactor.openDatagramSocket(address, DatagramRecorder, script);
}

/** Sends everything back. */
export function openEcho(trial: Trial, options: Partial<DatagramAddress> = {}): Promise<DatagramRecorder> {
  return openDatagrams(trial, { receiveData: (me, data) => me.sendData(data) }, options);
}

/** Where others reach the socket. */
export function placeOf(socket: Connection): { host: string; port: number } {
  const address = socket.localAddress;
  if (address === undefined || address.family === "unix") throw new Error("it is bound to no port");
  return { host: address.host, port: address.port };
}

/** Without datagrams every use of them is refused: one rule says so, and no other is there. */
export function datagramRules(engine: EngineSuite, define: () => void): void {
  if (engine.has("datagrams")) {
    define();
    return;
  }
  engine.ruleNeeding(
    "datagrams",
    "a datagram socket opens",
    () => {},
    (trial) => openDatagrams(trial),
  );
}
