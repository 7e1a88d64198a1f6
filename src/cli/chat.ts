import { LineText2 } from "../index.js";
import { engineChoice, listenAddress, readOptions } from "./arguments.js";
import { serve } from "./serve.js";

const MAX_NAME_LENGTH = 20;

/** Who is in a chat. The first guest is number 1. */
export class ChatRoom {
  readonly #guests = new Set<ChatGuest>();
  #welcomed = 0;

  get names(): string[] {
    return Array.from(this.#guests, ({ name }) => name);
  }

  enter(guest: ChatGuest): string {
    const name = `guest${++this.#welcomed}`;
    this.tell(`* ${name} came in`);
    this.#guests.add(guest);
    return name;
  }

  leave(guest: ChatGuest): void {
    if (this.#guests.delete(guest)) this.tell(`* ${guest.name} left`);
  }

  tell(text: string, except?: ChatGuest): void {
    for (const guest of this.#guests) if (guest !== except) guest.hear(text);
  }
}

/** One peer of the line chat: what it types goes to everybody else in the room. */
export class ChatGuest extends LineText2 {
  readonly #room: ChatRoom;
  #name = "";

  constructor(room: ChatRoom) {
    super();
    this.#room = room;
  }

  get name(): string {
    return this.#name;
  }

  override postInit(): void {
    const others = this.#room.names;
    this.#name = this.#room.enter(this);
    this.hear(`* you are ${this.#name}, with ${others.length === 0 ? "nobody" : others.join(", ")}`);
    this.hear("* /name NAME changes your name, /who tells who is here, /quit leaves");
  }

  override receiveLine(line: string): void {
    const text = printable(line);
    const [command, ...words] = text.split(" ");
    if (command === "/name") this.#rename(words.join(" "));
    else if (command === "/who") this.hear(`* ${this.#room.names.join(", ")}`);
    else if (command === "/quit") this.closeConnectionAfterWriting();
    else if (text !== "") this.#room.tell(`${this.#name}: ${text}`, this);
  }

  /** A peer that stops reading is cut off by the listener's outbound limit; the others do not wait for it. */
  hear(text: string): void {
    this.sendData(`${text}\n`);
  }

  override shutdownRequested(): void {
    this.hear("* the chat is closing");
    this.closeConnectionAfterWriting();
  }

  override unbind(): void {
    this.#room.leave(this);
  }

  #rename(name: string): void {
    if (name === "" || name.length > MAX_NAME_LENGTH) {
      this.hear(`* a name has 1 to ${MAX_NAME_LENGTH} characters`);
    } else if (this.#room.names.includes(name)) {
      this.hear(`* ${name} is here already`);
    } else {
      this.#room.tell(`* ${this.#name} is now ${name}`);
      this.#name = name;
    }
  }
}

/** What a guest types must not steer the others' terminals. */
function printable(line: string): string {
  return line.replace(/\p{Cc}/gu, "").trim();
}

/** The options of a chat's listener: a guest that does not read holds at most so much of what the others say. */
export const CHAT_OPTIONS = { outboundLimit: 256 * 1024 } as const;

/** `eventmachine chat`. */
export async function chat(args: string[]): Promise<void> {
  const options = readOptions(args, { listen: { type: "string" }, engine: { type: "string" } });
  const address = listenAddress(options.listen);
  const room = new ChatRoom();
  await serve(engineChoice(options.engine), async (reactor) => [
    await reactor.startServer({ ...address, ...CHAT_OPTIONS }, ChatGuest, room),
  ]);
}
