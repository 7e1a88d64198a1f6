import type { Server, Socket } from "node:net";
import { constants } from "node:os";

/** What can name the descriptors it has. */
export interface DescriptorOwner {
  descriptors(): Iterable<number>;
}

const owners = new Set<DescriptorOwner>();

export function registerOwner(owner: DescriptorOwner): void {
  owners.add(owner);
}

export function forgetOwner(owner: DescriptorOwner): void {
  owners.delete(owner);
}

/** node:net keeps its descriptors to itself; its handles have them. */
export function descriptorOf(holder: Socket | Server): number | undefined {
  const { _handle } = holder as unknown as { _handle?: { fd?: number } | null };
  const fd = _handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

/**
 * Why a descriptor cannot be attached: a portable engine of this thread has it. Two owners would close each other's number
 * and read each other's bytes. What other threads and node:net itself have is not known here.
 */
export function ownedFailure(fd: number): NodeJS.ErrnoException | undefined {
  for (const owner of owners) {
    for (const owned of owner.descriptors()) {
      if (owned !== fd) continue;
      const error: NodeJS.ErrnoException = new Error(`descriptor ${fd} belongs to a reactor of this thread`);
      return Object.assign(error, { code: "EEXIST", errno: -constants.errno.EEXIST, syscall: "open" });
    }
  }
  return undefined;
}
