// Serves the files of a folder over HTTP, of any size in bounded memory, inside the kernel where the engine can.
//   node .build/examples/file_server.js [ADDRESS] [FOLDER]   try: curl 127.0.0.1:7000/package.json
import { realpath, stat } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { EventMachineError, formatAddress, LineText2, parseAddress, run, startServer } from "eventmachine";

class FileServer extends LineText2 {
  readonly #folder: string;
  #requestLine = "";

  constructor(folder: string) {
    super();
    this.#folder = folder;
  }

  /** Async: a rejection would go to `onError` like a throw. No further line comes while this one is paused. */
  override async receiveLine(line: string): Promise<void> {
    if (this.#requestLine === "") this.#requestLine = line;
    if (line !== "") return;
    const [, target = "/"] = this.#requestLine.split(" ");
    this.#requestLine = "";
    this.pause();
    await this.#send(target);
    this.resume();
  }

  async #send(target: string): Promise<void> {
    const path = await this.#find(target);
    if (path === undefined) {
      this.sendData("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    this.sendData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    try {
      const size = await this.streamFileData(path, { httpChunks: true });
      console.log(`sent ${target}: ${size} bytes`);
    } catch (error) {
      // The head is out, so no other answer is possible: the peer must not take the rest for a whole file.
      if (!(error instanceof EventMachineError)) throw error;
      console.log(`not sent ${target}: ${error.message}`);
      this.abort();
    }
  }

  /** The regular file that a target names, if it lies in the folder, symbolic links followed. */
  async #find(target: string): Promise<string | undefined> {
    try {
      const path = await realpath(resolve(this.#folder, `.${decodeURIComponent(target)}`));
      return path.startsWith(this.#folder + sep) && (await stat(path)).isFile() ? path : undefined;
    } catch {
      return undefined;
    }
  }
}

const [listen = "127.0.0.1:7000", folder = "."] = process.argv.slice(2);
const root = await realpath(folder);

await run(
  async () => {
    // A peer that stops reading in the middle of a file is let go, and so is one that asks for nothing more.
    const options = { firstByteTimeout: 10_000, commInactivityTimeout: 60_000, writeTimeout: 30_000 };
    const server = await startServer({ ...parseAddress(listen), ...options }, FileServer, root);
    console.log(`listening on ${formatAddress(server.address)}`);
  },
  { signals: true, drainDeadline: 5_000 },
);
