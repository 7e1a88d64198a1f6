import { type CloseReason, type CloseReasonKind, type EngineName, EventMachineError } from "eventmachine";
import type { ChaosConnection } from "./chaos_connection.js";
import type { End } from "./pair.js";

/** The kinds that bring no error. */
const WITHOUT_ERROR: ReadonlySet<CloseReasonKind> = new Set([
  "peer-closed",
  "local-close",
  "local-abort",
  "stop",
  "drain-deadline",
  "detached",
]);

/** What is wrong with a reason as such. */
export function faultOfReason(reason: CloseReason): string | undefined {
  if (WITHOUT_ERROR.has(reason.kind)) return "error" in reason ? `${reason.kind} brings an error` : undefined;
  if (!("error" in reason)) return `${reason.kind} brings no error`;
  if (reason.kind === "handler-error" || reason.error instanceof EventMachineError) return undefined;
  return `the error of ${reason.kind} is no error of ours: ${reason.error}`;
}

/**
 * What got lost between two ends that have both ended. Where one sent its FIN behind everything and did not fail, and the
 * other has seen it, every byte in between must have come.
 */
export function lossTo(
  engine: EngineName,
  end: End,
  reason: CloseReason,
  othersReason: CloseReason,
): string | undefined {
  const { other } = end;
  // The portable engine has decided to close behind the peer's FIN a moment before it says so: what is sent then is lost.
  if (engine === "portable" && othersReason.kind === "peer-closed") return undefined;
  if (end.pair.isSpoiled || reason.kind !== "peer-closed" || reason.truncated === true) return undefined;
  if (!other.endsWhole || !sentAll(othersReason) || end.in.isQuiet) return undefined;
  return `${other} sent ${end.in.given} bytes and its FIN (${othersReason.kind}), ${end.in.taken} came to ${end}`;
}

function sentAll(reason: CloseReason): boolean {
  return reason.kind === "peer-closed" || (reason.kind === "local-close" && !reason.lingerExpired);
}

/** Each life has had exactly one `unbind`, and there is nothing to be asked of what is over but how it was. */
export function faultOfLife(connection: ChaosConnection): string | undefined {
  const { lives, unbinds, label } = connection;
  if (lives !== unbinds) return `${label}: ${lives} lives and ${unbinds} unbinds`;
  if (lives > 0 && connection.state !== "closed") return `${label}: unbound and ${connection.state}`;
  if (lives > 0 && connection.closeReason === undefined) return `${label}: unbound and no reason`;
  return undefined;
}

/** Whatever a call throws, and a promise of the library is rejected with, is an error of the package. */
export function faultOfError(error: unknown): string | undefined {
  return error instanceof EventMachineError ? undefined : `not an error of ours: ${(error as Error)?.stack ?? error}`;
}
