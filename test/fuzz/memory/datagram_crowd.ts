import { join } from "node:path";
import { type DatagramAddress, type DatagramDestination, DatagramSocket } from "eventmachine";
import type { Random } from "../../support/random.js";
import type { World } from "../chaos/world.js";

/** What comes of a datagram is told to the crowd, which does something of its own in between. */
class CrowdSocket extends DatagramSocket {
  readonly #crowd: DatagramCrowd;

  constructor(crowd: DatagramCrowd) {
    super();
    this.#crowd = crowd;
  }

  override receiveData(data: Buffer): void {
    this.#crowd.came(this, data);
  }

  override drained(): void {
    this.#crowd.act(this);
  }

  override sendFailed(): void {
    this.#crowd.act(this);
  }

  override onError(): boolean {
    return true;
  }
}

class BorrowingCrowdSocket extends CrowdSocket {
  static override readonly borrowsData = true;
}

/** Datagram sockets of all kinds that send one another what they like, while the memory that they share with the core is overwritten. */
export class DatagramCrowd {
  readonly #world: World;
  readonly #random: Random;
  readonly #beside: () => void;
  readonly #sockets: CrowdSocket[] = [];
  #paths = 0;

  /** `beside` is called in callbacks. */
  constructor(world: World, random: Random, beside: () => void) {
    this.#world = world;
    this.#random = random;
    this.#beside = beside;
  }

  async open(): Promise<void> {
    const at = { host: "127.0.0.1", port: 0 };
    const first = await this.#open(at);
    await this.#open({ ...at, packetInfo: true, trafficInfo: true });
    await this.#open({ host: "::", port: 0, packetInfo: true });
    const peer = first?.localAddress;
    if (peer?.family === "IPv4") await this.#open({ ...at, remote: { host: peer.host, port: peer.port } });
    await this.#open({ path: this.#path() });
    await this.#open({ path: "" });
  }

  #path(): string {
    return join(this.#world.folder, `d${this.#paths++}`);
  }

  async #open(address: DatagramAddress): Promise<CrowdSocket | undefined> {
    const Handler = this.#random.oneIn(2) ? BorrowingCrowdSocket : CrowdSocket;
    try {
      const socket = await this.#world.reactor.openDatagramSocket(
        { outboundLimit: 100_000, ...address },
        Handler,
        this,
      );
      this.#sockets.push(socket);
      return socket;
    } catch (error) {
      this.#world.expectTyped("openDatagramSocket", error);
      return undefined;
    }
  }

  came(socket: CrowdSocket, data: Buffer): void {
    this.#world.round.report.count("datagrams");
    if (this.#random.oneIn(4)) this.#beside();
    if (this.#random.oneIn(3)) this.#attempt("sendData", () => socket.sendData(data));
    if (this.#random.oneIn(8)) this.act(socket);
  }

  /** One of them does something. */
  act(socket: CrowdSocket | undefined = this.#pick()): void {
    if (socket === undefined) return;
    this.#beside();
    switch (this.#random.between(0, 9)) {
      case 0:
        this.#attempt("pause", () => socket.pause());
        break;
      case 1:
      case 2:
        this.#attempt("resume", () => socket.resume());
        break;
      case 3:
        this.#attempt("counters", () => void socket.counters.received);
        break;
      case 4:
        if (this.#random.oneIn(20)) this.#replace(socket);
        break;
      default:
        for (let left = this.#random.between(1, 40); left > 0; left--) this.#send(socket);
    }
  }

  #pick(): CrowdSocket | undefined {
    return this.#sockets[this.#random.between(0, Math.max(0, this.#sockets.length - 1))];
  }

  #send(socket: CrowdSocket): void {
    const data = Buffer.alloc(this.#random.size(this.#random.oneIn(10) ? 65_507 : 2000), 0x61);
    const to = this.#destination(socket);
    if (to === undefined) this.#attempt("sendData", () => socket.sendData(data));
    else this.#attempt("sendDatagram", () => socket.sendDatagram(data, to));
  }

  /** Mostly one that the socket can send to; of a connected one its peer. */
  #destination(from: CrowdSocket): DatagramDestination | undefined {
    if (from.remoteAddress !== undefined) return undefined;
    const isUnix = from.localAddress?.family === "unix";
    // A place that nobody has, now and then.
    if (this.#random.oneIn(10)) return isUnix ? { path: "/nobody" } : { host: "127.0.0.1", port: 9 };
    const address = this.#pick()?.localAddress;
    if (address === undefined || (address.family === "unix") !== isUnix) return undefined;
    if (address.family === "unix") return { path: address.path };
    return { host: address.host === "::" ? "127.0.0.1" : address.host, port: address.port };
  }

  /** Ends it, one way or the other, and opens another. */
  #replace(socket: CrowdSocket): void {
    const at = this.#sockets.indexOf(socket);
    if (at < 0) return;
    this.#sockets.splice(at, 1);
    this.#attempt("close", () => {
      if (this.#random.oneIn(2)) socket.closeConnection();
      else socket.closeConnectionAfterWriting();
    });
    void this.#open(this.#random.oneIn(2) ? { host: "127.0.0.1", port: 0 } : { path: this.#path() });
  }

  #attempt(what: string, action: () => unknown): void {
    try {
      action();
    } catch (error) {
      this.#world.expectTyped(what, error);
    }
  }
}
