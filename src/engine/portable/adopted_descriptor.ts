import { fstatSync, readvSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import { isatty, ReadStream } from "node:tty";

export type OneWay = "reads" | "writes" | undefined;

/** A stream of Node's over a descriptor from outside, and which way it goes. Throws Node's own error for what it cannot drive. */
export function openDescriptor(fd: number): {
  readonly socket: Socket;
  readonly oneWay: OneWay;
  readonly isFile: boolean;
} {
  const status = fstatSync(fd);
  if (status.isSocket()) return { socket: new Socket({ fd, allowHalfOpen: true }), oneWay: undefined, isFile: false };
  const isTerminal = isatty(fd);
  if (!status.isFIFO() && !isTerminal) throw notPollable();
  const [readable, writable] = [allows(() => readvSync(fd, [EMPTY])), allows(() => writeSync(fd, EMPTY))];
  const ways = { readable, writable, allowHalfOpen: true };
  // Node gives terminals a class of their own, which is a Socket.
  const socket = isTerminal ? new ReadStream(fd, ways) : new Socket({ fd, ...ways });
  return { socket, oneWay: readable === writable ? undefined : readable ? "reads" : "writes", isFile: true };
}

const EMPTY = Buffer.alloc(0);

/** The kernel says EBADF to a direction that is not there, also where nothing is to be moved. */
function allows(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EBADF";
  }
}

/** As the kernel's poller would say it of a regular file. */
function notPollable(): NodeJS.ErrnoException {
  const error = new Error("not pollable");
  return Object.assign(error, { code: "EPERM", errno: -constants.errno.EPERM, syscall: "epoll_ctl" });
}
