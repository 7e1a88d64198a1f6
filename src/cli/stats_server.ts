import { createServer, type RequestListener } from "node:http";
import { Connection, type Listener, type ProxyServer, type Reactor, toDuplex } from "../index.js";
import type { ListenAddress } from "./arguments.js";
import { PAGE, prometheus } from "./proxy_figures.js";

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Serves figures over HTTP: `/` for people, `/stats` as JSON, `/metrics` for Prometheus. A page of somebody else's must not read them through a name of
 * its own that leads here: the Host of a request has to be loopback's, or one of `hosts`.
 */
export function serveStats(
  reactor: Reactor,
  address: ListenAddress,
  hosts: readonly string[],
  proxy: ProxyServer,
): Promise<Listener> {
  const known = new Set([...LOOPBACK, ...hosts.map((host) => host.toLowerCase())]);
  const answer: RequestListener = (request, response) => {
    const send = (status: number, type: string, body: string): void => {
      response.writeHead(status, {
        "Content-Type": type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
      });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    const host = (request.headers.host ?? "").toLowerCase().replace(/:\d+$/, "");
    // No URL is made of it: not everything that HTTP lets through is one.
    const [pathname] = (request.url ?? "/").split("?", 1);
    if (!known.has(host)) send(403, "text/plain", "This host is not known here.\n");
    else if (request.method !== "GET" && request.method !== "HEAD") send(405, "text/plain", "GET or HEAD.\n");
    else if (pathname === "/") send(200, "text/html; charset=utf-8", PAGE);
    else if (pathname === "/stats") send(200, "application/json", `${JSON.stringify(proxy.stats())}\n`);
    else if (pathname === "/metrics") send(200, "text/plain; version=0.0.4", prometheus(proxy.stats()));
    else send(404, "text/plain", "/, /stats or /metrics.\n");
  };
  const server = createServer(answer);
  class Visitor extends Connection {
    override postInit(): void {
      server.emit("connection", toDuplex(this));
    }

    override shutdownRequested(): void {
      this.closeConnection();
    }
  }
  const place = "path" in address || address.host !== undefined ? address : { ...address, host: "127.0.0.1" };
  return reactor.startServer({ ...place, maxConnections: 64 }, Visitor);
}
