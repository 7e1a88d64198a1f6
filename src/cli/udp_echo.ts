import { DatagramSocket, type SocketAddress } from "../index.js";
import { engineChoice, listenAddress, readOptions } from "./arguments.js";
import { serve } from "./serve.js";

/** Sends each datagram back to its sender. */
export class DatagramEcho extends DatagramSocket {
  /** Nothing of a datagram is kept. */
  static override readonly borrowsData = true;

  override receiveData(data: Buffer): void {
    this.sendData(data);
  }

  override shutdownRequested(): void {
    this.closeConnectionAfterWriting();
  }
}

/** `eventmachine udp-echo`. */
export async function udpEcho(args: string[]): Promise<void> {
  const options = readOptions(args, { listen: { type: "string" }, engine: { type: "string" } });
  const address = listenAddress(options.listen);
  await serve(engineChoice(options.engine), async (reactor) => {
    const { localAddress } = await reactor.openDatagramSocket(address, DatagramEcho);
    return [{ addresses: [localAddress as SocketAddress] }];
  });
}
