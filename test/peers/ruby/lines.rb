# What LineText2 of Ruby's EventMachine makes of chunks: one case a line on standard input, one account a line on standard
# output. A case is {"delimiter": {"text" | "pattern": ...}, "chunks": [latin1 text...]}.
#
# Lines command: "=B5" reads five bytes as a block, "=U3" everything unsized until three bytes have come (then back to
# lines, throwing back what was too much), "=D;" sets the delimiter to what follows.

begin
  require "eventmachine"
rescue LoadError
  abort "Ruby's EventMachine is missing: apt-get install ruby-eventmachine"
end
require "json"

$stdout.sync = true

# What stands below a protocol module is the connection's own unbind.
class Base
  def unbind; end
end

class Account < Base
  include EM::Protocols::LineText2

  attr_reader :events

  def initialize
    @events = []
  end

  def receive_line(line)
    @events << ["line", line]
    case line
    when /\A=B(\d+)\z/ then set_binary_mode $1.to_i
    when /\A=U(\d+)\z/
      @unsized = $1.to_i
      set_binary_mode
    when /\A=D(\D)\z/ then set_delimiter $1
    end
  end

  def receive_binary_data(data)
    if @unsized.nil?
      @events << ["binary", data]
      return
    end
    taken = data[0, @unsized]
    @events << ["unsized", taken]
    @unsized -= taken.bytesize
    return if @unsized > 0
    @unsized = nil
    set_line_mode data[taken.bytesize..]
  end

  def receive_end_of_binary_data
    @events << ["end"]
  end
end

def text(bytes)
  bytes.b.force_encoding(Encoding::ISO_8859_1).encode(Encoding::UTF_8)
end

def binary(text)
  text.encode(Encoding::ISO_8859_1).b
end

$stdin.each_line do |line|
  given = JSON.parse(line)
  account = Account.new
  delimiter = given["delimiter"]
  pattern = delimiter["pattern"]
  account.set_delimiter(pattern ? Regexp.new(pattern) : binary(delimiter["text"]))
  given["chunks"].each { |chunk| account.receive_data binary(chunk) }
  account.unbind
  puts JSON.generate(account.events.map { |kind, data| data ? [kind, text(data)] : [kind] })
end
