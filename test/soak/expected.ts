import type { CloseReason, EngineInfo } from "eventmachine";
import type { Ending } from "./plan.js";

/** What decides beside the plan how an end shows. */
export interface Terms {
  readonly isSecure: boolean;
  /** The engine tells a TLS stream that is whole from one that was cut off. */
  readonly tellsTruncation: boolean;
  /** The engine takes no reset for an ordinary end. */
  readonly knowsResets: boolean;
}

export function termsOf({ lacks }: EngineInfo, isSecure: boolean): Terms {
  const has = (name: string) => !lacks.some(({ capability }) => capability === name);
  return { isSecure, tellsTruncation: has("tlsTruncation"), knowsResets: has("promptReset") };
}

/** A reason with all of it that matters here, in words. */
export function outcomeOf(reason: CloseReason): string {
  switch (reason.kind) {
    case "peer-closed":
      if (reason.truncated === undefined) return reason.kind;
      return reason.truncated ? "peer-closed, truncated" : "peer-closed, whole";
    case "local-close":
      return reason.lingerExpired ? "local-close, lingered in vain" : reason.kind;
    case "tls-error":
      return `tls-error, ${reason.error.code}`;
    case "system-error":
      return `system-error, ${reason.error.code}, ${reason.error.message}`;
    default:
      return reason.kind;
  }
}

/** What the connecting end may see of a plan's ending. */
export function expectedOfClient(ending: Ending, terms: Terms): readonly string[] {
  switch (ending) {
    case "client-closes":
    case "client-finishes":
    case "client-drops":
      return ["local-close"];
    case "client-aborts":
      return ["local-abort"];
    case "server-finishes":
    case "client-half-closes":
    case "server-sends-file":
      return [whole(terms)];
    case "server-aborts":
      return resets(terms);
    case "server-drops":
      // It has nothing to send and so drops nothing. Where it leaves input unread the kernel resets.
      return ["peer-reset", whole(terms)];
  }
}

/** The accepting end. `closedBack`: it answered the client's end with a close of its own. */
export function expectedOfServer(ending: Ending, terms: Terms, closedBack: boolean): readonly string[] {
  const back = closedBack ? ["local-close"] : [];
  switch (ending) {
    case "client-closes":
    case "client-finishes":
      return closedBack ? back : [whole(terms)];
    case "server-finishes":
    case "client-half-closes":
    case "server-sends-file":
    case "server-drops":
      return ["local-close"];
    case "server-aborts":
      return ["local-abort"];
    case "client-aborts":
      return terms.knowsResets ? resets(terms) : [...resets(terms), ...back];
    case "client-drops":
      // Whether it dropped output depends on the moment.
      return ["peer-reset", whole(terms), truncated(terms), ...back];
  }
}

/** The accepting end of a client that was gone before its plan had come. */
export function expectedWithoutPlan(terms: Terms, closedBack: boolean): readonly string[] {
  const inHandshake = terms.isSecure ? ["tls-error, ERR_EM_TLS_HANDSHAKE"] : [];
  return [...expectedOfServer("client-drops", terms, closedBack), ...inHandshake];
}

function whole({ isSecure, tellsTruncation }: Terms): string {
  return isSecure && tellsTruncation ? "peer-closed, whole" : "peer-closed";
}

function truncated({ isSecure, tellsTruncation }: Terms): string {
  return isSecure && tellsTruncation ? "peer-closed, truncated" : "peer-closed";
}

function resets({ knowsResets }: Terms): string[] {
  return knowsResets ? ["peer-reset"] : ["peer-reset", "peer-closed"];
}
