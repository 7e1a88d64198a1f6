import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { ConnectOptions, DeadlineName, ServerOptions } from "eventmachine";
import type { Recorder, Script } from "./recorder.js";
import type { Trial } from "./trial.js";

/** How late a deadline may be at most: 5 % of it, or 20 ms. */
export const slack = (ms: number) => Math.max(20, ms * 0.05);

export function timedOut(recorder: Recorder, deadline: DeadlineName): void {
  const { reason } = recorder;
  assert.ok(reason?.kind === "timeout", `${recorder.label} ended with ${reason?.kind}`);
  assert.equal(reason.deadline, deadline);
  assert.equal(reason.error.code, "ERR_EM_TIMEOUT");
}

/**
 * Checks that a connection ends `ms` after its last traffic, which was between `from` and now: not before, and not later
 * than a timer set to the latest allowed moment sees. A machine that is busy delays both alike.
 */
export async function endsAfter(trial: Trial, recorder: Recorder, ms: number, from: number): Promise<void> {
  let stood: string | undefined;
  trial.reactor.addTimer(Math.max(0, ms + slack(ms)), () => {
    stood = recorder.state;
  });
  await trial.until(() => stood !== undefined && recorder.isUnbound, "the deadline passes");
  assert.notEqual(stood, "open", "still open when the deadline and its slack have passed");
  notBefore(recorder, ms, from);
}

export function notBefore(recorder: Recorder, ms: number, from: number): void {
  const took = recorder.unboundAt - from;
  assert.ok(took >= ms - 0.5, `it ended after ${took} of ${ms} ms`);
}

export interface Ends {
  client: Recorder;
  server: Recorder;
}

export interface EndsOptions {
  client?: Script;
  server?: Script;
  connect?: ConnectOptions;
  listen?: ServerOptions;
}

/**
 * Two ends of a connection whose server may have a short deadline. Unlike `pair` it does not insist that they are secured:
 * on a machine that stands still for long enough the deadline passes within the handshake, and rightly so.
 */
export async function meet(trial: Trial, options: EndsOptions = {}): Promise<Ends> {
  const served = await trial.serve(options.server, options.listen);
  const client = trial.dial(served, options.client, options.connect);
  return { client, server: await served.peer() };
}

/** Nothing moves any more that opening the connection has set in motion. */
export async function hasOpened(trial: Trial, { client, server }: Ends): Promise<void> {
  const settled = (each: Recorder) => each.isUnbound || (each.state !== "connecting" && each.isSecure === wantsTls);
  const wantsTls = trial.clientTls.tls !== undefined;
  await trial.until(() => settled(client) && settled(server), "both are open");
}

/** The client has seen its server end, within the handshake or after it. */
export function sawEnd(trial: Trial, { client }: Ends): void {
  const isOpened = trial.clientTls.tls === undefined || client.handshakes === 1;
  assert.equal(client.kind, isOpened ? "peer-closed" : "tls-error");
}

/**
 * Sends a byte every so often, `times` in all, and returns when the last one that arrived was sent: `begun` where none did.
 * A machine that stands still for longer than the deadline ends the connection in between: that is the end the caller
 * waits for.
 */
export async function beats(
  trial: Trial,
  { from, to, begun }: { from: Recorder; to: Recorder; begun: number },
  times: number,
  every: number,
): Promise<number> {
  let last = begun;
  for (let count = 1; count <= times; count++) {
    await trial.sleep(every);
    const sent = trial.now();
    from.sendData("x");
    await trial.until(() => to.bytes === count || from.isUnbound || to.isUnbound, `byte ${count}`);
    if (to.bytes < count) break;
    last = sent;
  }
  return last;
}

/** A connection accepted from a plain socket, whose writes are with the kernel when they return. */
export async function withPlainPeer(trial: Trial, script: Script = {}): Promise<{ peer: Socket; server: Recorder }> {
  const served = await trial.serve(script);
  const { port } = served.at as { port: number };
  const peer = connect(port, "127.0.0.1");
  peer.on("error", () => {});
  peer.resume();
  await once(peer, "connect");
  return { peer, server: await served.peer() };
}
