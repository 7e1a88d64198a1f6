// An echo over TLS that takes a renewed certificate without dropping anybody: replace the files, send SIGHUP. With CLIENT_CA, clients
// have to show a certificate of that authority, and are greeted by its subject.
//   node .build/examples/tls_server.js [ADDRESS [CERT KEY [CLIENT_CA]]]   default 127.0.0.1:7443 cert.pem key.pem
//   try: openssl s_client -connect 127.0.0.1:7443
import { Connection, formatAddress, parseAddress, run, startServer, TlsContext, type TlsOptions } from "eventmachine";

class Echo extends Connection {
  override sslHandshakeCompleted(): void {
    const subject = this.peerCertificate?.subject;
    if (subject !== undefined) this.sendData(`hello ${subject}\n`);
  }

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

const [address = "127.0.0.1:7443", cert = "cert.pem", key = "key.pem", clientCa] = process.argv.slice(2);

/** Reads the files anew; the context stays as it was made whatever becomes of them later. */
function readContext(): TlsContext {
  const clients: TlsOptions = clientCa === undefined ? {} : { ca: clientCa, requireCertificate: true };
  return new TlsContext({ cert, key, ...clients });
}

await run(
  async () => {
    const listener = await startServer({ ...parseAddress(address), tls: readContext() }, Echo);
    process.on("SIGHUP", () => {
      try {
        listener.setTlsContext(readContext());
        console.log("serving with the new certificate");
      } catch (error) {
        console.error(`the old certificate stays: ${(error as Error).message}`);
      }
    });
    console.log(`listening on ${formatAddress(listener.address)}`);
  },
  { signals: true },
);
