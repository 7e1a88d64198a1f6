import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect, createServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { InetAddress } from "../../../src/base/addresses.js";
import type { Handle } from "../../../src/engine/streams.js";
import type { TlsContextSettings, TlsIdentity, TlsStart } from "../../../src/engine/tls.js";
import { needs, unlessMissing } from "../../support/programs.js";
import type { Driver } from "./driver.js";

export interface Certificate extends TlsIdentity {
  readonly certificateFile: string;
  readonly keyFile: string;
}

const folder = mkdtempSync(join(tmpdir(), "eventmachine-tls-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let count = 0;

function openssl(...args: string[]): void {
  execFileSync(needs("openssl"), args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Makes a key and a certificate with the openssl command: self-signed, or signed by `issuer`. */
export function certify(subject: string, names: string, options: CertifyOptions = {}): Certificate {
  return unlessMissing(() => makeCertificate(subject, names, options));
}

interface CertifyOptions {
  issuer?: Certificate;
  days?: number;
  key?: "ec" | "rsa";
}

function makeCertificate(
  subject: string,
  names: string,
  { issuer, days = 30, key = "ec" }: CertifyOptions,
): Certificate {
  const base = join(folder, `${count++}`);
  const keyFile = `${base}.key`;
  const certificateFile = `${base}.pem`;
  const algorithm = key === "ec" ? ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] : ["RSA"];
  openssl("genpkey", "-algorithm", ...algorithm, "-out", keyFile);
  const constraints = names === "" ? "basicConstraints=critical,CA:TRUE" : `subjectAltName=${names}`;
  const request = ["req", "-new", "-key", keyFile, "-subj", `/CN=${subject}`];
  if (issuer === undefined) {
    openssl(...request, "-x509", "-days", `${days}`, "-addext", constraints, "-out", certificateFile);
  } else {
    openssl(...request, "-out", `${base}.csr`);
    writeFileSync(`${base}.ext`, `${constraints}\n`);
    const signer = ["-CA", issuer.certificateFile, "-CAkey", issuer.keyFile, "-CAcreateserial"];
    const signing = [
      "x509",
      "-req",
      "-in",
      `${base}.csr`,
      ...signer,
      "-extfile",
      `${base}.ext`,
      "-out",
      certificateFile,
    ];
    openssl(...signing, "-days", `${days}`);
  }
  return { certificate: readFileSync(certificateFile), key: readFileSync(keyFile), certificateFile, keyFile };
}

export const authority = certify("authority", "");
export const localhost = certify("localhost", "DNS:localhost,IP:127.0.0.1", { issuer: authority });

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
