import type { Duplex } from "node:stream";

/** A stream that may be a socket, and can be reset then. */
interface MaybeSocket extends Duplex {
  resetAndDestroy?(): unknown;
}

/**
 * Resets an open connection of node:net's; any other stream is destroyed. `carrier` is what its bytes go through: the stream
 * itself, or TLS on it.
 */
export function reset(stream: MaybeSocket, carrier: Duplex): void {
  if (stream.destroyed || typeof stream.resetAndDestroy !== "function") {
    stream.destroy();
    return;
  }
  const now = (): void => {
    try {
      stream.resetAndDestroy?.();
    } catch {
      // It is no TCP connection that it stands for.
      stream.destroy();
    }
  };
  // libuv refuses a reset in the moment between the last write and the FIN, and node:net loses the descriptor then.
  const isEnding = carrier.writableEnded && carrier.writableLength === 0 && !carrier.writableFinished;
  if (isEnding) carrier.once("finish", now);
  else now();
}
