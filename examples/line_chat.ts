// A chat: what one says on a line, all others hear.
//   node .build/examples/line_chat.js [ADDRESS]              default 127.0.0.1:7001; try: nc 127.0.0.1 7001, twice
import { type CloseReason, formatAddress, LineText2, onError, parseAddress, run, startServer } from "eventmachine";

/** Who is here. Every connection is given the same room by `startServer`. */
type Room = Set<Guest>;

class Guest extends LineText2 {
  readonly #room: Room;
  #name: string | undefined;

  constructor(room: Room) {
    super({ maxLineLength: 1_000 });
    this.#room = room;
  }

  override postInit(): void {
    this.sendData("your name?\n");
  }

  override receiveLine(line: string): void {
    if (line === "/quit") {
      this.closeConnectionAfterWriting();
    } else if (this.#name === undefined) {
      this.#name = line;
      this.#tellOthers(`${line} came in`);
      this.#room.add(this);
    } else {
      this.#tellOthers(`${this.#name}: ${line}`);
    }
  }

  override shutdownRequested(): void {
    this.sendData("the chat is closing\n");
    this.closeConnectionAfterWriting();
  }

  override unbind(_reason: CloseReason): void {
    if (this.#room.delete(this)) this.#tellOthers(`${this.#name} left`);
  }

  #tellOthers(text: string): void {
    for (const guest of this.#room) if (guest !== this) guest.sendData(`${text}\n`);
  }
}

const address = parseAddress(process.argv[2] ?? "127.0.0.1:7001");

await run(
  async () => {
    // A guest's line that is too long ends that guest alone, and is told here.
    onError((error) => console.error(error));
    // A guest who does not read is cut off at 64 KiB; nobody else waits for him.
    const server = await startServer({ ...address, outboundLimit: 64 * 1024 }, Guest, new Set());
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true },
);
