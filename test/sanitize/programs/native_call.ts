import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import type { Binding } from "../../../src/engine/native/binding.js";
import { Event, Word } from "../../../src/engine/native/layout.js";
import { viewShared } from "../../../src/engine/native/ring.js";
import { Fifo } from "../../support/fifo.js";
import { pkiFile } from "../../support/pki.js";

/**
 * A worker thread that does nothing but one kind of native call, over and over, until it is ended from outside: what is made
 * for JavaScript then cannot be made any more. `workerData` is the name of the call.
 */
const call = workerData as keyof Binding;
const path = process.env.EVENTMACHINE_ADDON ?? join(process.cwd(), "build/Release/eventmachine.node");
const native = createRequire(import.meta.url)(path) as Binding;

const NO_OPTIONS = new Int32Array(0);
const EMPTY = new Uint8Array(0);
const LOOPBACK = "127.0.0.1";
const LISTEN_SETTINGS = [0, 128, 64, 1_000_000, 16_384] as const;
const TLS_NUMBERS = Int32Array.of(0, 0x303, 0x304, 300, 16_384, 32_768, 32);

const [loop, control] = native.create(dispatch, () => {}, 2);
const views = viewShared(control);
const trust = native.tlsTrust(pkiFile("ca.pem"), false);
const makeContext = () =>
  native.tlsContext(loop, trust, TLS_NUMBERS, "", "", "", EMPTY, EMPTY, EMPTY, EMPTY, EMPTY) as number;
const identify = (context: number) =>
  native.tlsIdentity(loop, context, pkiFile("server.pem"), pkiFile("server-key.pem"), EMPTY);
const context = makeContext();
identify(context);

/** Both ends of a plain connection and of one under TLS, and the listeners. */
const ends: Record<"listener" | "tlsListener" | "client" | "server" | "tlsClient" | "tlsServer", number> = {
  listener: native.listen(loop, 4, LOOPBACK, 0, NO_OPTIONS, ...LISTEN_SETTINGS, "", -1) as number,
  tlsListener: native.listen(loop, 4, LOOPBACK, 0, NO_OPTIONS, ...LISTEN_SETTINGS, "", -1) as number,
  client: -1,
  server: -1,
  tlsClient: -1,
  tlsServer: -1,
};

let secured = 0;
let goes = false;
/** What each event does; replaced by calls that need events to be made again and again. */
let react = (kind: number, handle: number, by: number): void => {
  if (kind === Event.listening && (handle === ends.listener || handle === ends.tlsListener)) {
    native.address(loop, handle, false);
    const port = views.words[Word.addressPort] as number;
    const client = native.connect(loop, 4, LOOPBACK, port, NO_OPTIONS, false, 0, 0, "", 0) as number;
    ends[handle === ends.listener ? "client" : "tlsClient"] = client;
  } else if (kind === Event.accepted) {
    ends[by === ends.listener ? "server" : "tlsServer"] = handle;
    if (by === ends.tlsListener) native.startTls(loop, handle, 1, context, "", "", EMPTY, EMPTY);
  } else if (kind === Event.connected && handle === ends.tlsClient) {
    native.startTls(loop, handle, 0, context, "server.test", "", EMPTY, EMPTY);
  } else if (kind === Event.secured) {
    secured++;
  } else if (kind === Event.closed && (handle === ends.tlsClient || handle === ends.tlsServer)) {
    throw new Error(`TLS failed: ${JSON.stringify(native.tlsFailure(loop, handle))}`);
  }
};

function dispatch(): void {
  const { words, events } = views;
  for (let at = words[Word.eventsRead]!; at < words[Word.eventCount]!; at++) {
    words[Word.eventsRead] = at + 1;
    const head = events[at * 4]! & 0xff;
    react(head, events[at * 4 + 1]!, events[at * 4 + 2]!);
  }
  if (goes || ends.server < 0 || ends.client < 0 || secured < 2) return;
  goes = true;
  setImmediate(begin);
}

const bytes = Buffer.alloc(8_192, "b");
const open = () => native.connect(loop, 6, "::1", 1, NO_OPTIONS, false, 0, 0, "", 0) as number;
/** No socket: what is adopted of it is refused, and it stays open. */
const file = openSync("/dev/null", "r");
/** So many that reading them takes most of the time. */
const roots = Buffer.from(rootCertificates.join("\n"));

const datagramNumbers = Int32Array.of(0, 0, 0, -1, 65_536, -1);
const openDatagrams = () => native.openDatagrams(loop, 4, LOOPBACK, 0, datagramNumbers, 0, "", 0, "") as number;
const datagrams = openDatagrams();
/** Port 9 of loopback, packed. */
const name = native.packAddress(loop, datagrams, 4, LOOPBACK, 9) as Buffer;

/** Every call there is, but for the one that begins with a turn of the loop. */
type Calls = {
  [K in keyof Binding as Binding[K] extends (...args: never[]) => unknown ? K : never]: () => unknown;
};

const folder = mkdtempSync(join(tmpdir(), "em-calls-"));
const pipe = new Fifo(join(folder, "pipe"));
rmSync(folder, { recursive: true });
const watched = native.watch(loop, pipe.reader, 1) as number;

const ownProcess = native.openProcess(process.pid);

/** A call that closes what it is about is made on one that is new. */
const calls: Omit<Calls, "takeDetached"> = {
  arena: () => native.arena(loop),
  openDatagrams: () => native.closeHandle(loop, openDatagrams()),
  sendDatagram: () => native.sendDatagram(loop, datagrams, bytes, name),
  finishDatagrams: () => native.finishDatagrams(loop, openDatagrams()),
  holdDatagrams: () => native.holdDatagrams(loop, datagrams, 0, 1, 0),
  countDrops: () => native.countDrops(loop),
  watch: () => native.closeHandle(loop, native.watch(loop, pipe.writer, 2) as number),
  openProcess: () => closeSync(native.openProcess(process.pid)),
  processStatus: () => native.processStatus(ownProcess),
  descriptorLimit: () => native.descriptorLimit(0),
  openPipe: () => {
    const ends = new Int32Array(2);
    if (native.openPipe(ends) === 0) for (const end of ends) closeSync(end);
  },
  oneWay: () => void native.oneWay(loop, ends.client),
  watchFlags: () => native.watchFlags(loop, watched, 3),
  datagramCounters: () => native.datagramCounters(loop, datagrams),
  packAddress: () => native.packAddress(loop, datagrams, 6, "::1", 9),
  showAddress: () => native.showAddress(name),
  datagramOptions: () => native.datagramOptions(loop, datagrams, Int32Array.of(-1, 64, -1, -1), ""),
  setMembership: () => native.setMembership(loop, datagrams, true, 4, "239.1.2.3", "lo", 0, ""),
  create: () => native.close(native.create(dispatch, () => {}, 2)[0]),
  slab: () => native.slab(loop),
  close: () => native.close(native.create(dispatch, () => {}, 2)[0]),
  holdProcess: () => native.holdProcess(loop, true),
  flush: () => native.flush(loop),
  monotonic: () => native.monotonic(),
  liveCounts: () => native.liveCounts(),
  listen: () =>
    native.closeHandle(loop, native.listen(loop, 4, LOOPBACK, 0, NO_OPTIONS, ...LISTEN_SETTINGS, "", -1) as number),
  adoptListener: () => native.adoptListener(loop, file, NO_OPTIONS, ...LISTEN_SETTINGS),
  connect: () => native.abort(loop, open()),
  adoptStream: () => native.adoptStream(loop, file, NO_OPTIONS, false, 0),
  write: () => native.write(loop, ends.client, bytes.subarray(0, 1)),
  writeLent: () => native.writeLent(loop, ends.client, 0, 1),
  sendFile: () => native.sendFile(loop, open(), file, 0, 1),
  awaitWritable: () => native.awaitWritable(loop, ends.client),
  setLowWaterMark: () => native.setLowWaterMark(loop, ends.client, 1),
  resume: () => native.resume(loop, ends.client),
  startRelay: () => {
    native.startRelay(loop, ends.server, ends.client, 1000, 0);
    native.stopRelay(loop, ends.server);
  },
  stopRelay: () => native.stopRelay(loop, ends.client),
  relayedBytes: () => native.relayedBytes(loop, ends.client),
  holdOpen: () => native.holdOpen(loop, ends.client),
  shutdown: () => native.shutdown(loop, open()),
  finish: () => native.finish(loop, open()),
  closeHandle: () => native.closeHandle(loop, open()),
  abort: () => native.abort(loop, open()),
  detach: () => native.detach(loop, open()),
  hold: () => native.hold(loop, ends.client, 0, 0),
  settle: () => native.settle(loop, open()),
  tlsTrust: () => native.tlsTrust(roots, false),
  tlsContext: () => native.releaseTlsContext(loop, makeContext()),
  tlsIdentity: () => {
    const made = makeContext();
    identify(made);
    native.releaseTlsContext(loop, made);
  },
  releaseTlsContext: () => native.releaseTlsContext(loop, makeContext()),
  setTicketKeys: () => native.setTicketKeys(loop, context, new Uint8Array(96)),
  setStaple: () => native.setStaple(loop, context, bytes),
  undelivered: () => native.undelivered(loop, ends.client),
  startTls: () => native.startTls(loop, open(), 0, context, "server.test", "", EMPTY, EMPTY),
  answerServerName: () => native.answerServerName(loop, ends.tlsServer, 0, -1),
  answerVerify: () => native.answerVerify(loop, ends.tlsClient, true),
  tlsState: () => native.tlsState(loop, ends.tlsClient),
  tlsFailure: () => native.tlsFailure(loop, ends.tlsClient),
  tlsTruncated: () => native.tlsTruncated(loop, ends.tlsClient),
  address: () => native.address(loop, ends.client, true),
  stamp: () => native.stamp(loop, ends.client, true),
  getOption: () => native.getOption(loop, ends.client, native.constants.SOL_SOCKET, native.constants.SO_SNDBUF, bytes),
  setOption: () => native.setOption(loop, ends.client, 6, native.constants.TCP_NODELAY, new Uint8Array(4)),
  setOptions: () => native.setOptions(loop, ends.client, Int32Array.of(6, native.constants.TCP_NODELAY, 1)),
  unacknowledged: () => native.unacknowledged(loop, ends.client),
};

/** A descriptor goes round: adopted, open, detached, taken, and adopted again. */
function turnAround(): void {
  const server = createServer((socket) => socket.on("error", () => {}));
  const adopt = (fd: number) => native.adoptStream(loop, fd, NO_OPTIONS, false, 0);
  react = (kind, handle) => {
    if (kind === Event.connected) native.detach(loop, handle);
    if (kind !== Event.closed) return;
    const taken = native.takeDetached(loop, handle);
    if (taken !== undefined) adopt(taken[0]);
  };
  server.listen(0, LOOPBACK, () => {
    const { port } = server.address() as { port: number };
    for (let count = 0; count < 20; count++) {
      native.connect(loop, 4, LOOPBACK, port, NO_OPTIONS, false, 0, 0, "", 0);
    }
  });
}

function begin(): void {
  react = () => {};
  if (call === "takeDetached") {
    turnAround();
    setTimeout(() => parentPort?.postMessage("here"), 20);
    return;
  }
  const again = (calls as Partial<Calls>)[call as keyof Calls];
  if (again === undefined) throw new Error(`no way is known to call ${call}`);
  // Handles that were closed are free again after a turn.
  const round = () => {
    const end = performance.now() + 5;
    while (performance.now() < end) again();
    setImmediate(round);
  };
  again();
  parentPort?.postMessage("here");
  round();
}

if (readFileSync(path).length === 0) throw new Error("no addon");
