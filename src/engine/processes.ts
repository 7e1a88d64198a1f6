/** The process facet of the contract: what processes need of the system, and Node does not give. Descriptors are closed on exec. */
export interface ProcessCommands {
  /** A descriptor that is readable when the process has exited; the caller closes it. Throws SystemError (ESRCH). Capability `processWatch`. */
  openProcess(pid: number): number;
  /** How a process of `openProcess` has exited, where it is a child of ours that nobody has waited for; undefined where nobody can say. */
  processExit(
    fd: number,
  ): { readonly code: number | undefined; readonly signal: NodeJS.Signals | undefined } | undefined;
  /** The ends of a pipe, which the caller closes: the one that is read from first. Throws SystemError. Capability `childPipes`. */
  openPipe(): [number, number];
}
