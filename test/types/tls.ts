import type { X509Certificate } from "node:crypto";
import {
  type CloseReason,
  Connection,
  connect,
  Reactor,
  startServer,
  TlsContext,
  type TlsInfo,
  type TlsVerdict,
} from "eventmachine";

/** What the compiler must see about TLS. Nothing here runs; each expected error that does not come is an error itself. */

const reactor = new Reactor();
const context = new TlsContext({ cert: "cert.pem", key: "key.pem" });
const place = { host: "127.0.0.1", port: 7000 };

class Handler extends Connection {
  override sslHandshakeCompleted(info: TlsInfo): void {
    const subject: string | undefined = info.peerCertificate?.subject;
    this.sendData(subject ?? "nobody");
  }
  override async sslVerifyPeer(certificate: X509Certificate, verdict: TlsVerdict): Promise<boolean> {
    return verdict.isAuthorized && certificate.subject !== "";
  }
  override unbind(reason: CloseReason): void {
    if (reason.kind === "tls-error") console.log(reason.error.alert?.name, reason.error.verifyError);
    if (reason.kind === "peer-closed") console.log(reason.truncated);
    // @ts-expect-error only a peer's end may be a truncation
    if (reason.kind === "local-close") console.log(reason.truncated);
  }
}

export class Forgetful extends Connection {
  // @ts-expect-error only true accepts a certificate: a return that was forgotten is an error
  override sslVerifyPeer(_certificate: X509Certificate): void {}
}

export class Vague extends Connection {
  // @ts-expect-error a promise of true, and not of any other value
  override async sslVerifyPeer(_certificate: X509Certificate): Promise<string | undefined> {
    return undefined;
  }
}

export async function servers(): Promise<void> {
  const listener = await startServer({ ...place, tls: context }, Handler);
  listener.setTlsContext({ cert: "cert.pem", key: "key.pem" });
  await reactor.startServer({ ...place, tls: { cert: "c", key: Buffer.alloc(1), ca: ["default", "ca.pem"] } }, Handler);
  // @ts-expect-error a server has no defaults
  await startServer({ ...place, tls: true }, Handler);
  // @ts-expect-error a path, text or bytes
  await startServer({ ...place, tls: { cert: 7, key: "key.pem" } }, Handler);
  // @ts-expect-error SSL is over
  new TlsContext({ minVersion: "SSLv3" });
  // @ts-expect-error ticket keys are bytes
  context.setTicketKeys(["text"]);
  new TlsContext({ selectContext: (name) => (name === "a" ? context : undefined) });
  new TlsContext({ selectContext: async (name) => (name === "a" ? context : null) });
  // @ts-expect-error no other values
  new TlsContext({ selectContext: () => "refuse" });
}

export async function clients(): Promise<void> {
  const connection = connect({ ...place, tls: true }, Handler);
  const info: TlsInfo = await connection.secured;
  console.log(info.protocol satisfies "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3");
  reactor.connect({ ...place, tls: { context, serverName: "a.test", verifyName: false, role: "client" } }, Handler);
  // @ts-expect-error what was received is for startTls
  reactor.connect({ ...place, tls: { received: Buffer.alloc(1) } }, Handler);
  connection.startTls({ received: Buffer.alloc(1), role: "server", context });
  // @ts-expect-error a role is a server's or a client's
  connection.startTls({ role: "both" });
  // @ts-expect-error the certificate is what the peer has shown
  connection.peerCertificate = undefined;
}
