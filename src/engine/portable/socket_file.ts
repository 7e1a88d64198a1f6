import { randomBytes } from "node:crypto";
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  unlinkSync,
} from "node:fs";
import { constants as system } from "node:os";
import { dirname, join } from "node:path";
import type { ListenFile } from "../streams.js";

const NAME_BYTES = 8;

/**
 * The file of a Unix listener. libuv binds and listens in one step, with the mode the umask leaves, and removes the name
 * it bound at its end, whoever's file stands there by then. So it binds in a private folder beside the path, where nobody
 * else can reach the socket; the file is given its mode there, and then linked to its own name.
 */
export class SocketFile {
  readonly #file: ListenFile & { readonly path: string };
  readonly #folder: string;
  readonly #descriptor: number;
  /** Where libuv is to bind. Never a name that anybody else would use: libuv removes it at its end. */
  readonly bound: string;
  #own: BigIntStats | undefined;

  /** Makes the private folder. Throws what the file system says. */
  constructor(file: ListenFile & { readonly path: string }) {
    this.#file = file;
    this.#folder = mkdtempSync(join(dirname(file.path), ".em-"));
    try {
      this.#descriptor = openSync(
        this.#folder,
        constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0),
      );
    } catch (error) {
      this.#removeFolder();
      throw error;
    }
    // Not to be guessed: in a folder others may write to, the name is all that keeps their files apart from ours.
    const name = randomBytes(NAME_BYTES).toString("hex");
    const direct = `/proc/self/fd/${this.#descriptor}`;
    // By its descriptor the folder is the one that was made, whatever is renamed beside it, and its name is short.
    this.bound = existsSync(direct) ? `${direct}/${name}` : join(this.#folder, name);
    try {
      this.#checkPrivate();
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /** Gives the socket that was bound its mode and its name. False where there is none: binding failed, and is reported. */
  publish(): boolean {
    try {
      const found = lstatSync(this.bound, { bigint: true, throwIfNoEntry: false });
      if (found === undefined) return false;
      if (this.#file.mode !== undefined) chmodSync(this.bound, this.#file.mode);
      linkSync(this.bound, this.#file.path);
      this.#own = found;
      return true;
    } finally {
      this.discard();
    }
  }

  /** Removes the file, if it is still the one that was bound. Its socket has to be open: that keeps the inode from being given out again. */
  remove(): void {
    const own = this.#own;
    this.#own = undefined;
    if (own === undefined) return;
    try {
      const found = lstatSync(this.#file.path, { bigint: true });
      if (found.dev === own.dev && found.ino === own.ino && found.uid === own.uid) unlinkSync(this.#file.path);
    } catch {
      // It is gone, or the folder no longer lets us: there is nothing to be done, and nobody to hear of it.
    }
  }

  /** The private folder goes. */
  discard(): void {
    try {
      unlinkSync(this.bound);
    } catch {
      // Nothing was bound.
    }
    this.#removeFolder();
    closeSync(this.#descriptor);
  }

  #removeFolder(): void {
    try {
      rmdirSync(this.#folder);
    } catch {
      // Somebody who may write beside the path has renamed it: it holds nothing.
    }
  }

  /** Where others may write beside the path, they may have put a folder of theirs in its place. */
  #checkPrivate(): void {
    const found = fstatSync(this.#descriptor);
    const isOurs = process.geteuid === undefined || found.uid === process.geteuid();
    if (isOurs && (found.mode & 0o077) === 0) return;
    const error: NodeJS.ErrnoException = new Error(`${this.#folder} is not private`);
    throw Object.assign(error, { errno: -system.errno.EPERM, code: "EPERM", syscall: "mkdtemp" });
  }
}
