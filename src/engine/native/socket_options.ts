import { constants } from "node:os";
import { SystemError } from "../../base/system_error.js";
import { KERNEL_OPTIONS, kernelOptionNames, type SocketOptions } from "../socket_options.js";
import type { Handle } from "../streams.js";
import type { Binding } from "./binding.js";

const EBADF = -constants.errno.EBADF;
const UCRED_SIZE = 12;

/** Socket options, checked, as the addon takes them: triples of level, name and value, in one list. */
export function optionTriples(
  options: SocketOptions & { keepAliveOff?: boolean },
  names: Binding["constants"],
): Int32Array {
  const triples: number[] = [];
  const socket = (name: number, value: number) => triples.push(names.SOL_SOCKET, name, value);
  const tcp = (name: number, value: number) => triples.push(names.IPPROTO_TCP, name, value);

  for (const name of kernelOptionNames) {
    const { level, option } = KERNEL_OPTIONS[name];
    const value = options[name];
    if (value !== undefined) triples.push(names[level], names[option], Number(value));
  }
  if (options.keepAliveOff === true) socket(names.SO_KEEPALIVE, 0);
  if (options.keepAlive !== undefined) {
    const { idle, interval, count } = options.keepAlive;
    socket(names.SO_KEEPALIVE, 1);
    if (idle !== undefined) tcp(names.TCP_KEEPIDLE, Math.ceil(idle / 1000));
    if (interval !== undefined) tcp(names.TCP_KEEPINTVL, Math.ceil(interval / 1000));
    if (count !== undefined) tcp(names.TCP_KEEPCNT, count);
  }
  return Int32Array.from(triples);
}

export function readOption(native: Binding, loop: number, handle: Handle, level: number, name: number, size: number) {
  const value = Buffer.alloc(size);
  const length = native.getOption(loop, handle, level, name, value);
  checkResult(length, "getsockopt");
  return value.subarray(0, Math.max(0, length));
}

/** SO_ERROR, as a negative errno. */
export function readError(native: Binding, loop: number, handle: Handle): number {
  const { SOL_SOCKET, SO_ERROR } = native.constants;
  const value = new Int32Array(1);
  native.getOption(loop, handle, SOL_SOCKET, SO_ERROR, new Uint8Array(value.buffer));
  return -value[0]! | 0;
}

export function readCredentials(native: Binding, loop: number, handle: Handle) {
  const { SOL_SOCKET, SO_PEERCRED } = native.constants;
  const value = new Int32Array(UCRED_SIZE / 4);
  const length = native.getOption(loop, handle, SOL_SOCKET, SO_PEERCRED, new Uint8Array(value.buffer));
  // Zeros would say that the peer is root, so here a stale handle is an error too, and an answer that is cut off.
  if (length < 0) throw new SystemError(length, "getsockopt");
  if (length !== UCRED_SIZE) throw new SystemError(-constants.errno.EINVAL, "getsockopt");
  return { pid: value[0]!, uid: value[1]! >>> 0, gid: value[2]! >>> 0 };
}

/** A stale handle is no error: a command on it does nothing. */
export function checkResult(result: number, syscall: string): void {
  if (result < 0 && result !== EBADF) throw new SystemError(result, syscall);
}
