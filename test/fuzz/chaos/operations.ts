import { closeSync } from "node:fs";
import { inspect } from "node:util";
import type { Timer } from "eventmachine";
import { Random } from "../../support/random.js";
import { BorrowingConnection, ChaosConnection, head, type Observer } from "./chaos_connection.js";
import type { End } from "./pair.js";
import type { OpName, Step } from "./plan.js";
import { FILE_SIZES, type World } from "./world.js";

/** What a callback does of itself. */
const IN_CALLBACKS: readonly OpName[] = [
  "send",
  "send",
  "sendMuch",
  "file",
  "pause",
  "resume",
  "resume",
  "halfClose",
  "close",
  "finish",
  "finish",
  "abort",
  "detach",
  "startTls",
  "arm",
  "deadline",
  "marks",
  "ask",
];

type Operation = (world: World, end: End, step: Step) => void;

/** Does one step; what it throws must be an error of the package. Notes it first. */
export function perform(world: World, step: Step, from = ""): void {
  const pair = world.pairs[step.who];
  const end = pair?.[step.side];
  world.round.journal.note(`${from}${step.op} ${end ?? step.who} ${step.size} ${step.dice.toFixed(6)}`);
  world.round.report.count("operations");
  if (step.op === "connect") connect(world, step);
  else if (step.op === "tick") later(world, step, (run) => world.reactor.nextTick(run));
  else if (step.op === "timer") later(world, step, (run) => remember(world.reactor.addTimer(step.size % 30, run)));
  else if (step.op === "cancel") timers[Math.floor(step.dice * timers.length)]?.cancel();
  else if (end !== undefined) on(world, end, step);
}

function on(world: World, end: End, step: Step): void {
  const operation = OPERATIONS[step.op];
  if (end.connection === undefined || operation === undefined) return;
  try {
    operation(world, end, step);
  } catch (error) {
    world.expectTyped(step.op, error);
  }
}

/** Does something to a connection from within one of its callbacks. */
export function actIn(world: World, connection: ChaosConnection, callback: string, random: Random): void {
  const { end } = connection;
  if (end === undefined) return;
  const op = callback === "unbind" && random.oneIn(2) ? "reconnect" : random.pick(IN_CALLBACKS);
  const size = 1 + random.size(20_000);
  const step: Step = { op, who: -1, side: end.side, size, dice: random.next(), later: undefined };
  world.round.journal.note(`  in ${callback}: ${op} ${end} ${size}`);
  world.round.report.count("operations");
  on(world, end, step);
}

// Time -----------------------------------------------------------------------------------------------------------

const timers: Timer[] = [];

function remember(timer: Timer): void {
  timers.push(timer);
  if (timers.length > 50) timers.shift();
}

function later(world: World, step: Step, arrange: (run: () => void) => unknown): void {
  const { later: inner } = step;
  if (inner !== undefined) arrange(() => perform(world, inner, `  by ${step.op}: `));
}

// Connections ----------------------------------------------------------------------------------------------------

/** Puts a new pair into a place; the pair that had it comes to an orderly end. */
function connect(world: World, step: Step): void {
  const before = world.pairs[step.who];
  const pair = world.pairAt(step.who, step.dice);
  const address = world.addressFor(pair, step.dice);
  if (before !== undefined) {
    for (const { connection } of [before.client, before.server]) if (connection !== undefined) letGo(world, connection);
  }
  if (address === undefined || !world.reactor.isRunning) return;
  const Handler = step.dice % 0.01 < 0.005 ? BorrowingConnection : ChaosConnection;
  const observer: Observer = world;
  try {
    world.reactor.connect(address, Handler, observer, new Random(step.dice * 2 ** 32), pair.client);
    world.round.report.count("connections");
  } catch (error) {
    world.expectTyped("connect", error);
  }
}

export function letGo(world: World, connection: ChaosConnection): void {
  if (connection.isOver) return;
  try {
    connection.resume();
    if (connection.end === undefined) connection.closeConnectionAfterWriting();
    else finish(connection.end);
  } catch (error) {
    world.expectTyped("letting go", error);
  }
}

function reconnect(world: World, end: End, step: Step): void {
  const connection = end.connection as ChaosConnection;
  const who = world.pairs.indexOf(end.pair);
  const pair = world.pairAt(who < 0 ? Math.floor(step.dice * world.pairs.length) : who, step.dice);
  const address = world.addressFor(pair, step.dice);
  if (address === undefined) return;
  if ((connection.reconnect(address) as unknown) === false) return;
  connection.begins(pair.client);
  world.watch(connection);
  world.round.report.count("connections");
  connection.sendData(head(pair.id));
}

async function detach(world: World, end: End, step: Step): Promise<void> {
  const connection = end.connection as ChaosConnection;
  let fd: number;
  try {
    const taken = await connection.detach();
    fd = taken.fd;
    world.round.report.count("detached");
    if (taken.unread.length > 0) world.took(end, taken.unread);
  } catch (error) {
    world.expectTyped("detach", error);
    return;
  }
  const observer: Observer = world;
  if (step.dice < 0.7 && world.reactor.isRunning && !world.reactor.isStopping) {
    try {
      end.isFinishing = false;
      world.reactor.attach({ fd }, ChaosConnection, observer, new Random(step.size), end);
      world.round.report.count("connections");
      return;
    } catch (error) {
      world.expectTyped("attach", error);
    }
  }
  end.endsWhole = false;
  closeSync(fd);
}

// One end of a connection ----------------------------------------------------------------------------------------

function takesOutput(end: End): boolean {
  const state = end.connection?.state;
  return (state === "open" || state === "connecting") && !end.isHalfClosed && !end.isFinishing;
}

/** Sends in one of the ways there are; what it is given is overwritten at once. */
function send(end: End, size: number, hand: (connection: ChaosConnection, bytes: Buffer) => boolean): void {
  const connection = end.connection as ChaosConnection;
  const takes = takesOutput(end);
  const bytes = takes ? end.out.give(size) : Buffer.alloc(size);
  const more = hand(connection, bytes);
  bytes.fill(0xee);
  if (more && !takes) throw new Error("sendData took bytes that go nowhere");
  if (!more && takes && connection.state !== "closed") connection.owed++;
}

async function sendFile(world: World, end: End, step: Step): Promise<void> {
  const size = FILE_SIZES[Math.floor(step.dice * FILE_SIZES.length)] as number;
  const connection = end.connection as ChaosConnection;
  if (takesOutput(end)) end.out.giveFile(size);
  try {
    const sent = await connection.sendFileData(world.file(size));
    if (sent !== size) world.wrong(`${end}: a file of ${size} bytes was sent with ${sent}`);
  } catch (error) {
    end.endsWhole = false;
    world.expectTyped("sendFileData", error);
  }
}

function finish(end: End): void {
  end.isFinishing = true;
  end.connection?.closeConnectionAfterWriting();
}

function upgrade(world: World, end: End): void {
  const { pair } = end;
  const ends = [pair.server, pair.client];
  const isQuiet = ends.every(({ connection, in: into, isHalfClosed }) => {
    const isIdle = connection?.state === "open" && connection.outboundSize === 0 && !connection.isPaused;
    return isIdle && into.isQuiet && !isHalfClosed;
  });
  if (!isQuiet || pair.medium.endsWith("tls") || pair.isSpoiled) return;
  world.round.report.count("upgraded");
  for (const each of ends) startOneTls(world, each);
}

function startOneTls(world: World, end: End): void {
  try {
    end.connection?.startTls(world.tlsFor(end));
  } catch (error) {
    world.expectTyped("startTls", error);
    world.spoil(end.pair);
  }
}

function ask(connection: ChaosConnection): void {
  void [connection.id, connection.bytesIn, connection.bytesOut, connection.idleTime, connection.outboundSize];
  void [connection.localAddress, connection.remoteAddress, connection.tls, connection.peerCertificate];
  void [connection.isSecure, connection.isPaused, connection.closeReason, connection.commInactivityTimeout];
  void [connection.cipher, connection.protocol, connection.alpnProtocol, connection.sniHostname, inspect(connection)];
  for (const promise of [connection.opened, connection.closed, connection.secured]) promise.catch(() => {});
}

const QUESTIONS: readonly ((connection: ChaosConnection) => unknown)[] = [
  ask,
  (connection) => connection.getSockOpt(1, 3),
  (connection) => connection.getSocketError(),
  (connection) => connection.peerCredentials(),
  (connection) => connection.setNoDelay(false),
  (connection) => connection.enableKeepalive({ idle: 5_000 }),
  (connection) => connection.disableKeepalive(),
  (connection) => connection.setTcpUserTimeout(5_000),
];

const DEADLINES = [
  "commInactivityTimeout",
  "firstByteTimeout",
  "readTimeout",
  "writeTimeout",
  "lifetimeTimeout",
  "lingerTimeout",
  "pendingConnectTimeout",
] as const;

const pickBy = <T>(choices: readonly T[], dice: number): T => choices[Math.floor(dice * choices.length)] as T;

const OPERATIONS: Partial<Record<OpName, Operation>> = {
  send: (_world, end, { size }) => send(end, size, (me, bytes) => me.sendData(bytes)),
  sendMuch: (_world, end, { size }) => send(end, size, (me, bytes) => me.sendData(bytes)),
  sendText: (_world, end, { size }) => send(end, size, (me, bytes) => me.sendData(bytes.toString("latin1"), "latin1")),
  sendList: (_world, end, { size, dice }) => {
    const at = Math.floor(dice * size);
    send(end, size, (me, bytes) => me.sendData([bytes.subarray(0, at), bytes.subarray(at)]));
  },
  file: (world, end, step) => void sendFile(world, end, step),
  pause: (_world, end) => end.connection?.pause(),
  resume: (_world, end) => end.connection?.resume(),
  halfClose: (_world, end) => {
    const takes = takesOutput(end);
    end.connection?.halfClose();
    if (takes) end.isHalfClosed = true;
  },
  close: (_world, end) => {
    end.endsWhole = false;
    end.connection?.closeConnection();
  },
  finish: (_world, end) => finish(end),
  abort: (_world, end) => {
    end.endsWhole = false;
    end.connection?.abort();
  },
  detach: (world, end, step) => void detach(world, end, step),
  upgrade,
  startTls: (world, end) => {
    world.spoil(end.pair);
    startOneTls(world, end);
  },
  reconnect,
  arm: (_world, end, { dice }) => {
    if (end.connection !== undefined) end.connection.armed = dice < 0.5 ? "throw" : "reject";
  },
  deadline: (_world, { connection }, { size, dice }) => {
    if (connection !== undefined) connection[pickBy(DEADLINES, dice)] = dice % 0.1 < 0.03 ? 0 : 1 + (size % 80);
  },
  marks: (_world, { connection }, { size, dice }) => {
    if (dice < 0.3 && connection !== undefined) connection.outboundLimit = size * 20;
    else connection?.setWaterMarks(size, dice < 0.6 ? undefined : Math.floor(dice * size));
  },
  ask: (_world, { connection }, { dice }) => {
    if (connection !== undefined) pickBy(QUESTIONS, dice)(connection);
  },
};
