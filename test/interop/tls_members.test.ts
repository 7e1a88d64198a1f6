import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import https, { type RequestOptions } from "node:https";
import tls, { type TLSSocket } from "node:tls";
import cookieSession from "cookie-session";
import { Connection, type ConnectionDuplex, type TlsContext, toDuplex } from "eventmachine";
import express from "express";
import expressSession from "express-session";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY, clientContext, pkiFile, serverContext } from "../support/pki.js";
import type { Trial } from "../support/trial.js";

type Shown = Pick<
  TLSSocket,
  | "encrypted"
  | "authorized"
  | "authorizationError"
  | "alpnProtocol"
  | "getPeerCertificate"
  | "getPeerX509Certificate"
  | "getProtocol"
  | "getCipher"
  | "isSessionReused"
> & { servername?: unknown };

/** All that is shown of TLS, in a form that can be compared. */
function shown(socket: unknown) {
  const it = socket as Shown;
  // Those above it are what the peer has sent; node:tls adds what it trusts.
  const { issuerCertificate: _, ...detailed } = it.getPeerCertificate(true);
  return {
    encrypted: it.encrypted,
    authorized: it.authorized,
    // Engines may find another of several faults first.
    hasAuthorizationError: typeof it.authorizationError === "string",
    alpnProtocol: it.alpnProtocol,
    servername: it.servername,
    certificate: it.getPeerCertificate(),
    detailed,
    x509: it.getPeerX509Certificate()?.raw,
    protocol: it.getProtocol(),
    cipher: it.getCipher(),
    isReused: it.isSessionReused(),
  };
}

const CA = pkiFile("ca.pem");
const MEMBERS = ["encrypted", "authorized", "authorizationError", "alpnProtocol", "servername"];
const METHODS = [
  "getPeerCertificate",
  "getPeerX509Certificate",
  "getProtocol",
  "getCipher",
  "getSession",
  "isSessionReused",
];

function material(name: string): { cert: Buffer; key: Buffer } {
  return { cert: pkiFile(`${name}.pem`), key: pkiFile(`${name}-key.pem`) };
}

/** Whatever connects becomes a stream that is given away. */
function bridge(trial: Trial, context: TlsContext | undefined, use: (socket: ConnectionDuplex) => void) {
  return trial.reactor.startServer(
    { host: "127.0.0.1", port: 0, ...(context === undefined ? {} : { tls: context }) },
    class extends Connection {
      override postInit(): void {
        use(toDuplex(this, { allowHalfOpen: true }));
      }
    },
  );
}

interface Answer {
  readonly text: string;
  readonly cookies: readonly string[];
  readonly status: number | undefined;
}

async function ask(make: typeof https.request, options: RequestOptions): Promise<Answer> {
  const request = make({ host: "127.0.0.1", agent: false, ...options });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += chunk;
  return { text, cookies: response.headers["set-cookie"] ?? [], status: response.statusCode };
}

const SERVERS: readonly [what: string, server: object, client: object][] = [
  ["no client certificate asked for", {}, {}],
  ["a client certificate that holds", { ca: AUTHORITY, requestCertificate: true }, material("client")],
  [
    "a client certificate that does not hold",
    { ca: AUTHORITY, requestCertificate: true, rejectUnauthorized: false },
    material("stranger-client"),
  ],
  ["a protocol and a name", { alpn: ["http/1.1"] }, { ALPNProtocols: ["http/1.1"], servername: "server.test" }],
  ["TLS 1.2", { maxVersion: "TLSv1.2" }, {}],
];

onEveryEngine("a bridge over TLS", (engine) => {
  for (const [what, server, client] of SERVERS) {
    engine.rule(`shows a server what a TLSSocket shows: ${what}`, async (trial) => {
      const found: unknown[] = [];
      const answer: RequestListener = ({ socket }, response) => {
        found.push(shown(socket));
        response.end();
      };
      const bridged = http.createServer(answer);
      const { ca, requestCertificate, alpn, ...rest } = server as { ca?: string; requestCertificate?: true; alpn?: [] };
      const own = https.createServer(
        {
          ...material("server"),
          ...(ca === undefined ? {} : { ca: CA }),
          requestCert: requestCertificate ?? false,
          rejectUnauthorized: true,
          ...(alpn === undefined ? {} : { ALPNProtocols: alpn }),
          ...rest,
        },
        answer,
      );
      const ownPort = await trial.listen(own);
      const listener = await bridge(trial, serverContext(server), (socket) => bridged.emit("connection", socket));
      for (const port of [ownPort, listener.port as number]) {
        await ask(https.request, { ca: CA, port, ...client });
      }
      assert.equal(found.length, 2);
      assert.deepEqual(found[1], found[0]);
    });
  }

  engine.rule(
    "shows a client what a TLSSocket shows, before the handshake, after it and after the end",
    async (trial) => {
      const own = tls.createServer({ ...material("server"), ALPNProtocols: ["x"] }, (socket) => {
        socket.on("error", () => {});
        socket.end("bye");
      });
      const port = await trial.listen(own);
      const theirs = tls.connect({ host: "127.0.0.1", port, ca: CA, servername: "server.test", ALPNProtocols: ["x"] });
      const context = clientContext({ alpn: ["x"] });
      const at = { host: "127.0.0.1", port, tls: { context, serverName: "server.test" } };
      const connection = trial.reactor.connect(at, class extends Connection {});
      const ours = toDuplex(connection);
      assert.equal(ours.encrypted, true);
      assert.deepEqual([ours.authorized, ours.alpnProtocol, ours.getProtocol?.()], [false, null, null]);
      assert.deepEqual(ours.getPeerCertificate?.(), {});
      assert.equal(ours.getPeerX509Certificate?.(), undefined);
      await Promise.all([once(theirs, "secureConnect"), connection.secured]);
      assert.deepEqual(shown(ours), shown(theirs));
      const { raw } = new (await import("node:crypto")).X509Certificate(pkiFile("server.pem"));
      assert.deepEqual(ours.getPeerX509Certificate?.()?.raw, raw);
      theirs.resume();
      ours.resume();
      await trial.until(() => ours.getSession?.() !== undefined, "the client has a session");
      await connection.closed;
      assert.equal(ours.encrypted, true);
      assert.deepEqual(ours.getPeerX509Certificate?.()?.raw, raw);
      theirs.destroy();
    },
  );

  engine.rule("over a plain connection there is none of it, and from startTls on there is", async (trial) => {
    const { promise, resolve } = withResolvers<ConnectionDuplex>();
    const listener = await bridge(trial, undefined, resolve);
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
    const socket = (await promise) as unknown as Record<string, unknown>;
    for (const name of [...MEMBERS, ...METHODS]) assert.equal(socket[name], undefined, name);
    (socket as unknown as ConnectionDuplex).connection.startTls(serverContext());
    assert.equal(socket.encrypted, true);
    for (const name of METHODS) assert.equal(typeof socket[name], "function", name);
    client.startTls({ context: clientContext() });
    await client.secured;
    client.closeConnection();
  });

  // Express ------------------------------------------------------------------------------------------------------

  interface Application {
    use(middleware: unknown): void;
    get(path: string, answer: (request: Asked, response: ServerResponse) => void): void;
  }
  interface Asked extends IncomingMessage {
    secure: boolean;
    protocol: string;
    session: { visits?: number };
  }

  const SESSIONS: readonly [string, () => unknown][] = [
    [
      "express-session",
      () => expressSession({ secret: "s", resave: false, saveUninitialized: true, cookie: { secure: true } }),
    ],
    ["cookie-session", () => cookieSession({ keys: ["k"], secure: true })],
  ];
  for (const [what, middleware] of SESSIONS) {
    for (const isSecure of [true, false]) {
      engine.rule(
        `Express over ${isSecure ? "TLS" : "a plain connection"}: secure, protocol, ${what}`,
        async (trial) => {
          const application = express() as Application & RequestListener;
          application.use(middleware());
          application.get("/", (request, response) => {
            try {
              request.session.visits = (request.session.visits ?? 0) + 1;
            } catch {}
            response.end(`${request.secure} ${request.protocol} ${request.session.visits}`);
          });
          application.use((_error: unknown, _request: unknown, response: ServerResponse, _next: unknown) => {
            response.statusCode = 500;
            response.end("refused");
          });
          const bridged = http.createServer(application);
          const listener = await bridge(trial, isSecure ? serverContext() : undefined, (socket) =>
            bridged.emit("connection", socket),
          );
          const port = listener.port as number;
          const make = isSecure ? https.request : http.request;
          const first = await ask(make as typeof https.request, { ca: CA, port, path: "/" });
          if (!isSecure) {
            assert.deepEqual(first.cookies, [], "a secure cookie does not travel in clear");
            return;
          }
          assert.equal(first.text, "true https 1");
          assert.ok(first.cookies.length > 0 && first.cookies.every((cookie) => /; secure/i.test(cookie)));
          const cookie = first.cookies.map((each) => each.split(";")[0]).join("; ");
          const second = await ask(https.request, { ca: CA, port, path: "/", headers: { cookie } });
          assert.equal(second.text, "true https 2");
        },
      );
    }
  }
});

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
