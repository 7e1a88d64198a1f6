// HTTP/1.1 by hand: request line and headers are lines, a body is a block of bytes, and connections are kept alive.
//   node .build/examples/http_hello.js [ADDRESS]             try: curl -v 127.0.0.1:7000/world
import { formatAddress, LimitError, LineText2, parseAddress, run, startServer } from "eventmachine";

const MOST_HEADERS = 100;

/** What we do not serve; the message is the status line's. */
class Refusal extends Error {}

class Hello extends LineText2 {
  #requestLine = "";
  #headers = new Map<string, string>();

  constructor() {
    super({ maxLineLength: 8 * 1024, maxBinaryLength: 1024 * 1024, encoding: "latin1" });
  }

  override receiveLine(line: string): void {
    if (this.#requestLine === "") {
      this.#requestLine = line;
    } else if (line === "") {
      this.#receiveHead();
    } else {
      const colon = line.indexOf(":");
      if (colon < 1 || this.#headers.size === MOST_HEADERS) throw new Refusal("400 Bad Request");
      this.#headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
  }

  #receiveHead(): void {
    const length = this.#headers.get("content-length") ?? "0";
    if (!/^\d{1,9}$/.test(length) || this.#headers.has("transfer-encoding")) throw new Refusal("411 Length Required");
    if (Number(length) > this.maxBinaryLength) throw new Refusal("413 Content Too Large");
    if (Number(length) > 0) this.setBinaryMode(Number(length));
    else this.#answer(0);
  }

  override receiveBinaryData(body: Buffer): void {
    this.#answer(body.length);
  }

  #answer(bodyLength: number): void {
    const [method, target = "/", version] = this.#requestLine.split(" ");
    const staysOpen = version === "HTTP/1.1" && this.#headers.get("connection")?.toLowerCase() !== "close";
    const body = `hello ${decodeURI(target).slice(1)}, you sent ${method} and ${bodyLength} bytes\n`;
    this.sendData(
      `HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
        `Connection: ${staysOpen ? "keep-alive" : "close"}\r\n\r\n${body}`,
    );
    this.#requestLine = "";
    this.#headers.clear();
    if (!staysOpen) this.closeConnectionAfterWriting();
  }

  /** The peer's mistakes get an answer; ours go on to the reactor. */
  override onError(error: unknown): boolean {
    const isPeers = error instanceof Refusal || error instanceof LimitError || error instanceof URIError;
    if (!isPeers) return false;
    const status = error instanceof Refusal ? error.message : "400 Bad Request";
    this.sendData(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    this.closeConnectionAfterWriting();
    return true;
  }
}

const address = parseAddress(process.argv[2] ?? "127.0.0.1:7000");

await run(
  async () => {
    const server = await startServer({ ...address, firstByteTimeout: 10_000, commInactivityTimeout: 60_000 }, Hello);
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true, drainDeadline: 1_000 },
);
