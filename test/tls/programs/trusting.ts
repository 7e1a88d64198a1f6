// Asks node:tls and `tls: true` whether they trust a self-signed certificate, here and in workers; prints a line for each.
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import * as tls from "node:tls";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { Connection, Reactor, type ReactorOptions } from "eventmachine";

const [engine, cert, key, mode] = process.argv.slice(2) as [ReactorOptions["engine"], string, string, string];

/** From Node 22.19 on. */
const { setDefaultCACertificates } = tls as unknown as { setDefaultCACertificates?: (list: string[]) => void };

async function nodes(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: "127.0.0.1", port }, () => {
      resolve("trusted");
      socket.destroy();
    });
    socket.on("error", () => resolve("refused"));
  });
}

async function ours(reactor: Reactor, port: number, ca: "default" | ["default", string]): Promise<string> {
  const client = reactor.connect({ host: "127.0.0.1", port, tls: ca === "default" ? true : { ca } }, Connection);
  const answer = await client.secured.then(
    () => "trusted",
    () => "refused",
  );
  client.closeConnection();
  return answer;
}

const server = tls.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
  socket.on("error", () => {});
});
server.on("tlsClientError", () => {});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;
const reactor = new Reactor(engine === undefined ? {} : { engine });
await reactor.run(async () => {
  const look = async (where: string) => {
    const other = new URL("../../../../test/support/pki/ca.pem", import.meta.url).pathname;
    const listed = await ours(reactor, port, ["default", other]);
    console.log(`${where}: ${await nodes(port)}, ${await ours(reactor, port, "default")}, ${listed}`);
  };
  // Before the library has had a reason to look.
  if (mode === "none first" || mode === "own in a worker") {
    if (mode === "none first") setDefaultCACertificates?.([]);
    else if (!isMainThread) setDefaultCACertificates?.([...tls.rootCertificates]);
  }
  await look(isMainThread ? "main thread" : (workerData as string));
  if (mode === "set") {
    for (const list of [[readFileSync(cert, "utf8")], []]) {
      setDefaultCACertificates?.(list);
      await look(`${list.length} set`);
    }
  }
  reactor.stop();
});
server.close();
if (isMainThread && (mode === "workers" || mode === "own in a worker")) {
  for (const [name, options] of [
    ["no arguments", { execArgv: [] as string[] }],
    ["no environment", { env: {} }],
  ] as const) {
    await new Promise((resolve) => {
      const worker = new Worker(new URL(import.meta.url), {
        argv: process.argv.slice(2),
        workerData: name,
        ...options,
      });
      worker.on("exit", resolve);
    });
  }
}
