/**
 * The one list of what an engine may lack. A call that needs a capability the running engine does not have throws
 * `UnsupportedError` with its name; docs/limits.md says which engine lacks what, and why.
 */
export const CAPABILITIES = {
  detach: "hand the descriptor of an open connection out",
  adoptStream: "drive a connected descriptor as a connection",
  adoptListener: "accept from a listening descriptor",
  abortUnix: "let a Unix peer notice an abort by what it sent and nobody read",
  sendfile: "send files inside the kernel",
  acceptQuota: "bound how many connections one turn accepts",
  acceptBackoff: "stop accepting while out of descriptors, without losing newcomers",
  reusePort: "share a port between listeners (SO_REUSEPORT)",
  socketOptions: "read and set any socket option",
  bufferSizes: "set the kernel's socket buffer sizes",
  keepAliveProbes: "set the interval and number of keep-alive probes",
  tcpUserTimeout: "set TCP_USER_TIMEOUT",
  peerCredentials: "read the credentials of a Unix peer",
  unixNameBytes: "use names of Unix sockets that are not UTF-8, or abstract ones with a NUL in them",
  promptReset: "notice a reset while reading is paused",
  acknowledgement: "see how much of what the kernel holds the peer has taken",
  tls: "begin TLS on a connection",
  ticketKeySets: "read TLS session tickets made with an older key",
  tlsBounds: "bound the hello, the certificate chain and the key updates of a TLS peer",
  tlsAlerts: "tell a TLS peer by an alert that its certificate, or the name it asked for, is refused",
  datagrams: "open datagram sockets",
  unixDatagrams: "open Unix datagram sockets",
  packetInfo: "tell by which address and interface a datagram came in",
  trafficInfo: "tell a datagram's hop limit and its ECN bits",
  mtuDiscovery: "set how the path MTU is discovered",
  receiveDrops: "count datagrams that the kernel dropped because nobody read in time",
  datagramErrors: "see the ICMP errors that datagrams of an unconnected socket meet",
  processWatch: "notice the exit of a process that somebody else runs",
  childPipes: "give child processes pipes, where Node gives them sockets",
  descriptorLimit: "set how many descriptors the process may have",
  watch: "tell when a descriptor is ready that somebody else reads and writes",
  tlsTruncation: "tell a TLS stream that was cut off from one that ended",
} as const;

/** What an engine may lack: a key of `CAPABILITIES`, whose value says what it is. */
export type Capability = keyof typeof CAPABILITIES;
