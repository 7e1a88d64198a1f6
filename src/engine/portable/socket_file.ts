import { type BigIntStats, existsSync, linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";

/**
 * The file of a Unix listener. When libuv closes one it removes the name it was bound to, whoever's file stands there by
 * then: another server's is put out of its way meanwhile.
 */
export class SocketFile {
  readonly #path: string;
  readonly #own: BigIntStats | undefined;

  /** To be made when the listener is bound. */
  constructor(path: string) {
    this.#path = path;
    this.#own = statOf(path);
  }

  /** Calls `close`, which removes the name, but nobody else's file. */
  spareOthers(close: () => void): void {
    const found = statOf(this.#path);
    const aside = found === undefined || this.#isOwn(found) ? undefined : this.#putAside();
    close();
    if (aside === undefined) return;
    try {
      linkSync(aside, this.#path);
    } catch {
      // A newcomer has the name already.
    }
    unlinkSync(aside);
  }

  #putAside(): string | undefined {
    const aside = `${this.#path}.${process.pid}.${Math.random().toString(36).slice(2, 8)}`;
    try {
      renameSync(this.#path, aside);
      return aside;
    } catch {
      // It went, or cannot be moved: then libuv cannot remove it either.
      return undefined;
    }
  }

  #isOwn(found: BigIntStats): boolean {
    const own = this.#own;
    return own !== undefined && found.dev === own.dev && found.ino === own.ino && found.mtimeNs === own.mtimeNs;
  }
}

/** What a failed bind to a path failed with: libuv says EACCES where a folder is missing. */
export function bindErrno(path: string, errno: number): number {
  return errno === -constants.errno.EACCES && !existsSync(dirname(path)) ? -constants.errno.ENOENT : errno;
}

function statOf(path: string): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}
