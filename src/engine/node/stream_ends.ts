import { Ended } from "../streams.js";
import { errnoOf, syscallOf } from "./errno.js";
import type { NodeStream } from "./node_stream.js";
import { reset } from "./reset.js";
import { asError, attempt } from "./throwing_streams.js";

// How a connection over a stream of Node's ends. Its two directions end by themselves, and it has ended when both have:
//
//   ours         wanted (`endsWith`) by shutdown, finish or the peer's end ──> outputDone ──> sayEnd: it follows the output
//   the peer's   read by the input ──> everything before it is delivered ──> peerEnded
//   both         endBoth ──> end ──> `closed` in a later turn
//
// `close`, `abort` and whatever fails end it at once.

/** Our direction is to end. */
export function shutdown(stream: NodeStream): void {
  if (!stream.takesOutput) return;
  stream.endsWith ??= Ended.local;
  stream.flushLater();
}

/** Both directions are to end; what still comes is discarded. */
export function finish(stream: NodeStream): void {
  if (!stream.isOpen || stream.hasEnded || stream.input.discards) return;
  if (stream.oneWay === "reads") {
    close(stream);
    return;
  }
  stream.endsWith ??= Ended.local;
  stream.awaitsWritable = false;
  stream.input.discard();
  stream.flushLater();
}

/** The peer's direction has ended: ours does after what is queued, unless it is held open. */
export function peerEnded(stream: NodeStream): void {
  stream.peerEnded = true;
  if (stream.halfOpen && !stream.input.discards) {
    stream.turn.counters.events++;
    stream.sink.end(stream.handle);
    if (stream.oneWay === "reads") end(stream, Ended.peer);
  } else {
    stream.endsWith ??= Ended.peer;
  }
  if (stream.endsWith === undefined) return;
  // What this turn has written is not flushed yet, and goes out first.
  if (stream.output.isDone) outputDone(stream);
  else stream.flushLater();
}

/** All output is out. */
export function outputDone(stream: NodeStream): void {
  if (stream.endsWith === undefined || stream.hasEnded) return;
  if (stream.endsWith === Ended.peer && !stream.endSaid) settleLater(stream);
  else sayEnd(stream);
}

/** The peer has ended, and nothing is left to be said: unless the program says more before it hears of it. */
export function settleLater(stream: NodeStream): void {
  if (stream.settlingDue) return;
  stream.settlingDue = true;
  stream.turn.defer(() => settle(stream));
}

function settle(stream: NodeStream): void {
  stream.settlingDue = false;
  if (stream.hasEnded || !stream.output.isDone) return;
  if (stream.input.isPaused && !stream.input.discards) return;
  if (stream.kind.endsWhenDestroyed) deliverClosed(stream, stop(stream, Ended.peer, destroyComplete));
  else sayEnd(stream);
}

/** Our end leaves, and both directions have ended if the peer's has. */
function sayEnd(stream: NodeStream): void {
  // To destroy it says our end as well.
  const isSaidByDestroying = stream.peerEnded && stream.kind.endsWhenDestroyed;
  if (!stream.endSaid && !isSaidByDestroying) {
    stream.endSaid = true;
    if (!stream.carrier.writableEnded) attempt(stream, stream.carrier, "end");
  }
  if (stream.peerEnded) endBoth(stream);
}

function endBoth(stream: NodeStream): void {
  const { carrier, endsWith, kind } = stream;
  if (endsWith === undefined) return;
  if (kind.endsWhenDestroyed || carrier.writableFinished) end(stream, endsWith, destroyComplete);
  else carrier.once("finish", () => end(stream, endsWith));
}

// At once ----------------------------------------------------------------------------------------------------------

/** A stream whose output is all out says so under TLS; one whose output is dropped must not. */
export function close(stream: NodeStream): void {
  const isComplete = stream.output.isDone;
  stream.isSilent = true;
  end(stream, Ended.local, isComplete ? destroyComplete : destroy);
}

export function abort(stream: NodeStream): void {
  stream.isSilent = true;
  end(stream, Ended.local, destroyByReset);
}

export function failed(stream: NodeStream, error: NodeJS.ErrnoException): void {
  if (stream.hasEnded) return;
  stream.failure = error;
  end(stream, Ended.error);
}

/** Somebody else has destroyed the stream. That fails the connection, unless both of its directions had ended before. */
export function destroyedUnder(stream: NodeStream, failure: NodeJS.ErrnoException): void {
  if (stream.hasEnded) return;
  if (!stream.input.hasEnd || !stream.output.isDone || !stream.stream.writableFinished) {
    failed(stream, failure);
    return;
  }
  stream.endSaid = true;
  stream.endsWith ??= Ended.peer;
  // Else what is held is delivered first.
  if (stream.peerEnded) endBoth(stream);
}

export function end(stream: NodeStream, ended: Ended, how = destroy): void {
  if (stream.hasEnded) return;
  const told = stop(stream, ended, how);
  stream.turn.defer(() => deliverClosed(stream, told));
}

/** Returns what it ends with: where a stream throws when it is destroyed in order, that is its failure. */
function stop(stream: NodeStream, ended: Ended, how: (stream: NodeStream) => void): Ended {
  stream.hasEnded = true;
  stream.layer?.stop();
  stream.output.stop();
  stream.input.stop();
  try {
    how(stream);
  } catch (thrown) {
    if (ended !== Ended.peer) return ended;
    stream.failure = asError(thrown);
    return Ended.error;
  }
  return ended;
}

function deliverClosed(stream: NodeStream, ended: Ended): void {
  const { failure, handle, sink, turn } = stream;
  turn.counters.events++;
  if (ended === Ended.error && failure !== undefined) sink.closed(handle, ended, errnoOf(failure), syscallOf(failure));
  else sink.closed(handle, ended, 0, "");
  turn.unsent -= stream.outboundSize;
  stream.released();
}

function destroy(stream: NodeStream): void {
  if (stream.layer === undefined) stream.stream.destroy();
  else stream.layer.destroy(false);
}

/** As `destroy`, of a stream whose output is all out. */
function destroyComplete(stream: NodeStream): void {
  if (stream.layer === undefined) stream.stream.destroy();
  else stream.layer.destroy(true);
}

function destroyByReset(stream: NodeStream): void {
  // node:net cannot reset what is not TCP, and waits with it on a connecting socket until it is connected.
  if (!stream.isOpen || stream.isFile || stream.localAddress?.family === "unix") stream.stream.destroy();
  else reset(stream.stream, stream.carrier);
}
