import { constants } from "node:os";
import { SystemError } from "../../base/system_error.js";
import type { Binding } from "./binding.js";

/** What the addon adds to the number of a signal. */
const SIGNALLED = 256;

export function openProcess(native: Binding, pid: number): number {
  const fd = native.openProcess(pid);
  if (fd < 0) throw new SystemError(fd, "pidfd_open");
  return fd;
}

export function processExit(native: Binding, fd: number) {
  const status = native.processStatus(fd);
  if (status < 0) return undefined;
  if (status < SIGNALLED) return { code: status, signal: undefined };
  const number = status - SIGNALLED;
  const [name] = Object.entries(constants.signals).find(([, value]) => value === number) ?? [];
  return { code: undefined, signal: name as NodeJS.Signals | undefined };
}

export function openPipe(native: Binding): [number, number] {
  const ends = new Int32Array(2);
  const errno = native.openPipe(ends);
  if (errno < 0) throw new SystemError(errno, "pipe2");
  return [ends[0] as number, ends[1] as number];
}
