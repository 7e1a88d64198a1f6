import type { KernelConstant } from "../socket_options.js";
import type { OneWay } from "./layout.js";

/** What the addon exports; native/face/addon.cc and its neighbours say what each call does. */
export interface Binding {
  create(
    dispatch: () => void,
    ticks: () => void,
    seed: number,
  ): [loop: number, control: ArrayBuffer, eventSlab: ArrayBuffer, outSlab: ArrayBuffer];
  slab(loop: number): ArrayBuffer | undefined;
  arena(loop: number): ArrayBuffer | undefined;
  close(loop: number): void;
  holdProcess(loop: number, hold: boolean): void;
  flush(loop: number): void;
  monotonic(): number;
  liveCounts(): LiveCounts;

  listen(
    loop: number,
    family: number,
    host: string | Uint8Array,
    port: number,
    options: Int32Array,
    flags: number,
    backlog: number,
    acceptQuota: number,
    maxConnections: number,
    lowWater: number,
    file: string | Uint8Array,
    mode: number,
  ): number | undefined;
  adoptListener(
    loop: number,
    fd: number,
    options: Int32Array,
    flags: number,
    backlog: number,
    acceptQuota: number,
    maxConnections: number,
    lowWater: number,
  ): number | undefined;
  connect(
    loop: number,
    family: number,
    host: string | Uint8Array,
    port: number,
    options: Int32Array,
    halfOpen: boolean,
    lowWater: number,
    localFamily: number,
    localHost: string | Uint8Array,
    localPort: number,
  ): number | undefined;
  adoptStream(loop: number, fd: number, options: Int32Array, halfOpen: boolean, lowWater: number): number | undefined;

  oneWay(loop: number, handle: number): (typeof OneWay)[keyof typeof OneWay] | undefined;
  write(loop: number, handle: number, data: Uint8Array): void;
  writeLent(loop: number, handle: number, offset: number, length: number): void;
  sendFile(loop: number, handle: number, fd: number, offset: number, length: number): void;
  awaitWritable(loop: number, handle: number): void;
  setLowWaterMark(loop: number, handle: number, bytes: number): void;
  resume(loop: number, handle: number): void;
  holdOpen(loop: number, handle: number): void;
  shutdown(loop: number, handle: number): void;
  finish(loop: number, handle: number): void;
  closeHandle(loop: number, handle: number): void;
  abort(loop: number, handle: number): void;
  detach(loop: number, handle: number): void;
  takeDetached(loop: number, handle: number): [fd: number, unread: Buffer] | undefined;
  hold(loop: number, handle: number, offset: number, length: number): void;
  settle(loop: number, handle: number): number;

  startRelay(loop: number, from: number, to: number, most: number, length: number): boolean;
  stopRelay(loop: number, from: number): void;
  relayedBytes(loop: number, from: number): number;

  openDatagrams(
    loop: number,
    family: number,
    host: string | Uint8Array,
    port: number,
    numbers: Int32Array,
    remoteFamily: number,
    remoteHost: string | Uint8Array,
    remotePort: number,
    file: string | Uint8Array,
  ): number | undefined;
  sendDatagram(loop: number, handle: number, data: Uint8Array, name: Uint8Array): void;
  finishDatagrams(loop: number, handle: number): void;
  holdDatagrams(loop: number, handle: number, place: number, count: number, skip: number): void;
  datagramCounters(
    loop: number,
    handle: number,
  ): [received: number, sent: number, bytesSent: number, dropped: number, receiveDrops: number] | undefined;
  /** Of all sockets of the loop, into the figure `receiveDrops`. */
  countDrops(loop: number): void;
  /** The sockaddr that this socket sends to. */
  packAddress(
    loop: number,
    handle: number,
    family: number,
    host: string | Uint8Array,
    port: number,
  ): Buffer | undefined;
  showAddress(name: Uint8Array): [family: number, host: string | Buffer, port: number] | undefined;
  datagramOptions(loop: number, handle: number, numbers: Int32Array, multicastInterface: string): number;
  setMembership(
    loop: number,
    handle: number,
    joins: boolean,
    groupFamily: number,
    group: string,
    interfaceName: string,
    sourceFamily: number,
    source: string,
  ): number;

  /** The handle, or a negative errno: ENFILE where there is none left. */
  openProcess(pid: number): number;
  processStatus(fd: number): number;
  openPipe(into: Int32Array): number;
  /** How many descriptors this process may have; set before, unless 0 is wanted. Or a negative errno. */
  descriptorLimit(wanted: number): number;
  watch(loop: number, fd: number, flags: number): number | undefined;
  watchFlags(loop: number, handle: number, flags: number): void;

  tlsTrust(certificates: Uint8Array, openSslDefaults: boolean): unknown;
  tlsContext(
    loop: number,
    trust: unknown,
    numbers: Int32Array,
    ciphers: string,
    suites: string,
    curves: string,
    alpn: Uint8Array,
    sessionIdContext: Uint8Array,
    dhParameters: Uint8Array,
    ticketKeys: Uint8Array,
    staple: Uint8Array,
  ): number | string | undefined;
  tlsIdentity(
    loop: number,
    context: number,
    certificate: Uint8Array,
    key: Uint8Array,
    passphrase: Uint8Array,
  ): string | undefined;
  releaseTlsContext(loop: number, context: number): void;
  setTicketKeys(loop: number, context: number, keys: Uint8Array): void;
  setStaple(loop: number, context: number, staple: Uint8Array): void;
  undelivered(loop: number, handle: number): number;
  startTls(
    loop: number,
    handle: number,
    flags: number,
    context: number,
    serverName: string,
    verifyName: string,
    session: Uint8Array,
    received: Uint8Array,
  ): string | undefined;
  answerServerName(loop: number, handle: number, answer: number, context: number): void;
  answerVerify(loop: number, handle: number, accepted: boolean): void;
  tlsState(
    loop: number,
    handle: number,
  ):
    | [
        version: number,
        cipher: string | undefined,
        standardName: string | undefined,
        bits: number,
        alpnProtocol: string | undefined,
        serverName: string | undefined,
        isSessionReused: boolean,
        certificates: Buffer[],
        verifyError: number,
        staple: Buffer | undefined,
      ]
    | undefined;
  tlsFailure(
    loop: number,
    handle: number,
  ): [code: number, reason: string, alert: number, isFromPeer: boolean, verifyError: number] | undefined;
  tlsTruncated(loop: number, handle: number): boolean | undefined;

  /** A host, or the bytes of a Unix socket's name. */
  address(loop: number, handle: number, peer: boolean): string | Buffer | undefined;
  stamp(loop: number, handle: number, write: boolean): number;
  getOption(loop: number, handle: number, level: number, name: number, into: Uint8Array): number;
  setOption(loop: number, handle: number, level: number, name: number, value: Uint8Array): number;
  setOptions(loop: number, handle: number, triples: Int32Array): number;
  unacknowledged(loop: number, handle: number): number;

  /** LAYOUT_HASH of what it was built from. */
  readonly layout: number;
  /** Whether system calls fail at random in this build. */
  readonly torture: boolean;
  /** The version of the OpenSSL that was found. */
  readonly openssl: string;
  readonly constants: Readonly<
    Record<
      KernelConstant | "SO_KEEPALIVE" | "SO_ERROR" | "SO_PEERCRED" | "TCP_KEEPIDLE" | "TCP_KEEPINTVL" | "TCP_KEEPCNT",
      number
    >
  >;
}

/** What the addon holds in this thread; all zero when every engine is closed and its memory collected. */
export interface LiveCounts {
  loops: number;
  handles: number;
  descriptors: number;
  chunks: number;
  unread: number;
  regions: number;
  tls: number;
  tlsContexts: number;
  fileReads: number;
}
