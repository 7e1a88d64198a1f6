import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { until } from "../support/wait.js";

const LIMIT = 64;
const CLIENTS = 120;

/** A newcomer: connects, asks once, and notes whether an answer or an end came. */
class Newcomer {
  readonly socket: Socket;
  connected = false;
  answered = false;
  ended = false;

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port });
    this.socket.on("connect", () => {
      this.connected = true;
      this.socket.write("?");
    });
    this.socket.on("data", () => {
      this.answered = true;
    });
    // A server without descriptors may reset; how it ends is what is looked at.
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.ended = true;
    });
  }
}

interface Figures {
  accepted: number;
  connections: number;
}

async function figures(server: Child): Promise<Figures> {
  server.say("figures");
  return server.json<Figures>();
}

onEveryEngine("out of descriptors", (engine) => {
  test("newcomers wait or, where the engine cannot help it, are closed; the server goes on", async () => {
    const node = [process.execPath, program(import.meta.url, "./programs/echo.js"), engine.name];
    await using server = new Child(node[0] as string, node.slice(1));
    const { port } = await server.json<{ port: number }>();
    // Not before: Node opens the modules of a program all at once.
    execFileSync("prlimit", ["--pid", String(server.pid), `--nofile=${LIMIT}`]);
    const clients = Array.from({ length: CLIENTS }, () => new Newcomer(port));
    try {
      await until(() => clients.every(({ connected, ended }) => connected || ended), "the kernel takes all connects");
      await until(
        () => readdirSync(`/proc/${server.pid}/fd`).length >= LIMIT - 2,
        "the server has no descriptors left",
      );
      if (engine.has("acceptBackoff")) await waitThenServe(server, clients);
      else await closeThenServe(server, clients, port);
    } finally {
      for (const { socket } of clients) socket.destroy();
    }
  });

  /** Nobody is turned away: who was not accepted waits in the kernel's queue until there is a descriptor for it. */
  async function waitThenServe(server: Child, clients: Newcomer[]): Promise<void> {
    await until(
      async () => clients.filter(({ answered }) => answered).length >= (await figures(server)).accepted,
      "echo",
    );
    const served = clients.filter(({ answered }) => answered).length;
    assert.ok(served > 10 && served < LIMIT, `${served} were accepted under a limit of ${LIMIT}`);

    const before = server.cpuTime();
    await sleep(2_000);
    const spent = server.cpuTime() - before;
    assert.ok(spent <= 200, `${spent} ms of CPU in 2 s out of descriptors: it spins`);
    assert.equal(clients.filter(({ ended }) => ended).length, 0, "nobody was turned away");

    // Whoever was served makes room for the others, until all have had their answer.
    await until(() => {
      for (const { answered, socket } of clients) if (answered) socket.destroy();
      return clients.every(({ answered }) => answered);
    }, "every newcomer is answered");
    await until(async () => (await figures(server)).connections === 0, "all are gone");
    assert.equal((await figures(server)).accepted, CLIENTS);
  }

  /** libuv accepts and closes at once what it has no descriptor for: documented, and the server lives on. */
  async function closeThenServe(server: Child, clients: Newcomer[], port: number): Promise<void> {
    await until(() => clients.every(({ answered, ended }) => answered || ended), "everybody was answered or closed");
    const turnedAway = clients.filter(({ answered }) => !answered).length;
    assert.ok(turnedAway > 0, "a limit of descriptors turns newcomers away");

    const before = server.cpuTime();
    await sleep(2_000);
    const spent = server.cpuTime() - before;
    assert.ok(spent <= 200, `${spent} ms of CPU in 2 s out of descriptors: it spins`);

    for (const { socket } of clients) socket.destroy();
    await until(async () => (await figures(server)).connections === 0, "all are gone");
    const late = new Newcomer(port);
    await until(() => late.answered, "there is room again");
    late.socket.destroy();
  }
});
