import assert from "node:assert/strict";
import { pattern, sameBytes } from "./bytes.js";
import type { Recorder } from "./recorder.js";
import type { Trial } from "./trial.js";

/** xorshift32, the same everywhere for one seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state % below;
  };
}

/** Of one stream of bytes from a user: which of them went through the relay, and which to the handler in its way. */
class Model {
  /** Where the next byte of the stream stands that the relay's source has given to anybody. */
  at = 0;
  readonly relayed: Buffer[] = [];

  passed(bytes: number): void {
    this.relayed.push(pattern(bytes, this.at));
    this.at += bytes;
  }

  handled(data: Buffer): void {
    sameBytes(data, pattern(data.length, this.at), `for the handler, from byte ${this.at} on`);
    this.at += data.length;
  }
}

/**
 * A user, a relay that begins and stops at random, and an origin that reads at random: whatever the order, each byte of the user's reaches either the
 * origin or the relay's handler, once, and in order.
 */
export async function relayAtRandom(trial: Trial, seed: number, steps: number): Promise<void> {
  const random = randomFrom(seed);
  const sizes = [1, 64, 4_000, 16_384, 70_000, 300_000];
  const size = () => 1 + random(sizes[random(sizes.length)] as number);
  const model = new Model();
  let length: number | undefined;
  let isRelaying = false;
  const { client: user, server: front } = await trial.pair({
    client: { name: "user" },
    server: { name: "front", keep: false, receiveData: (_me: Recorder, data: Buffer) => model.handled(data) },
  });
  const { client: back, server: origin } = await trial.pair({ client: { name: "back" }, server: { name: "origin" } });
  front.proxyCompleted = () => {
    model.passed(length as number);
    isRelaying = false;
  };

  function begin(): void {
    length = random(2) === 0 ? undefined : size();
    const bufferSize = [1, 3_000, 65_536, 1_000_000][random(4)] as number;
    isRelaying = true;
    front.proxyIncomingTo(back, { bufferSize, ...(length === undefined ? {} : { length }) });
  }

  function stop(): void {
    if (isRelaying) model.passed(front.proxiedBytes);
    isRelaying = false;
    front.stopProxying();
  }

  let sent = 0;
  const actions = [
    () => {
      const bytes = size();
      user.sendData(pattern(bytes, sent));
      sent += bytes;
    },
    () => (isRelaying ? stop() : begin()),
    () => (front.isPaused ? front.resume() : front.pause()),
    () => (origin.isPaused ? origin.resume() : origin.pause()),
    () => trial.sleep(random(4)),
    () => trial.settle(),
  ];
  for (let step = 0; step < steps; step++) await actions[random(actions.length)]?.();
  front.resume();
  origin.resume();
  const all = () => model.at + (isRelaying ? front.proxiedBytes : 0);
  await trial.until(() => all() === sent, `seed ${seed}: all ${sent} bytes given to somebody`);
  stop();
  const expected = Buffer.concat(model.relayed);
  await trial.until(() => origin.bytes === expected.length, `seed ${seed}: ${expected.length} bytes at the origin`);
  sameBytes(origin.received, expected, `seed ${seed}: at the origin`);
  assert.equal(front.bytesIn, sent);
  assert.equal(back.bytesOut, expected.length);
  user.closeConnection();
  back.closeConnection();
  await trial.allUnbound(user, front, back, origin);
}
