# One end of a connection on Ruby's EventMachine, driven by a script and telling what it saw.
#
#   agent.rb server SCRIPT        prints its port, serves one connection
#   agent.rb client PORT SCRIPT   connects to 127.0.0.1
#
# SCRIPT is JSON: {"postInit": [actions], "connectionCompleted": [...], "received": {"BYTES": [...]}, "unbind": [...]}.
# An action is a list: a name and its arguments. The account printed at the end is JSON too.

begin
  require "eventmachine"
rescue LoadError
  abort "Ruby's EventMachine is missing: apt-get install ruby-eventmachine"
end
require "json"
require "digest"

$stdout.sync = true
EM.epoll

class Agent < EM::Connection
  def initialize(script)
    @script = script
    @account = { "log" => ["constructor"], "bytes" => 0 }
    @seen = Digest::SHA256.new
    @kept = String.new(encoding: Encoding::BINARY)
    @paused = false
  end

  attr_reader :account

  def post_init
    note "postInit"
    act @script["postInit"]
  end

  def connection_completed
    note "connectionCompleted"
    act @script["connectionCompleted"]
  end

  def ssl_handshake_completed
    note "sslHandshakeCompleted"
    act @script["sslHandshakeCompleted"]
  end

  def receive_data(data)
    note(@paused ? "receiveData while paused" : "receiveData")
    before = @account["bytes"]
    @account["bytes"] += data.bytesize
    @seen << data
    @kept << data if @script["keepIn"]
    (@script["received"] || {}).each do |count, actions|
      act actions if before < count.to_i && @account["bytes"] >= count.to_i
    end
  end

  def unbind(reason = nil)
    note "unbind"
    act @script["unbind"]
    @account["reason"] = reason && reason.to_s.split("::").last
    @account["sha256"] = @seen.hexdigest
    File.binwrite(@script["keepIn"], @kept) if @script["keepIn"]
    puts JSON.generate(@account)
    EM.stop
  end

  private

  # Runs of receiveData count as one: how the bytes are cut is the network's affair.
  def note(what)
    log = @account["log"]
    log << what unless what == "receiveData" && log.last == what
  end

  def act(actions)
    (actions || []).each { |name, *arguments| send("do_#{name}", *arguments) }
  end

  def do_send(text)
    send_data text
  end

  def do_sendSize(size)
    send_data(Agent.pattern(size))
  end

  def do_close
    close_connection
    note "close returned"
  end

  def do_closeAfterWriting
    close_connection_after_writing
    note "close returned"
  end

  # The names are those of the test certificates; the client takes whatever it is shown, as EventMachine does.
  def do_startTls(role, folder)
    if role == "server"
      start_tls(private_key_file: "#{folder}server-rsa-key.pem", cert_chain_file: "#{folder}server-rsa.pem")
    else
      start_tls(sni_hostname: "server.test")
    end
  end

  # EventMachine asks for each certificate of the chain, and nobody vouches for any.
  def do_demandTls(folder)
    start_tls(private_key_file: "#{folder}server-rsa-key.pem", cert_chain_file: "#{folder}server-rsa.pem",
              verify_peer: true, fail_if_no_peer_cert: true)
  end

  def do_pauseFor(milliseconds)
    pause
    @paused = true
    EM.add_timer(milliseconds / 1000.0) do
      note "resume"
      @paused = false
      resume
    end
  end

  def do_inactivityTimeout(milliseconds)
    self.comm_inactivity_timeout = milliseconds / 1000.0
  end

  def do_streamFile(path, chunks)
    stream_file_data(path, http_chunks: chunks).callback { close_connection_after_writing }
  end

  def do_sendFile(path)
    send_file_data path
    close_connection_after_writing
  end

  # Not to be mistaken when a part of it is lost or repeated.
  def self.pattern(size)
    block = (0...65_521).map { |at| (at * 31 + (at >> 8)) & 255 }.pack("C*")
    (block * (size / block.bytesize + 1)).byteslice(0, size)
  end
end

role = ARGV.shift
port = ARGV.shift.to_i if role == "client"
script = JSON.parse(ARGV.shift)

EM.run do
  EM.add_timer(60) { abort "the script took more than a minute" }
  if role == "server"
    signature = EM.start_server("127.0.0.1", 0, Agent, script)
    puts JSON.generate("port" => Socket.unpack_sockaddr_in(EM.get_sockname(signature)).first)
  else
    agent = EM.connect("127.0.0.1", port, Agent, script)
    agent.account["log"] << "connect returned"
  end
end
