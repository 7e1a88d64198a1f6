import assert from "node:assert/strict";
import type { CloseReason } from "eventmachine";
import { PatternCheck, pattern } from "../support/bytes.js";
import type { Recorder, Script } from "../support/recorder.js";
import { isReset, type Torture } from "./seeds.js";

/** Sends so many bytes of the pattern from now on, in pieces of all sizes, as fast as they are taken. */
export function sender(size: number, whenSent: (me: Recorder) => void): (me: Recorder) => void {
  let sent = 0;
  let piece = 1;
  return (me) => {
    while (sent < size && me.state === "open") {
      piece = (piece * 7) % 60_013;
      const next = pattern(Math.min(piece, size - sent), sent);
      sent += next.length;
      if (!me.sendData(next) && sent < size) return;
    }
    if (sent < size || me.state !== "open") return;
    sent = Number.POSITIVE_INFINITY;
    whenSent(me);
  };
}

/** Checks what comes in against the pattern; tells how much there was. */
export function receiver(): { check: PatternCheck; take: NonNullable<Script["receiveData"]> } {
  const check = new PatternCheck();
  return { check, take: (_me, data) => check.take(data) };
}

/** Both ends of one connection, and what each should have got and how it should have ended. */
export interface Expected {
  readonly who: Recorder;
  readonly kind: CloseReason["kind"];
  readonly bytes: number;
}

/**
 * Checks one connection. Everything has come through as it should; or, where resets are injected, one of the two ends was
 * reset and says so, and the other ended as an end does whose peer is gone.
 */
export function checkEnds(torture: Torture, ...ends: readonly [Expected, Expected]): void {
  const asExpected = ends.every(({ who, kind, bytes }) => who.kind === kind && who.bytes === bytes);
  if (asExpected) return;
  const told = ends.map(({ who, kind, bytes }) => `${who.label}: ${who.kind} (${kind}), ${who.bytes} bytes (${bytes})`);
  assert.ok(torture.resets, `no resets are injected, and yet: ${told.join("; ")}`);
  assert.ok(
    ends.some(({ who }) => isReset(who.reason)),
    `nobody was reset, and yet: ${told.join("; ")}`,
  );
  for (const { who, bytes } of ends) {
    assert.ok(who.bytes <= bytes, told.join("; "));
    assert.ok(["peer-reset", "peer-closed", "local-close"].includes(who.kind ?? ""), told.join("; "));
  }
}

/** The accepting end of a client's connection: known by its port, which both remember after the close. */
export function partnerOf(client: Recorder, servers: readonly Recorder[]): Recorder {
  const local = client.localAddress;
  assert.ok(local !== undefined && local.family !== "unix");
  const found = servers.filter(
    ({ remoteAddress: remote }) => remote?.family === local.family && remote.port === local.port,
  );
  assert.equal(found.length, 1, `one server's end for port ${local.port}`);
  return found[0] as Recorder;
}
