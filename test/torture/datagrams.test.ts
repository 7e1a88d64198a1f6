import assert from "node:assert/strict";
import { type DatagramRecorder, openDatagrams, placeOf } from "../support/datagrams.js";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";
import { LIMIT, tortured } from "./seeds.js";

const SOCKETS = 10;
const WINDOW = 8;
const EACH = 400;

/** The number of a datagram in front; its length and content follow from it. */
function datagram(number: number, longest: number): Buffer {
  const data = Buffer.alloc(4 + ((number * 37) % longest), number & 255);
  data.writeUInt32LE(number);
  return data;
}

/** Sends numbered datagrams by `send`, a few at a time, and takes their echoes back in order. */
class Exchange {
  readonly #send: (data: Buffer) => unknown;
  readonly #longest: number;
  #sent = 0;
  came = 0;

  constructor(longest: number, send: (data: Buffer) => unknown) {
    this.#longest = longest;
    this.#send = send;
  }

  begin(): void {
    for (let count = 0; count < WINDOW; count++) this.#next();
  }

  #next(): void {
    if (this.#sent < EACH) this.#send(datagram(this.#sent++, this.#longest));
  }

  take(data: Buffer): void {
    assert.deepEqual(data, datagram(this.came++, this.#longest), "whole, and in order");
    this.#next();
  }
}

/** Clients that each exchange datagrams with an echo, all of which come back. */
async function echoes(
  trial: Trial,
  longest: number,
  open: (receiveData: (me: DatagramRecorder, data: Buffer) => unknown) => Promise<DatagramRecorder>,
  to: Parameters<DatagramRecorder["sendDatagram"]>[1],
): Promise<DatagramRecorder[]> {
  const exchanges: Exchange[] = [];
  const sockets: DatagramRecorder[] = [];
  for (let at = 0; at < SOCKETS; at++) {
    const socket = await open((_me, data) => exchange.take(data));
    const exchange = new Exchange(longest, (data) => socket.sendDatagram(data, to));
    exchanges.push(exchange);
    sockets.push(socket);
  }
  for (const exchange of exchanges) exchange.begin();
  await trial.until(() => exchanges.every(({ came }) => came === EACH), "every echo", LIMIT);
  return sockets;
}

onEveryEngine("datagrams under torture", (engine) => {
  tortured(engine, "every datagram of many sockets is echoed whole, and in order", async (trial) => {
    const echo = await openDatagrams(trial, { receiveData: (me, data) => me.sendData(data) });
    const sockets = await echoes(trial, 1500, (receiveData) => openDatagrams(trial, { receiveData }), placeOf(echo));
    for (const socket of [...sockets, echo]) {
      assert.deepEqual(socket.failures, []);
      const { dropped, failed } = socket.counters;
      assert.deepEqual({ dropped, failed }, { dropped: 0, failed: 0 });
    }
    assert.equal(echo.counters.received, SOCKETS * EACH);
  });

  if (engine.has("unixDatagrams")) {
    tortured(engine, "the same over Unix sockets", async (trial) => {
      const path = trial.path();
      const echo = await openDatagrams(trial, { receiveData: (me, data) => me.sendData(data) }, { path });
      const sockets = await echoes(
        trial,
        1500,
        (receiveData) => openDatagrams(trial, { receiveData }, { path: trial.path() }),
        { path },
      );
      for (const { failures } of [...sockets, echo]) assert.deepEqual(failures, []);
    });
  }

  tortured(engine, "who refuses disturbs nobody else, and close sends what was sent", async (trial) => {
    const gone = await openDatagrams(trial);
    const nobody = placeOf(gone);
    gone.closeConnection();
    await gone.closed;
    const sink = await openDatagrams(trial);
    const COUNT = 100;
    const texts = Array.from({ length: COUNT }, (_, index) => `${index}`);
    for (let round = 0; round < 5; round++) {
      const socket = await openDatagrams(trial);
      for (const [index, text] of texts.entries()) {
        socket.sendDatagram("anybody?", nobody);
        socket.sendDatagram(text, placeOf(sink));
        if (index % 10 === 9) await trial.turn();
      }
      socket.closeConnectionAfterWriting();
      assert.deepEqual(await socket.closed, { kind: "local-close", lingerExpired: false });
      const all = () => sink.received.length === COUNT * (round + 1);
      await trial.until(all, "what was sent elsewhere", LIMIT);
      assert.deepEqual(sink.texts.slice(-COUNT), texts);
      for (const { error, address } of socket.failures) {
        assert.equal("code" in error && error.code, "ECONNREFUSED");
        assert.deepEqual(address, { family: "IPv4", ...nobody });
      }
    }
  });
});
