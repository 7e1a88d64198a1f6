// Datagrams one way, for bench/datagram_flow.c: on a datagram "N S" it sends N of S bytes and "." behind them, and it answers each
// 32nd of all others.  node datagram_flow.mjs [--borrow]
import { DatagramSocket, Reactor } from "../../dist/index.js";

const AT_ONCE = 64; // a turn

const reactor = new Reactor({ engine: "native" });

class Flow extends DatagramSocket {
  static borrowsData = process.argv.includes("--borrow");
  #received = 0;
  #left = 0;
  #data = "";
  #to;

  receiveData(data, sender) {
    if (data.length > 1 && data.length < 20) this.#ask(data.toString(), sender);
    else if (data.length === 1) this.#end();
    else if (++this.#received % 32 === 0) this.sendData(".");
  }

  #ask(text, sender) {
    const [count, size] = text.split(" ").map(Number);
    this.#left = count;
    this.#data = Buffer.alloc(size, "x");
    this.#to = { host: sender.host, port: sender.port };
    this.#send();
  }

  #send() {
    const count = Math.min(AT_ONCE, this.#left);
    for (let i = 0; i < count; i++) this.sendDatagram(this.#data, this.#to);
    this.#left -= count;
    if (this.#left > 0) reactor.nextTick(() => this.#send());
    else this.#end();
  }

  #end() {
    if (this.#left === 0) this.sendDatagram(".", this.#to);
  }
}

await reactor.run(async () => {
  const socket = await reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, Flow);
  console.log(`listening on 127.0.0.1:${socket.localAddress.port}`);
});
