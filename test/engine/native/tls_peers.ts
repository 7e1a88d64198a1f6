import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect, createServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { InetAddress } from "../../../src/base/addresses.js";
import type { Handle } from "../../../src/engine/streams.js";
import type { TlsContextSettings, TlsIdentity, TlsStart } from "../../../src/engine/tls.js";
import { type Issued, issue } from "../../support/certificates.js";
import type { Driver } from "./driver.js";

export interface Certificate extends TlsIdentity {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly issued: Issued;
}

const folder = mkdtempSync(join(tmpdir(), "eventmachine-tls-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let count = 0;

interface CertifyOptions {
  issuer?: Certificate;
  notAfter?: string;
}

/** A key and a certificate for these hosts, self-signed or signed by `issuer`; without hosts: an authority's. */
export function certify(
  subject: string,
  hosts: readonly (string | Buffer)[],
  options: CertifyOptions = {},
): Certificate {
  const { issuer, ...others } = options;
  const by = issuer === undefined ? {} : { by: issuer.issued };
  const issued = issue({ names: [subject], hosts, isAuthority: hosts.length === 0, ...by, ...others });
  const base = join(folder, `${count++}`);
  const [certificateFile, keyFile] = [`${base}.pem`, `${base}.key`];
  writeFileSync(certificateFile, issued.cert);
  writeFileSync(keyFile, issued.key);
  return { certificate: Buffer.from(issued.cert), key: Buffer.from(issued.key), certificateFile, keyFile, issued };
}

export const authority = certify("authority", []);
export const localhost = certify("localhost", ["localhost", Buffer.of(127, 0, 0, 1)], { issuer: authority });

export function settings(overrides: Partial<TlsContextSettings> = {}): TlsContextSettings {
  return {
    identities: [],
    trust: { certificates: [authority.certificate], openSslDefaults: false, isNodeDefault: false },
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    ciphers: undefined,
    cipherSuites: undefined,
    preferServerCiphers: true,
    curves: undefined,
    dhParameters: undefined,
    alpn: [],
    requestCertificate: false,
    requireCertificate: false,
    rejectUnauthorized: true,
    sessionTickets: true,
    ticketKeys: [],
    sessionTimeout: 300,
    sessionIdContext: Buffer.from("test"),
    maxClientHello: 16_384,
    maxCertificateChain: 32_768,
    maxKeyUpdates: 32,
    reportSessions: false,
    keyLog: false,
    staple: undefined,
    requestStaple: false,
    ...overrides,
  };
}

export function starting(role: "server" | "client", context: number, overrides: Partial<TlsStart> = {}): TlsStart {
  return {
    role,
    context,
    serverName: role === "client" ? "localhost" : undefined,
    verifyName: role === "client" ? "localhost" : undefined,
    session: undefined,
    asksServerName: false,
    asksVerify: false,
    received: undefined,
    ...overrides,
  };
}

export interface Secure {
  listener: Handle;
  client: Handle;
  server: Handle;
}

/** Overrides of contexts and starts. */
interface PairOptions {
  server?: Partial<TlsContextSettings>;
  client?: Partial<TlsContextSettings>;
  serverStart?: Partial<TlsStart>;
  clientStart?: Partial<TlsStart>;
  halfOpen?: boolean;
}

/** Both ends on one engine, secured. */
export async function securePair(driver: Driver, options: PairOptions = {}): Promise<Secure> {
  const pair = await startedPair(driver, options);
  await driver.until(() => driver.has("secured", pair.client) && driver.has("secured", pair.server), "both secured");
  return pair;
}

/** Both ends on one engine, their handshake begun. */
export async function startedPair(driver: Driver, options: PairOptions = {}): Promise<Secure> {
  const { server, client, serverStart, clientStart, halfOpen = false } = options;
  const { engine } = driver;
  const pair = await driver.pair({ halfOpen });
  const serverContext = engine.createTlsContext(settings({ identities: [localhost], ...server }));
  const clientContext = engine.createTlsContext(settings(client));
  engine.startTls(pair.server, starting("server", serverContext, serverStart));
  engine.startTls(pair.client, starting("client", clientContext, clientStart));
  return pair;
}

/** A node:tls server; what it accepts is in `sockets`. */
export async function nodeServer(options: TlsOptions = {}) {
  const sockets: TLSSocket[] = [];
  const server = createServer({ key: localhost.key, cert: localhost.certificate, ...options }, (socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const at: InetAddress = { family: "IPv4", host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  return { server, at, sockets };
}

export function nodeClient(at: InetAddress, options: ConnectionOptions = {}): TLSSocket {
  const { host, port } = at;
  const ours = { port, host, servername: "localhost", ca: authority.certificate, allowHalfOpen: true };
  const socket = connect({ ...ours, ...options });
  socket.on("error", () => {});
  return socket;
}
