import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { describe } from "../base/describe.js";
import { codeOf } from "../base/error_code.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";

interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Where a program of the system's is looked for that knows users which are in no file. */
const LOOK_UP = ["/usr/bin/id", "/bin/id"];

/**
 * Makes this process that user's, for good: it joins the user's groups, takes the user's own, and then the user, as real, effective and saved ones. Bind
 * what takes root first: sockets that are open stay so. Where it is the user's already, nothing happens.
 *
 * It is all or an error: whoever catches one should end, for a part may have been done. Throws ArgumentError for what is no name, `ERR_EM_UNKNOWN_USER` for
 * a user there is not, `ERR_EM_MAIN_THREAD_ONLY` in a worker thread, and SystemError (`EPERM`) where the process may not, or could still become root again.
 * Files of Unix sockets are removed at the end only where the new user may. (set_effective_user, setuid_string, which left the process root's groups.)
 */
export function setEffectiveUser(name: string): void {
  if (typeof name !== "string" || !/^[^\0\n:/-][^\0\n:/]*$/.test(name)) {
    throw new ArgumentError(`name must be the name of a user, not ${describe(name)}`);
  }
  const { initgroups, setgid, setuid } = process as NodeJS.Process & { initgroups?(user: string, group: number): void };
  if (!isMainThread || initgroups === undefined || setgid === undefined || setuid === undefined) {
    throw new StateError("ERR_EM_MAIN_THREAD_ONLY", "setEffectiveUser is for the main thread, of a system with users");
  }
  const user = findUser(name);
  if (user === undefined) throw new StateError("ERR_EM_UNKNOWN_USER", `there is no user ${JSON.stringify(name)}`);
  if (isOnly(user)) return;
  attempt("initgroups", () => initgroups(user.name, user.gid));
  attempt("setgid", () => setgid(user.gid));
  attempt("setuid", () => setuid(user.uid));
  if (!isOnly(user) || (user.uid !== 0 && canReturn(setuid, user.uid))) {
    throw new SystemError(-1, "setuid", { address: user.name });
  }
}

/** Whether the process is that user's, real and effective, and can say so. */
function isOnly({ uid, gid }: User): boolean {
  return (
    process.getuid?.() === uid &&
    process.geteuid?.() === uid &&
    process.getgid?.() === gid &&
    process.getegid?.() === gid
  );
}

/** Whether it could become root again; it is not when this returns. */
function canReturn(setuid: (id: number) => void, uid: number): boolean {
  try {
    setuid(0);
  } catch {
    return false;
  }
  setuid(uid);
  return true;
}

function attempt(syscall: string, step: () => void): void {
  try {
    step();
  } catch (cause) {
    const { errno } = cause as { errno?: unknown };
    throw new SystemError(typeof errno === "number" ? -Math.abs(errno) : -1, syscall, { cause });
  }
}

function findUser(name: string): User | undefined {
  for (const line of readUsers().split("\n")) {
    const [user, , uid, gid] = line.split(":");
    if (user === name && isId(uid) && isId(gid)) return { name, uid: Number(uid), gid: Number(gid) };
  }
  // To `id`, what looks like a number is one.
  if (/^\+?\d+$/.test(name)) return undefined;
  const [uid, gid] = ["-u", "-g"].map((which) => ask(which, name));
  return isId(uid) && isId(gid) ? { name, uid: Number(uid), gid: Number(gid) } : undefined;
}

function readUsers(): string {
  try {
    return readFileSync("/etc/passwd", "utf8");
  } catch {
    return "";
  }
}

/** Users may be kept elsewhere than in a file. */
function ask(which: string, name: string): string | undefined {
  for (const program of LOOK_UP) {
    try {
      return execFileSync(program, [which, "--", name], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
    } catch (error) {
      if (codeOf(error) !== "ENOENT") return undefined;
    }
  }
  return undefined;
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,10}$/.test(text);
}
