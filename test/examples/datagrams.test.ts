import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatagramSocket, Reactor } from "eventmachine";
import { until } from "../support/wait.js";
import { onEveryEngine, Peer } from "./example.js";

onEveryEngine("check_input takes results over TCP and UDP alike", async ({ start, context }) => {
  const input = start("check_input", "127.0.0.1:0");
  const place = await input.place();
  assert.ok("port" in place);
  const stream = await Peer.to(place);
  await stream.send('{"name":"disk","status":0,').send('"output":"42 % free"}\n').hears("ok");
  assert.equal(await input.line(/^disk/), "disk: 0 42 % free");
  await stream.rest();
  const socket = createSocket("udp4");
  context.after(() => socket.close());
  const ask = async (text: string): Promise<string> => {
    socket.send(text, place.port, place.host);
    const [answer] = await once(socket, "message");
    return String(answer);
  };
  assert.equal(await ask('{"name":"load","status":1,"output":"high"}'), "ok");
  assert.equal(await input.line(/^load/), "load: 1 high");
  assert.equal(await ask('{"name":"half'), "invalid", "a datagram is whole or not at all");
  assert.equal(await ask('{"name":"load","status":0,"output":"fine"}'), "ok", "and the socket goes on");
  input.signal("SIGTERM");
  await input.ended();
});

onEveryEngine("sd_notify tells that it is ready, alive and stopping", async ({ start, context, has }) => {
  const folder = mkdtempSync(join(tmpdir(), "em-notify-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "notify");
  process.env.NOTIFY_SOCKET = path;
  process.env.WATCHDOG_USEC = "100000";
  context.after(() => {
    delete process.env.NOTIFY_SOCKET;
    delete process.env.WATCHDOG_USEC;
  });
  if (!has("unixDatagrams")) {
    const server = start("sd_notify", "127.0.0.1:0");
    await server.complaint(/^nobody is told: .*unixDatagrams/);
    const peer = await Peer.to(await server.place());
    await peer.send("hello").hears("hello");
    peer.socket.destroy();
    server.signal("SIGTERM");
    await server.ended();
    return;
  }
  const heard: string[] = [];
  class Manager extends DatagramSocket {
    override receiveData(data: Buffer): void {
      heard.push(String(data));
    }
  }
  const reactor = new Reactor({ engine: "native" });
  await reactor.run(async () => {
    await reactor.openDatagramSocket({ path, mode: 0o600 }, Manager);
    const server = start("sd_notify", "127.0.0.1:0");
    const place = await server.place();
    assert.ok("port" in place);
    await until(() => heard.length > 0, "the first word");
    assert.equal(heard[0], `READY=1\nSTATUS=listening on 127.0.0.1:${place.port}`);
    await until(() => heard.filter((word) => word === "WATCHDOG=1").length >= 2, "signs of life");
    server.signal("SIGTERM");
    await server.ended();
    await until(() => heard.at(-1)?.startsWith("STOPPING=1") === true, "the last word");
    reactor.stop();
  });
});
