import { describe } from "../base/addresses.js";
import { checkCount, checkInteger } from "../base/checks.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { RELAY_BUFFER } from "../base/limits.js";
import { State } from "../core/stream_port.js";
import type { AnyLife } from "./life.js";
import { notWritable } from "./output.js";
import { Passing, type PassingEvents } from "./passing.js";
import { relaying } from "./refusals.js";
import type { Transport } from "./transport.js";

/** How one connection's input goes to another. */
export interface ProxyOptions {
  /**
   * The most bytes that wait in the target, in bytes: while there are as many, the source is not read. Default 64 KiB, at least 1.
   * (The original's `bufsize`, where the default is no bound.)
   */
  bufferSize?: number;
  /** Stop after exactly so many bytes; `proxyCompleted` follows, then `receiveData` with what came after them. Default: no end. */
  length?: number;
}

const PROXY_OPTIONS: Names<ProxyOptions> = { bufferSize: true, length: true };

export function notAConnection(name: string, given: unknown): ArgumentError {
  return new ArgumentError(`${name} must be a Connection, not ${describe(given)}`);
}

/** Checks what a relay needs of its ends, whatever they are. */
export function checkBoth(source: AnyLife, target: AnyLife): void {
  if (source === target) throw new ArgumentError("target must be another connection: this one's output is its peer's");
  if (source.core !== target.core) {
    throw new StateError("ERR_EM_OTHER_REACTOR", "a relay needs both connections in one reactor");
  }
  for (const end of [source, target]) {
    if (end.state > State.open)
      throw end.asEnd(new StateError("ERR_EM_CLOSED", "a relay needs connections that are not closing"));
  }
}

function checkEnds(source: Transport, target: Transport): void {
  checkBoth(source, target);
  for (const end of [source, target]) {
    if (end.extras?.owner !== undefined)
      throw new StateError("ERR_EM_CLAIMED", "a stream or an iterator has taken the connection's data");
  }
  if (target.isWriteEnded) throw notWritable(target);
  if (source.extras?.passing !== undefined) throw relaying("its input cannot go to another target");
  if (target.extras?.fedBy !== undefined) throw relaying("the target takes no second source");
}

export function readProxyOptions(options: ProxyOptions): { buffer: number; most: number } {
  checkOptions(options, PROXY_OPTIONS);
  const { bufferSize = RELAY_BUFFER, length } = options;
  const most =
    length === undefined ? Number.POSITIVE_INFINITY : checkInteger(length, "length", 1, Number.MAX_SAFE_INTEGER);
  return { buffer: checkCount(bufferSize, "bufferSize", 1), most };
}

/** Checks that a relay can go from one to the other, and returns that. */
export function checkTarget(source: Transport, target: AnyLife): Transport {
  if (!target.isStream) throw new ArgumentError("target must be a stream, for this connection is one");
  checkEnds(source, target);
  return target;
}

/** Begins to pass on what `source` receives. Throws where it cannot. */
export function proxy(source: Transport, target: AnyLife, options: ProxyOptions, events: PassingEvents): Passing {
  const { buffer, most } = readProxyOptions(options);
  const passing = new Passing(source, checkTarget(source, target), buffer, most, events);
  passing.begin();
  return passing;
}
