import { Connection } from "../index.js";
import { engineChoice, listenAddress, readOptions } from "./arguments.js";
import { EchoLines } from "./echo_lines.js";
import { serve } from "./serve.js";
import { UsageError } from "./usage_error.js";

/** Sends back what comes in, and stops reading from a peer that does not read. */
export class Echo extends Connection {
  override receiveData(data: Buffer): void {
    if (!this.sendData(data)) this.pause();
  }

  override drained(): void {
    this.resume();
  }

  override shutdownRequested(): void {
    this.closeConnectionAfterWriting();
  }
}

/** The same on views of the engine's own memory: it keeps nothing of what it is given. */
export class BorrowingEcho extends Echo {
  static override readonly borrowsData = true;
}

/** `eventmachine echo`. */
export async function echo(args: string[]): Promise<void> {
  const options = readOptions(args, {
    listen: { type: "string" },
    engine: { type: "string" },
    lines: { type: "boolean", default: false },
    borrow: { type: "boolean", default: false },
  });
  const address = listenAddress(options.listen);
  const engine = engineChoice(options.engine);
  if (options.lines && options.borrow) throw new UsageError("--lines and --borrow exclude each other");
  const handler = options.lines ? EchoLines : options.borrow ? BorrowingEcho : Echo;
  await serve(engine, async (reactor) => [await reactor.startServer(address, handler)]);
}
