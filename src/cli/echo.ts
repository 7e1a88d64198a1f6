import { Connection, TlsContext } from "../index.js";
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
    "tls-cert": { type: "string" },
    "tls-key": { type: "string" },
    "client-ca": { type: "string" },
  });
  const address = listenAddress(options.listen);
  const engine = engineChoice(options.engine);
  if (options.lines && options.borrow) throw new UsageError("--lines and --borrow exclude each other");
  const handler = options.lines ? EchoLines : options.borrow ? BorrowingEcho : Echo;
  const context = tlsContext(options["tls-cert"], options["tls-key"], options["client-ca"]);
  const tls = context === undefined ? {} : { tls: context };
  await serve(engine, async (reactor) => [await reactor.startServer({ ...address, ...tls }, handler)]);
}

/** The files a TLS echo is started with; `--client-ca` has clients show a certificate of that authority. */
function tlsContext(cert?: string, key?: string, clientCa?: string): TlsContext | undefined {
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined;
  if (cert === undefined) throw new UsageError("--tls-cert FILE is needed for TLS");
  return new TlsContext({
    cert,
    ...(key === undefined ? {} : { key }),
    ...(clientCa === undefined ? {} : { ca: clientCa, requireCertificate: true }),
  });
}
