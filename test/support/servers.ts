import { Connection } from "eventmachine";

/** Sends back what comes. */
export class Echo extends Connection {
  override receiveData(data: Buffer): void {
    this.sendData(data);
  }
}

/** Sends back what comes, and keeps the connection open for it when the peer has sent its FIN. */
export class HalfOpenEcho extends Echo {
  override receiveEnd(): void {
    this.closeConnectionAfterWriting();
  }
}
