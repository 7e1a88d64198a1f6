import { formatAddress, type Listener, type Reactor, type SocketAddress } from "../index.js";
import { listenAddress } from "./arguments.js";
import { CHAT_OPTIONS, ChatGuest, ChatRoom } from "./chat.js";
import { Echo } from "./echo.js";
import { explain } from "./failure.js";
import { serve } from "./serve.js";
import { UsageError } from "./usage_error.js";

/** How long Ctrl-C waits for a peer to answer the FIN: the demo's own peers are people at a terminal. */
const LINGER_TIMEOUT = 1_000;

/** `npm start`: an echo and a line chat to play with. Two addresses after `--` take the place of the usual ones. */
async function demo(args: string[]): Promise<void> {
  const [echo = "127.0.0.1:7000", chat = "127.0.0.1:7001", ...more] = args;
  if (more.length > 0) throw new UsageError("at most two addresses: one for the echo, one for the chat");
  const echoAddress = listenAddress(echo);
  const chatAddress = listenAddress(chat);
  const start = async (reactor: Reactor): Promise<Listener[]> => [
    await reactor.startServer({ ...echoAddress, lingerTimeout: LINGER_TIMEOUT }, Echo),
    await reactor.startServer(
      { ...chatAddress, ...CHAT_OPTIONS, lingerTimeout: LINGER_TIMEOUT },
      ChatGuest,
      new ChatRoom(),
    ),
  ];
  const reactor = await serve("auto", start, (address, listener) => {
    console.log(`${listener === 0 ? "echo" : "chat"} on ${formatAddress(address)}, try: ${netcat(address)}`);
  });
  const { accepted } = reactor.stats();
  console.log(`served ${accepted} connection${accepted === 1 ? "" : "s"}`);
}

/** The command that talks to an address. */
function netcat(address: SocketAddress): string {
  if (address.family === "unix") return `nc -U ${address.path}`;
  const anywhere = address.host === "::" || address.host === "0.0.0.0";
  return `nc ${anywhere ? "localhost" : address.host} ${address.port}`;
}

try {
  await demo(process.argv.slice(2));
} catch (error) {
  process.exitCode = explain("demo", error);
}
